// Original file: dispatcher.proto

import type { Long } from '@grpc/proto-loader';

export interface GuestsPlacedInput {
  'requestId'?: (number | string | Long);
  'error'?: (string);
  'body'?: (Buffer | Uint8Array | string);
}

export interface GuestsPlaced {
  'requestId': (number);
  'error': (string);
  'body': (Buffer);
}
