// Original file: dispatcher.proto

import type { Long } from '@grpc/proto-loader';

export interface OthersAppliedInput {
  'requestId'?: (number | string | Long);
  'settled'?: (boolean);
}

export interface OthersApplied {
  'requestId': (number);
  'settled': (boolean);
}
