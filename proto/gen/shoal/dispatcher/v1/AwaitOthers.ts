// Original file: dispatcher.proto

import type { Long } from '@grpc/proto-loader';

export interface AwaitOthersInput {
  'requestId'?: (number | string | Long);
  'index'?: (number | string | Long);
  'timeoutMs'?: (number);
}

export interface AwaitOthers {
  'requestId': (number);
  'index': (number);
  'timeoutMs': (number);
}
