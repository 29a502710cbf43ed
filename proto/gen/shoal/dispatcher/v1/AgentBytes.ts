// Original file: dispatcher.proto

import type { StreamOpenedInput as _shoal_dispatcher_v1_StreamOpenedInput, StreamOpened as _shoal_dispatcher_v1_StreamOpened } from '../../../shoal/dispatcher/v1/StreamOpened.ts';
import type { StreamEndInput as _shoal_dispatcher_v1_StreamEndInput, StreamEnd as _shoal_dispatcher_v1_StreamEnd } from '../../../shoal/dispatcher/v1/StreamEnd.ts';
import type { Long } from '@grpc/proto-loader';

export interface AgentBytesInput {
  'opened'?: (_shoal_dispatcher_v1_StreamOpenedInput | null);
  'data'?: (Buffer | Uint8Array | string);
  'end'?: (_shoal_dispatcher_v1_StreamEndInput | null);
  'credit'?: (number | string | Long);
  'message'?: "opened"|"data"|"end"|"credit";
}

export interface AgentBytes {
  'opened'?: (_shoal_dispatcher_v1_StreamOpened | null);
  'data'?: (Buffer);
  'end'?: (_shoal_dispatcher_v1_StreamEnd | null);
  'credit'?: (number);
  'message'?: "opened"|"data"|"end"|"credit";
}
