// Original file: control.proto

import type { ProtocolInput as _shoal_control_v1_ProtocolInput, Protocol as _shoal_control_v1_Protocol } from '../../../shoal/control/v1/Protocol.ts';
import type { CallerInput as _shoal_control_v1_CallerInput, Caller as _shoal_control_v1_Caller } from '../../../shoal/control/v1/Caller.ts';

export interface LogsRequestInput {
  'protocol'?: (_shoal_control_v1_ProtocolInput | null);
  'caller'?: (_shoal_control_v1_CallerInput | null);
  'json'?: (Buffer | Uint8Array | string);
}

export interface LogsRequest {
  'protocol': (_shoal_control_v1_Protocol | null);
  'caller': (_shoal_control_v1_Caller | null);
  'json': (Buffer);
}
