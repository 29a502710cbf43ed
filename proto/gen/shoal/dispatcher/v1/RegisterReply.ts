// Original file: dispatcher.proto

import type { Long } from '@grpc/proto-loader';

export interface RegisterReplyInput {
  'version'?: (number | string | Long);
}

export interface RegisterReply {
  'version': (number);
}
