// Original file: dispatcher.proto


export interface AwaitAppliedReplyInput {
  'settled'?: (boolean);
}

export interface AwaitAppliedReply {
  'settled': (boolean);
}
