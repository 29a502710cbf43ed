// Original file: dispatcher.proto

import type { ProtocolInput as _shoal_dispatcher_v1_ProtocolInput, Protocol as _shoal_dispatcher_v1_Protocol } from '../../../shoal/dispatcher/v1/Protocol.ts';

export interface StreamOpenedInput {
  'protocol'?: (_shoal_dispatcher_v1_ProtocolInput | null);
  'streamId'?: (string);
}

export interface StreamOpened {
  'protocol': (_shoal_dispatcher_v1_Protocol | null);
  'streamId': (string);
}
