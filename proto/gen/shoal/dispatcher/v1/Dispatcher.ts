// Original file: dispatcher.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { AgentBytesInput as _shoal_dispatcher_v1_AgentBytesInput, AgentBytes as _shoal_dispatcher_v1_AgentBytes } from '../../../shoal/dispatcher/v1/AgentBytes.ts';
import type { AgentMessageInput as _shoal_dispatcher_v1_AgentMessageInput, AgentMessage as _shoal_dispatcher_v1_AgentMessage } from '../../../shoal/dispatcher/v1/AgentMessage.ts';
import type { ManagerBytesInput as _shoal_dispatcher_v1_ManagerBytesInput, ManagerBytes as _shoal_dispatcher_v1_ManagerBytes } from '../../../shoal/dispatcher/v1/ManagerBytes.ts';
import type { ManagerMessageInput as _shoal_dispatcher_v1_ManagerMessageInput, ManagerMessage as _shoal_dispatcher_v1_ManagerMessage } from '../../../shoal/dispatcher/v1/ManagerMessage.ts';

export interface DispatcherClient extends grpc.Client {
  Bytes(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_shoal_dispatcher_v1_AgentBytesInput, _shoal_dispatcher_v1_ManagerBytes>;
  Bytes(options?: grpc.CallOptions): grpc.ClientDuplexStream<_shoal_dispatcher_v1_AgentBytesInput, _shoal_dispatcher_v1_ManagerBytes>;
  bytes(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_shoal_dispatcher_v1_AgentBytesInput, _shoal_dispatcher_v1_ManagerBytes>;
  bytes(options?: grpc.CallOptions): grpc.ClientDuplexStream<_shoal_dispatcher_v1_AgentBytesInput, _shoal_dispatcher_v1_ManagerBytes>;
  
  Session(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_shoal_dispatcher_v1_AgentMessageInput, _shoal_dispatcher_v1_ManagerMessage>;
  Session(options?: grpc.CallOptions): grpc.ClientDuplexStream<_shoal_dispatcher_v1_AgentMessageInput, _shoal_dispatcher_v1_ManagerMessage>;
  session(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<_shoal_dispatcher_v1_AgentMessageInput, _shoal_dispatcher_v1_ManagerMessage>;
  session(options?: grpc.CallOptions): grpc.ClientDuplexStream<_shoal_dispatcher_v1_AgentMessageInput, _shoal_dispatcher_v1_ManagerMessage>;
  
}

export interface DispatcherHandlers extends grpc.UntypedServiceImplementation {
  Bytes: grpc.handleBidiStreamingCall<_shoal_dispatcher_v1_AgentBytes, _shoal_dispatcher_v1_ManagerBytesInput>;
  
  Session: grpc.handleBidiStreamingCall<_shoal_dispatcher_v1_AgentMessage, _shoal_dispatcher_v1_ManagerMessageInput>;
  
}

export interface DispatcherDefinition extends grpc.ServiceDefinition {
  Bytes: MethodDefinition<_shoal_dispatcher_v1_AgentBytesInput, _shoal_dispatcher_v1_ManagerBytesInput, _shoal_dispatcher_v1_AgentBytes, _shoal_dispatcher_v1_ManagerBytes>
  Session: MethodDefinition<_shoal_dispatcher_v1_AgentMessageInput, _shoal_dispatcher_v1_ManagerMessageInput, _shoal_dispatcher_v1_AgentMessage, _shoal_dispatcher_v1_ManagerMessage>
}
