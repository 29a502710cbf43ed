// Original file: dispatcher.proto

import type { Long } from '@grpc/proto-loader';

export interface AwaitAppliedRequestInput {
  'exceptNodeId'?: (string);
  'index'?: (number | string | Long);
  'timeoutMs'?: (number);
}

export interface AwaitAppliedRequest {
  'exceptNodeId': (string);
  'index': (number);
  'timeoutMs': (number);
}
