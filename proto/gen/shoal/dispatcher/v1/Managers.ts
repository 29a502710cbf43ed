// Original file: dispatcher.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { AskForStreamReplyInput as _shoal_dispatcher_v1_AskForStreamReplyInput, AskForStreamReply as _shoal_dispatcher_v1_AskForStreamReply } from '../../../shoal/dispatcher/v1/AskForStreamReply.ts';
import type { AskForStreamRequestInput as _shoal_dispatcher_v1_AskForStreamRequestInput, AskForStreamRequest as _shoal_dispatcher_v1_AskForStreamRequest } from '../../../shoal/dispatcher/v1/AskForStreamRequest.ts';
import type { AwaitAppliedReplyInput as _shoal_dispatcher_v1_AwaitAppliedReplyInput, AwaitAppliedReply as _shoal_dispatcher_v1_AwaitAppliedReply } from '../../../shoal/dispatcher/v1/AwaitAppliedReply.ts';
import type { AwaitAppliedRequestInput as _shoal_dispatcher_v1_AwaitAppliedRequestInput, AwaitAppliedRequest as _shoal_dispatcher_v1_AwaitAppliedRequest } from '../../../shoal/dispatcher/v1/AwaitAppliedRequest.ts';
import type { JoinReplyInput as _shoal_dispatcher_v1_JoinReplyInput, JoinReply as _shoal_dispatcher_v1_JoinReply } from '../../../shoal/dispatcher/v1/JoinReply.ts';
import type { JoinRequestInput as _shoal_dispatcher_v1_JoinRequestInput, JoinRequest as _shoal_dispatcher_v1_JoinRequest } from '../../../shoal/dispatcher/v1/JoinRequest.ts';
import type { LeaveReplyInput as _shoal_dispatcher_v1_LeaveReplyInput, LeaveReply as _shoal_dispatcher_v1_LeaveReply } from '../../../shoal/dispatcher/v1/LeaveReply.ts';
import type { LeaveRequestInput as _shoal_dispatcher_v1_LeaveRequestInput, LeaveRequest as _shoal_dispatcher_v1_LeaveRequest } from '../../../shoal/dispatcher/v1/LeaveRequest.ts';
import type { ReadIndexReplyInput as _shoal_dispatcher_v1_ReadIndexReplyInput, ReadIndexReply as _shoal_dispatcher_v1_ReadIndexReply } from '../../../shoal/dispatcher/v1/ReadIndexReply.ts';
import type { ReadIndexRequestInput as _shoal_dispatcher_v1_ReadIndexRequestInput, ReadIndexRequest as _shoal_dispatcher_v1_ReadIndexRequest } from '../../../shoal/dispatcher/v1/ReadIndexRequest.ts';
import type { RegisterReplyInput as _shoal_dispatcher_v1_RegisterReplyInput, RegisterReply as _shoal_dispatcher_v1_RegisterReply } from '../../../shoal/dispatcher/v1/RegisterReply.ts';
import type { RegisterRequestInput as _shoal_dispatcher_v1_RegisterRequestInput, RegisterRequest as _shoal_dispatcher_v1_RegisterRequest } from '../../../shoal/dispatcher/v1/RegisterRequest.ts';
import type { ReportReplyInput as _shoal_dispatcher_v1_ReportReplyInput, ReportReply as _shoal_dispatcher_v1_ReportReply } from '../../../shoal/dispatcher/v1/ReportReply.ts';
import type { ReportRequestInput as _shoal_dispatcher_v1_ReportRequestInput, ReportRequest as _shoal_dispatcher_v1_ReportRequest } from '../../../shoal/dispatcher/v1/ReportRequest.ts';

