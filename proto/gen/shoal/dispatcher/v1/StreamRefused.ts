// Original file: dispatcher.proto


export interface StreamRefusedInput {
  'streamId'?: (string);
  'reason'?: (string);
}

export interface StreamRefused {
  'streamId': (string);
  'reason': (string);
}
