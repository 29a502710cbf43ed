// Original file: control.proto


export interface ControlReplyInput {
  'json'?: (Buffer | Uint8Array | string);
}

export interface ControlReply {
  'json': (Buffer);
}
