// Original file: dispatcher.proto

import type { Long } from '@grpc/proto-loader';

export interface AssignmentInput {
  'kind'?: (string);
  'id'?: (string);
  'version'?: (number | string | Long);
  'removed'?: (boolean);
  'body'?: (Buffer | Uint8Array | string);
}

export interface Assignment {
  'kind': (string);
  'id': (string);
  'version': (number);
  'removed': (boolean);
  'body': (Buffer);
}