export interface ManagersClient extends grpc.Client {
  AskForStream(argument: _shoal_dispatcher_v1_AskForStreamRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_AskForStreamReply>): grpc.ClientUnaryCall;
  AskForStream(argument: _shoal_dispatcher_v1_AskForStreamRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_dispatcher_v1_AskForStreamReply>): grpc.ClientUnaryCall;
  AskForStream(argument: _shoal_dispatcher_v1_AskForStreamRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_AskForStreamReply>): grpc.ClientUnaryCall;
  AskForStream(argument: _shoal_dispatcher_v1_AskForStreamRequestInput, callback: grpc.requestCallback<_shoal_dispatcher_v1_AskForStreamReply>): grpc.ClientUnaryCall;
  askForStream(argument: _shoal_dispatcher_v1_AskForStreamRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_AskForStreamReply>): grpc.ClientUnaryCall;
  askForStream(argument: _shoal_dispatcher_v1_AskForStreamRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_dispatcher_v1_AskForStreamReply>): grpc.ClientUnaryCall;
  askForStream(argument: _shoal_dispatcher_v1_AskForStreamRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_AskForStreamReply>): grpc.ClientUnaryCall;
  askForStream(argument: _shoal_dispatcher_v1_AskForStreamRequestInput, callback: grpc.requestCallback<_shoal_dispatcher_v1_AskForStreamReply>): grpc.ClientUnaryCall;
  
  AwaitApplied(argument: _shoal_dispatcher_v1_AwaitAppliedRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_AwaitAppliedReply>): grpc.ClientUnaryCall;
  AwaitApplied(argument: _shoal_dispatcher_v1_AwaitAppliedRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_dispatcher_v1_AwaitAppliedReply>): grpc.ClientUnaryCall;
  AwaitApplied(argument: _shoal_dispatcher_v1_AwaitAppliedRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_AwaitAppliedReply>): grpc.ClientUnaryCall;
  AwaitApplied(argument: _shoal_dispatcher_v1_AwaitAppliedRequestInput, callback: grpc.requestCallback<_shoal_dispatcher_v1_AwaitAppliedReply>): grpc.ClientUnaryCall;
  awaitApplied(argument: _shoal_dispatcher_v1_AwaitAppliedRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_AwaitAppliedReply>): grpc.ClientUnaryCall;
  awaitApplied(argument: _shoal_dispatcher_v1_AwaitAppliedRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_dispatcher_v1_AwaitAppliedReply>): grpc.ClientUnaryCall;
  awaitApplied(argument: _shoal_dispatcher_v1_AwaitAppliedRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_AwaitAppliedReply>): grpc.ClientUnaryCall;
  awaitApplied(argument: _shoal_dispatcher_v1_AwaitAppliedRequestInput, callback: grpc.requestCallback<_shoal_dispatcher_v1_AwaitAppliedReply>): grpc.ClientUnaryCall;
  
  Join(argument: _shoal_dispatcher_v1_JoinRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_JoinReply>): grpc.ClientUnaryCall;
  Join(argument: _shoal_dispatcher_v1_JoinRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_dispatcher_v1_JoinReply>): grpc.ClientUnaryCall;
  Join(argument: _shoal_dispatcher_v1_JoinRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_JoinReply>): grpc.ClientUnaryCall;
  Join(argument: _shoal_dispatcher_v1_JoinRequestInput, callback: grpc.requestCallback<_shoal_dispatcher_v1_JoinReply>): grpc.ClientUnaryCall;
  join(argument: _shoal_dispatcher_v1_JoinRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_JoinReply>): grpc.ClientUnaryCall;
  join(argument: _shoal_dispatcher_v1_JoinRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_dispatcher_v1_JoinReply>): grpc.ClientUnaryCall;
  join(argument: _shoal_dispatcher_v1_JoinRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_JoinReply>): grpc.ClientUnaryCall;
  join(argument: _shoal_dispatcher_v1_JoinRequestInput, callback: grpc.requestCallback<_shoal_dispatcher_v1_JoinReply>): grpc.ClientUnaryCall;
  
