// Original file: dispatcher.proto

import type { Long } from '@grpc/proto-loader';

export interface ReadIndexReplyInput {
  'index'?: (number | string | Long);
  'reachable'?: (string)[];
}

export interface ReadIndexReply {
  'index': (number);
  'reachable': (string)[];
}
