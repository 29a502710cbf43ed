// Original file: dispatcher.proto

import type { Long } from '@grpc/proto-loader';

export interface GuestsInput {
  'requestId'?: (number | string | Long);
  'body'?: (Buffer | Uint8Array | string);
}

export interface Guests {
  'requestId': (number);
  'body': (Buffer);
}