  Leave(argument: _shoal_dispatcher_v1_LeaveRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_LeaveReply>): grpc.ClientUnaryCall;
  Leave(argument: _shoal_dispatcher_v1_LeaveRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_dispatcher_v1_LeaveReply>): grpc.ClientUnaryCall;
  Leave(argument: _shoal_dispatcher_v1_LeaveRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_LeaveReply>): grpc.ClientUnaryCall;
  Leave(argument: _shoal_dispatcher_v1_LeaveRequestInput, callback: grpc.requestCallback<_shoal_dispatcher_v1_LeaveReply>): grpc.ClientUnaryCall;
  leave(argument: _shoal_dispatcher_v1_LeaveRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_LeaveReply>): grpc.ClientUnaryCall;
  leave(argument: _shoal_dispatcher_v1_LeaveRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_dispatcher_v1_LeaveReply>): grpc.ClientUnaryCall;
  leave(argument: _shoal_dispatcher_v1_LeaveRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_LeaveReply>): grpc.ClientUnaryCall;
  leave(argument: _shoal_dispatcher_v1_LeaveRequestInput, callback: grpc.requestCallback<_shoal_dispatcher_v1_LeaveReply>): grpc.ClientUnaryCall;
  
  ReadIndex(argument: _shoal_dispatcher_v1_ReadIndexRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_ReadIndexReply>): grpc.ClientUnaryCall;
  ReadIndex(argument: _shoal_dispatcher_v1_ReadIndexRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_dispatcher_v1_ReadIndexReply>): grpc.ClientUnaryCall;
  ReadIndex(argument: _shoal_dispatcher_v1_ReadIndexRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_ReadIndexReply>): grpc.ClientUnaryCall;
  ReadIndex(argument: _shoal_dispatcher_v1_ReadIndexRequestInput, callback: grpc.requestCallback<_shoal_dispatcher_v1_ReadIndexReply>): grpc.ClientUnaryCall;
  readIndex(argument: _shoal_dispatcher_v1_ReadIndexRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_ReadIndexReply>): grpc.ClientUnaryCall;
  readIndex(argument: _shoal_dispatcher_v1_ReadIndexRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_dispatcher_v1_ReadIndexReply>): grpc.ClientUnaryCall;
  readIndex(argument: _shoal_dispatcher_v1_ReadIndexRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_ReadIndexReply>): grpc.ClientUnaryCall;
  readIndex(argument: _shoal_dispatcher_v1_ReadIndexRequestInput, callback: grpc.requestCallback<_shoal_dispatcher_v1_ReadIndexReply>): grpc.ClientUnaryCall;
  
  Register(argument: _shoal_dispatcher_v1_RegisterRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_RegisterReply>): grpc.ClientUnaryCall;
  Register(argument: _shoal_dispatcher_v1_RegisterRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_dispatcher_v1_RegisterReply>): grpc.ClientUnaryCall;
  Register(argument: _shoal_dispatcher_v1_RegisterRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_RegisterReply>): grpc.ClientUnaryCall;
  Register(argument: _shoal_dispatcher_v1_RegisterRequestInput, callback: grpc.requestCallback<_shoal_dispatcher_v1_RegisterReply>): grpc.ClientUnaryCall;
  register(argument: _shoal_dispatcher_v1_RegisterRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_RegisterReply>): grpc.ClientUnaryCall;
  register(argument: _shoal_dispatcher_v1_RegisterRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_dispatcher_v1_RegisterReply>): grpc.ClientUnaryCall;
  register(argument: _shoal_dispatcher_v1_RegisterRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_RegisterReply>): grpc.ClientUnaryCall;
  register(argument: _shoal_dispatcher_v1_RegisterRequestInput, callback: grpc.requestCallback<_shoal_dispatcher_v1_RegisterReply>): grpc.ClientUnaryCall;
  
