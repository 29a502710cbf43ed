// Original file: dispatcher.proto

import type { Long } from '@grpc/proto-loader';

export interface HeartbeatReplyInput {
  'sequence'?: (number | string | Long);
  'nextMs'?: (number);
  'leaderKnown'?: (boolean);
}

export interface HeartbeatReply {
  'sequence': (number);
  'nextMs': (number);
  'leaderKnown': (boolean);
}
