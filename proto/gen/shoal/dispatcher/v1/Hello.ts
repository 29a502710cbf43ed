// Original file: dispatcher.proto

import type { ProtocolInput as _shoal_dispatcher_v1_ProtocolInput, Protocol as _shoal_dispatcher_v1_Protocol } from '../../../shoal/dispatcher/v1/Protocol.ts';
import type { Long } from '@grpc/proto-loader';

export interface HelloInput {
  'protocol'?: (_shoal_dispatcher_v1_ProtocolInput | null);
  'sessionId'?: (string);
  'previousSessionId'?: (string);
  'description'?: (Buffer | Uint8Array | string);
  'dataAddress'?: (string);
  'dataPort'?: (number);
  'appliedIndex'?: (number | string | Long);
}

export interface Hello {
  'protocol': (_shoal_dispatcher_v1_Protocol | null);
  'sessionId': (string);
  'previousSessionId': (string);
  'description': (Buffer);
  'dataAddress': (string);
  'dataPort': (number);
  'appliedIndex': (number);
}
