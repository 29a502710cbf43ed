// Original file: dispatcher.proto

import type { Long } from '@grpc/proto-loader';

export interface HeartbeatInput {
  'sequence'?: (number | string | Long);
  'description'?: (Buffer | Uint8Array | string);
}

export interface Heartbeat {
  'sequence': (number);
  'description': (Buffer);
}
