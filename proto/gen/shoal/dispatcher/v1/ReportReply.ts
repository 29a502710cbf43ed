// Original file: dispatcher.proto


export interface ReportReplyInput {
}

export interface ReportReply {
}
