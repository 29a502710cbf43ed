// Original file: dispatcher.proto

import type { StreamEndInput as _shoal_dispatcher_v1_StreamEndInput, StreamEnd as _shoal_dispatcher_v1_StreamEnd } from '../../../shoal/dispatcher/v1/StreamEnd.ts';
import type { Long } from '@grpc/proto-loader';

export interface ManagerBytesInput {
  'credit'?: (number | string | Long);
  'data'?: (Buffer | Uint8Array | string);
  'end'?: (_shoal_dispatcher_v1_StreamEndInput | null);
  'message'?: "credit"|"data"|"end";
}

export interface ManagerBytes {
  'credit'?: (number);
  'data'?: (Buffer);
  'end'?: (_shoal_dispatcher_v1_StreamEnd | null);
  'message'?: "credit"|"data"|"end";
}
