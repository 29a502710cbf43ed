// Original file: dispatcher.proto


export interface AskForStreamReplyInput {
  'asked'?: (boolean);
}

export interface AskForStreamReply {
  'asked': (boolean);
}
