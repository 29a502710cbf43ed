// Original file: dispatcher.proto

import type { Long } from '@grpc/proto-loader';

export interface AppliedInput {
  'index'?: (number | string | Long);
}

export interface Applied {
  'index': (number);
}
