// Original file: dispatcher.proto

import type { OpenStreamInput as _shoal_dispatcher_v1_OpenStreamInput, OpenStream as _shoal_dispatcher_v1_OpenStream } from '../../../shoal/dispatcher/v1/OpenStream.ts';

export interface AskForStreamRequestInput {
  'nodeId'?: (string);
  'open'?: (_shoal_dispatcher_v1_OpenStreamInput | null);
}

export interface AskForStreamRequest {
  'nodeId': (string);
  'open': (_shoal_dispatcher_v1_OpenStream | null);
}