  Report(argument: _shoal_dispatcher_v1_ReportRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_ReportReply>): grpc.ClientUnaryCall;
  Report(argument: _shoal_dispatcher_v1_ReportRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_dispatcher_v1_ReportReply>): grpc.ClientUnaryCall;
  Report(argument: _shoal_dispatcher_v1_ReportRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_ReportReply>): grpc.ClientUnaryCall;
  Report(argument: _shoal_dispatcher_v1_ReportRequestInput, callback: grpc.requestCallback<_shoal_dispatcher_v1_ReportReply>): grpc.ClientUnaryCall;
  report(argument: _shoal_dispatcher_v1_ReportRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_ReportReply>): grpc.ClientUnaryCall;
  report(argument: _shoal_dispatcher_v1_ReportRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_dispatcher_v1_ReportReply>): grpc.ClientUnaryCall;
  report(argument: _shoal_dispatcher_v1_ReportRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_dispatcher_v1_ReportReply>): grpc.ClientUnaryCall;
  report(argument: _shoal_dispatcher_v1_ReportRequestInput, callback: grpc.requestCallback<_shoal_dispatcher_v1_ReportReply>): grpc.ClientUnaryCall;
  
}

export interface ManagersHandlers extends grpc.UntypedServiceImplementation {
  AskForStream: grpc.handleUnaryCall<_shoal_dispatcher_v1_AskForStreamRequest, _shoal_dispatcher_v1_AskForStreamReplyInput>;
  
  AwaitApplied: grpc.handleUnaryCall<_shoal_dispatcher_v1_AwaitAppliedRequest, _shoal_dispatcher_v1_AwaitAppliedReplyInput>;
  
  Join: grpc.handleUnaryCall<_shoal_dispatcher_v1_JoinRequest, _shoal_dispatcher_v1_JoinReplyInput>;
  
  Leave: grpc.handleUnaryCall<_shoal_dispatcher_v1_LeaveRequest, _shoal_dispatcher_v1_LeaveReplyInput>;
  
  ReadIndex: grpc.handleUnaryCall<_shoal_dispatcher_v1_ReadIndexRequest, _shoal_dispatcher_v1_ReadIndexReplyInput>;
  
  Register: grpc.handleUnaryCall<_shoal_dispatcher_v1_RegisterRequest, _shoal_dispatcher_v1_RegisterReplyInput>;
  
  Report: grpc.handleUnaryCall<_shoal_dispatcher_v1_ReportRequest, _shoal_dispatcher_v1_ReportReplyInput>;
  
}

export interface ManagersDefinition extends grpc.ServiceDefinition {
  AskForStream: MethodDefinition<_shoal_dispatcher_v1_AskForStreamRequestInput, _shoal_dispatcher_v1_AskForStreamReplyInput, _shoal_dispatcher_v1_AskForStreamRequest, _shoal_dispatcher_v1_AskForStreamReply>
  AwaitApplied: MethodDefinition<_shoal_dispatcher_v1_AwaitAppliedRequestInput, _shoal_dispatcher_v1_AwaitAppliedReplyInput, _shoal_dispatcher_v1_AwaitAppliedRequest, _shoal_dispatcher_v1_AwaitAppliedReply>
  Join: MethodDefinition<_shoal_dispatcher_v1_JoinRequestInput, _shoal_dispatcher_v1_JoinReplyInput, _shoal_dispatcher_v1_JoinRequest, _shoal_dispatcher_v1_JoinReply>
  Leave: MethodDefinition<_shoal_dispatcher_v1_LeaveRequestInput, _shoal_dispatcher_v1_LeaveReplyInput, _shoal_dispatcher_v1_LeaveRequest, _shoal_dispatcher_v1_LeaveReply>
  ReadIndex: MethodDefinition<_shoal_dispatcher_v1_ReadIndexRequestInput, _shoal_dispatcher_v1_ReadIndexReplyInput, _shoal_dispatcher_v1_ReadIndexRequest, _shoal_dispatcher_v1_ReadIndexReply>
  Register: MethodDefinition<_shoal_dispatcher_v1_RegisterRequestInput, _shoal_dispatcher_v1_RegisterReplyInput, _shoal_dispatcher_v1_RegisterRequest, _shoal_dispatcher_v1_RegisterReply>
  Report: MethodDefinition<_shoal_dispatcher_v1_ReportRequestInput, _shoal_dispatcher_v1_ReportReplyInput, _shoal_dispatcher_v1_ReportRequest, _shoal_dispatcher_v1_ReportReply>
}
