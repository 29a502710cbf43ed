// Original file: dispatcher.proto


export interface ReadIndexRequestInput {
}

export interface ReadIndexRequest {
}
