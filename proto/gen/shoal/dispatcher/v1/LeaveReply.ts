// Original file: dispatcher.proto


export interface LeaveReplyInput {
}

export interface LeaveReply {
}
