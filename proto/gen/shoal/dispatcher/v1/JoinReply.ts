// Original file: dispatcher.proto


export interface JoinReplyInput {
}

export interface JoinReply {
}
