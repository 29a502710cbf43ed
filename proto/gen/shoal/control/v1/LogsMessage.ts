// Original file: control.proto

import type { ProtocolInput as _shoal_control_v1_ProtocolInput, Protocol as _shoal_control_v1_Protocol } from '../../../shoal/control/v1/Protocol.ts';
import type { LogLineInput as _shoal_control_v1_LogLineInput, LogLine as _shoal_control_v1_LogLine } from '../../../shoal/control/v1/LogLine.ts';

export interface LogsMessageInput {
  'protocol'?: (_shoal_control_v1_ProtocolInput | null);
  'line'?: (_shoal_control_v1_LogLineInput | null);
}

export interface LogsMessage {
  'protocol': (_shoal_control_v1_Protocol | null);
  'line': (_shoal_control_v1_LogLine | null);
}
