import type * as grpc from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';

import type { AgentBytesInput as _shoal_dispatcher_v1_AgentBytesInput, AgentBytes as _shoal_dispatcher_v1_AgentBytes } from './shoal/dispatcher/v1/AgentBytes.ts';
import type { AgentMessageInput as _shoal_dispatcher_v1_AgentMessageInput, AgentMessage as _shoal_dispatcher_v1_AgentMessage } from './shoal/dispatcher/v1/AgentMessage.ts';
import type { AppliedInput as _shoal_dispatcher_v1_AppliedInput, Applied as _shoal_dispatcher_v1_Applied } from './shoal/dispatcher/v1/Applied.ts';
import type { AskForStreamReplyInput as _shoal_dispatcher_v1_AskForStreamReplyInput, AskForStreamReply as _shoal_dispatcher_v1_AskForStreamReply } from './shoal/dispatcher/v1/AskForStreamReply.ts';
import type { AskForStreamRequestInput as _shoal_dispatcher_v1_AskForStreamRequestInput, AskForStreamRequest as _shoal_dispatcher_v1_AskForStreamRequest } from './shoal/dispatcher/v1/AskForStreamRequest.ts';
import type { AssignmentInput as _shoal_dispatcher_v1_AssignmentInput, Assignment as _shoal_dispatcher_v1_Assignment } from './shoal/dispatcher/v1/Assignment.ts';
import type { AssignmentsInput as _shoal_dispatcher_v1_AssignmentsInput, Assignments as _shoal_dispatcher_v1_Assignments } from './shoal/dispatcher/v1/Assignments.ts';
import type { AwaitAppliedReplyInput as _shoal_dispatcher_v1_AwaitAppliedReplyInput, AwaitAppliedReply as _shoal_dispatcher_v1_AwaitAppliedReply } from './shoal/dispatcher/v1/AwaitAppliedReply.ts';
import type { AwaitAppliedRequestInput as _shoal_dispatcher_v1_AwaitAppliedRequestInput, AwaitAppliedRequest as _shoal_dispatcher_v1_AwaitAppliedRequest } from './shoal/dispatcher/v1/AwaitAppliedRequest.ts';
import type { AwaitOthersInput as _shoal_dispatcher_v1_AwaitOthersInput, AwaitOthers as _shoal_dispatcher_v1_AwaitOthers } from './shoal/dispatcher/v1/AwaitOthers.ts';
import type { ClusterNewsInput as _shoal_dispatcher_v1_ClusterNewsInput, ClusterNews as _shoal_dispatcher_v1_ClusterNews } from './shoal/dispatcher/v1/ClusterNews.ts';
import type { DispatcherClient as _shoal_dispatcher_v1_DispatcherClient, DispatcherDefinition as _shoal_dispatcher_v1_DispatcherDefinition } from './shoal/dispatcher/v1/Dispatcher.ts';
import type { GuestsInput as _shoal_dispatcher_v1_GuestsInput, Guests as _shoal_dispatcher_v1_Guests } from './shoal/dispatcher/v1/Guests.ts';
import type { GuestsPlacedInput as _shoal_dispatcher_v1_GuestsPlacedInput, GuestsPlaced as _shoal_dispatcher_v1_GuestsPlaced } from './shoal/dispatcher/v1/GuestsPlaced.ts';
import type { HeartbeatInput as _shoal_dispatcher_v1_HeartbeatInput, Heartbeat as _shoal_dispatcher_v1_Heartbeat } from './shoal/dispatcher/v1/Heartbeat.ts';
import type { HeartbeatReplyInput as _shoal_dispatcher_v1_HeartbeatReplyInput, HeartbeatReply as _shoal_dispatcher_v1_HeartbeatReply } from './shoal/dispatcher/v1/HeartbeatReply.ts';
import type { HelloInput as _shoal_dispatcher_v1_HelloInput, Hello as _shoal_dispatcher_v1_Hello } from './shoal/dispatcher/v1/Hello.ts';
import type { JoinReplyInput as _shoal_dispatcher_v1_JoinReplyInput, JoinReply as _shoal_dispatcher_v1_JoinReply } from './shoal/dispatcher/v1/JoinReply.ts';
import type { JoinRequestInput as _shoal_dispatcher_v1_JoinRequestInput, JoinRequest as _shoal_dispatcher_v1_JoinRequest } from './shoal/dispatcher/v1/JoinRequest.ts';
import type { LeaveReplyInput as _shoal_dispatcher_v1_LeaveReplyInput, LeaveReply as _shoal_dispatcher_v1_LeaveReply } from './shoal/dispatcher/v1/LeaveReply.ts';
import type { LeaveRequestInput as _shoal_dispatcher_v1_LeaveRequestInput, LeaveRequest as _shoal_dispatcher_v1_LeaveRequest } from './shoal/dispatcher/v1/LeaveRequest.ts';
import type { ManagerBytesInput as _shoal_dispatcher_v1_ManagerBytesInput, ManagerBytes as _shoal_dispatcher_v1_ManagerBytes } from './shoal/dispatcher/v1/ManagerBytes.ts';
import type { ManagerMessageInput as _shoal_dispatcher_v1_ManagerMessageInput, ManagerMessage as _shoal_dispatcher_v1_ManagerMessage } from './shoal/dispatcher/v1/ManagerMessage.ts';
import type { ManagersClient as _shoal_dispatcher_v1_ManagersClient, ManagersDefinition as _shoal_dispatcher_v1_ManagersDefinition } from './shoal/dispatcher/v1/Managers.ts';
import type { NodeReportInput as _shoal_dispatcher_v1_NodeReportInput, NodeReport as _shoal_dispatcher_v1_NodeReport } from './shoal/dispatcher/v1/NodeReport.ts';
import type { OpenStreamInput as _shoal_dispatcher_v1_OpenStreamInput, OpenStream as _shoal_dispatcher_v1_OpenStream } from './shoal/dispatcher/v1/OpenStream.ts';
import type { OthersAppliedInput as _shoal_dispatcher_v1_OthersAppliedInput, OthersApplied as _shoal_dispatcher_v1_OthersApplied } from './shoal/dispatcher/v1/OthersApplied.ts';
import type { ProtocolInput as _shoal_dispatcher_v1_ProtocolInput, Protocol as _shoal_dispatcher_v1_Protocol } from './shoal/dispatcher/v1/Protocol.ts';
import type { ReadIndexReplyInput as _shoal_dispatcher_v1_ReadIndexReplyInput, ReadIndexReply as _shoal_dispatcher_v1_ReadIndexReply } from './shoal/dispatcher/v1/ReadIndexReply.ts';
import type { ReadIndexRequestInput as _shoal_dispatcher_v1_ReadIndexRequestInput, ReadIndexRequest as _shoal_dispatcher_v1_ReadIndexRequest } from './shoal/dispatcher/v1/ReadIndexRequest.ts';
import type { RegisterReplyInput as _shoal_dispatcher_v1_RegisterReplyInput, RegisterReply as _shoal_dispatcher_v1_RegisterReply } from './shoal/dispatcher/v1/RegisterReply.ts';
import type { RegisterRequestInput as _shoal_dispatcher_v1_RegisterRequestInput, RegisterRequest as _shoal_dispatcher_v1_RegisterRequest } from './shoal/dispatcher/v1/RegisterRequest.ts';
import type { ReportReplyInput as _shoal_dispatcher_v1_ReportReplyInput, ReportReply as _shoal_dispatcher_v1_ReportReply } from './shoal/dispatcher/v1/ReportReply.ts';
import type { ReportRequestInput as _shoal_dispatcher_v1_ReportRequestInput, ReportRequest as _shoal_dispatcher_v1_ReportRequest } from './shoal/dispatcher/v1/ReportRequest.ts';
import type { SessionLivenessInput as _shoal_dispatcher_v1_SessionLivenessInput, SessionLiveness as _shoal_dispatcher_v1_SessionLiveness } from './shoal/dispatcher/v1/SessionLiveness.ts';
import type { StatusesInput as _shoal_dispatcher_v1_StatusesInput, Statuses as _shoal_dispatcher_v1_Statuses } from './shoal/dispatcher/v1/Statuses.ts';
import type { StreamEndInput as _shoal_dispatcher_v1_StreamEndInput, StreamEnd as _shoal_dispatcher_v1_StreamEnd } from './shoal/dispatcher/v1/StreamEnd.ts';
import type { StreamOpenedInput as _shoal_dispatcher_v1_StreamOpenedInput, StreamOpened as _shoal_dispatcher_v1_StreamOpened } from './shoal/dispatcher/v1/StreamOpened.ts';
import type { StreamRefusedInput as _shoal_dispatcher_v1_StreamRefusedInput, StreamRefused as _shoal_dispatcher_v1_StreamRefused } from './shoal/dispatcher/v1/StreamRefused.ts';
import type { TaskReportInput as _shoal_dispatcher_v1_TaskReportInput, TaskReport as _shoal_dispatcher_v1_TaskReport } from './shoal/dispatcher/v1/TaskReport.ts';
import type { WelcomeInput as _shoal_dispatcher_v1_WelcomeInput, Welcome as _shoal_dispatcher_v1_Welcome } from './shoal/dispatcher/v1/Welcome.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  shoal: {
    dispatcher: {
      v1: {
        AgentBytes: MessageTypeDefinition<_shoal_dispatcher_v1_AgentBytesInput, _shoal_dispatcher_v1_AgentBytes>
        AgentMessage: MessageTypeDefinition<_shoal_dispatcher_v1_AgentMessageInput, _shoal_dispatcher_v1_AgentMessage>
        Applied: MessageTypeDefinition<_shoal_dispatcher_v1_AppliedInput, _shoal_dispatcher_v1_Applied>
        AskForStreamReply: MessageTypeDefinition<_shoal_dispatcher_v1_AskForStreamReplyInput, _shoal_dispatcher_v1_AskForStreamReply>
        AskForStreamRequest: MessageTypeDefinition<_shoal_dispatcher_v1_AskForStreamRequestInput, _shoal_dispatcher_v1_AskForStreamRequest>
        Assignment: MessageTypeDefinition<_shoal_dispatcher_v1_AssignmentInput, _shoal_dispatcher_v1_Assignment>
        Assignments: MessageTypeDefinition<_shoal_dispatcher_v1_AssignmentsInput, _shoal_dispatcher_v1_Assignments>
        AwaitAppliedReply: MessageTypeDefinition<_shoal_dispatcher_v1_AwaitAppliedReplyInput, _shoal_dispatcher_v1_AwaitAppliedReply>
        AwaitAppliedRequest: MessageTypeDefinition<_shoal_dispatcher_v1_AwaitAppliedRequestInput, _shoal_dispatcher_v1_AwaitAppliedRequest>
        AwaitOthers: MessageTypeDefinition<_shoal_dispatcher_v1_AwaitOthersInput, _shoal_dispatcher_v1_AwaitOthers>
        ClusterNews: MessageTypeDefinition<_shoal_dispatcher_v1_ClusterNewsInput, _shoal_dispatcher_v1_ClusterNews>
        Dispatcher: SubtypeConstructor<typeof grpc.Client, _shoal_dispatcher_v1_DispatcherClient> & { service: _shoal_dispatcher_v1_DispatcherDefinition }
        Guests: MessageTypeDefinition<_shoal_dispatcher_v1_GuestsInput, _shoal_dispatcher_v1_Guests>
        GuestsPlaced: MessageTypeDefinition<_shoal_dispatcher_v1_GuestsPlacedInput, _shoal_dispatcher_v1_GuestsPlaced>
        Heartbeat: MessageTypeDefinition<_shoal_dispatcher_v1_HeartbeatInput, _shoal_dispatcher_v1_Heartbeat>
        HeartbeatReply: MessageTypeDefinition<_shoal_dispatcher_v1_HeartbeatReplyInput, _shoal_dispatcher_v1_HeartbeatReply>
        Hello: MessageTypeDefinition<_shoal_dispatcher_v1_HelloInput, _shoal_dispatcher_v1_Hello>
        JoinReply: MessageTypeDefinition<_shoal_dispatcher_v1_JoinReplyInput, _shoal_dispatcher_v1_JoinReply>
        JoinRequest: MessageTypeDefinition<_shoal_dispatcher_v1_JoinRequestInput, _shoal_dispatcher_v1_JoinRequest>
        LeaveReply: MessageTypeDefinition<_shoal_dispatcher_v1_LeaveReplyInput, _shoal_dispatcher_v1_LeaveReply>
        LeaveRequest: MessageTypeDefinition<_shoal_dispatcher_v1_LeaveRequestInput, _shoal_dispatcher_v1_LeaveRequest>
        ManagerBytes: MessageTypeDefinition<_shoal_dispatcher_v1_ManagerBytesInput, _shoal_dispatcher_v1_ManagerBytes>
        ManagerMessage: MessageTypeDefinition<_shoal_dispatcher_v1_ManagerMessageInput, _shoal_dispatcher_v1_ManagerMessage>
        Managers: SubtypeConstructor<typeof grpc.Client, _shoal_dispatcher_v1_ManagersClient> & { service: _shoal_dispatcher_v1_ManagersDefinition }
        NodeReport: MessageTypeDefinition<_shoal_dispatcher_v1_NodeReportInput, _shoal_dispatcher_v1_NodeReport>
        OpenStream: MessageTypeDefinition<_shoal_dispatcher_v1_OpenStreamInput, _shoal_dispatcher_v1_OpenStream>
        OthersApplied: MessageTypeDefinition<_shoal_dispatcher_v1_OthersAppliedInput, _shoal_dispatcher_v1_OthersApplied>
        Protocol: MessageTypeDefinition<_shoal_dispatcher_v1_ProtocolInput, _shoal_dispatcher_v1_Protocol>
        ReadIndexReply: MessageTypeDefinition<_shoal_dispatcher_v1_ReadIndexReplyInput, _shoal_dispatcher_v1_ReadIndexReply>
        ReadIndexRequest: MessageTypeDefinition<_shoal_dispatcher_v1_ReadIndexRequestInput, _shoal_dispatcher_v1_ReadIndexRequest>
        RegisterReply: MessageTypeDefinition<_shoal_dispatcher_v1_RegisterReplyInput, _shoal_dispatcher_v1_RegisterReply>
        RegisterRequest: MessageTypeDefinition<_shoal_dispatcher_v1_RegisterRequestInput, _shoal_dispatcher_v1_RegisterRequest>
        ReportReply: MessageTypeDefinition<_shoal_dispatcher_v1_ReportReplyInput, _shoal_dispatcher_v1_ReportReply>
        ReportRequest: MessageTypeDefinition<_shoal_dispatcher_v1_ReportRequestInput, _shoal_dispatcher_v1_ReportRequest>
        SessionLiveness: MessageTypeDefinition<_shoal_dispatcher_v1_SessionLivenessInput, _shoal_dispatcher_v1_SessionLiveness>
        Statuses: MessageTypeDefinition<_shoal_dispatcher_v1_StatusesInput, _shoal_dispatcher_v1_Statuses>
        StreamEnd: MessageTypeDefinition<_shoal_dispatcher_v1_StreamEndInput, _shoal_dispatcher_v1_StreamEnd>
        StreamOpened: MessageTypeDefinition<_shoal_dispatcher_v1_StreamOpenedInput, _shoal_dispatcher_v1_StreamOpened>
        StreamRefused: MessageTypeDefinition<_shoal_dispatcher_v1_StreamRefusedInput, _shoal_dispatcher_v1_StreamRefused>
        TaskReport: MessageTypeDefinition<_shoal_dispatcher_v1_TaskReportInput, _shoal_dispatcher_v1_TaskReport>
        Welcome: MessageTypeDefinition<_shoal_dispatcher_v1_WelcomeInput, _shoal_dispatcher_v1_Welcome>
      }
    }
  }
}

