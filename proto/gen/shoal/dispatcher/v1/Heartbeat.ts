// Original file: dispatcher.proto

import type { Long } from '@grpc/proto-loader';

export interface HeartbeatInput {
  'sequence'?: (number | string | Long);
}

export interface Heartbeat {
  'sequence': (number);
}
