// Original file: dispatcher.proto

import type { Long } from '@grpc/proto-loader';

export interface SessionLivenessInput {
  'nodeId'?: (string);
  'sessionId'?: (string);
  'ageMs'?: (number);
  'appliedIndex'?: (number | string | Long);
  'ended'?: (boolean);
  'idle'?: (boolean);
}

export interface SessionLiveness {
  'nodeId': (string);
  'sessionId': (string);
  'ageMs': (number);
  'appliedIndex': (number);
  'ended': (boolean);
  'idle': (boolean);
}
