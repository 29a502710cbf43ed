// Original file: dispatcher.proto


export interface OpenStreamInput {
  'streamId'?: (string);
  'kind'?: (string);
  'taskId'?: (string);
  'caller'?: (string);
  'address'?: (string);
  'request'?: (Buffer | Uint8Array | string);
}

export interface OpenStream {
  'streamId': (string);
  'kind': (string);
  'taskId': (string);
  'caller': (string);
  'address': (string);
  'request': (Buffer);
}
