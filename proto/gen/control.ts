import type * as grpc from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';

import type { CallerInput as _shoal_control_v1_CallerInput, Caller as _shoal_control_v1_Caller } from './shoal/control/v1/Caller.ts';
import type { ControlClient as _shoal_control_v1_ControlClient, ControlDefinition as _shoal_control_v1_ControlDefinition } from './shoal/control/v1/Control.ts';
import type { ControlReplyInput as _shoal_control_v1_ControlReplyInput, ControlReply as _shoal_control_v1_ControlReply } from './shoal/control/v1/ControlReply.ts';
import type { ControlRequestInput as _shoal_control_v1_ControlRequestInput, ControlRequest as _shoal_control_v1_ControlRequest } from './shoal/control/v1/ControlRequest.ts';
import type { ProtocolInput as _shoal_control_v1_ProtocolInput, Protocol as _shoal_control_v1_Protocol } from './shoal/control/v1/Protocol.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  shoal: {
    control: {
      v1: {
        Caller: MessageTypeDefinition<_shoal_control_v1_CallerInput, _shoal_control_v1_Caller>
        Control: SubtypeConstructor<typeof grpc.Client, _shoal_control_v1_ControlClient> & { service: _shoal_control_v1_ControlDefinition }
        ControlReply: MessageTypeDefinition<_shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlReply>
        ControlRequest: MessageTypeDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlRequest>
        Protocol: MessageTypeDefinition<_shoal_control_v1_ProtocolInput, _shoal_control_v1_Protocol>
      }
    }
  }
}

