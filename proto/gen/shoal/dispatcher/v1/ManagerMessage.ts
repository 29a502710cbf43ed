// Original file: dispatcher.proto

import type { WelcomeInput as _shoal_dispatcher_v1_WelcomeInput, Welcome as _shoal_dispatcher_v1_Welcome } from '../../../shoal/dispatcher/v1/Welcome.ts';
import type { HeartbeatReplyInput as _shoal_dispatcher_v1_HeartbeatReplyInput, HeartbeatReply as _shoal_dispatcher_v1_HeartbeatReply } from '../../../shoal/dispatcher/v1/HeartbeatReply.ts';
import type { AssignmentsInput as _shoal_dispatcher_v1_AssignmentsInput, Assignments as _shoal_dispatcher_v1_Assignments } from '../../../shoal/dispatcher/v1/Assignments.ts';
import type { OthersAppliedInput as _shoal_dispatcher_v1_OthersAppliedInput, OthersApplied as _shoal_dispatcher_v1_OthersApplied } from '../../../shoal/dispatcher/v1/OthersApplied.ts';
import type { OpenStreamInput as _shoal_dispatcher_v1_OpenStreamInput, OpenStream as _shoal_dispatcher_v1_OpenStream } from '../../../shoal/dispatcher/v1/OpenStream.ts';
import type { ClusterNewsInput as _shoal_dispatcher_v1_ClusterNewsInput, ClusterNews as _shoal_dispatcher_v1_ClusterNews } from '../../../shoal/dispatcher/v1/ClusterNews.ts';
import type { GuestsPlacedInput as _shoal_dispatcher_v1_GuestsPlacedInput, GuestsPlaced as _shoal_dispatcher_v1_GuestsPlaced } from '../../../shoal/dispatcher/v1/GuestsPlaced.ts';

export interface ManagerMessageInput {
  'welcome'?: (_shoal_dispatcher_v1_WelcomeInput | null);
  'heartbeatReply'?: (_shoal_dispatcher_v1_HeartbeatReplyInput | null);
  'assignments'?: (_shoal_dispatcher_v1_AssignmentsInput | null);
  'othersApplied'?: (_shoal_dispatcher_v1_OthersAppliedInput | null);
  'openStream'?: (_shoal_dispatcher_v1_OpenStreamInput | null);
  'news'?: (_shoal_dispatcher_v1_ClusterNewsInput | null);
  'guestsPlaced'?: (_shoal_dispatcher_v1_GuestsPlacedInput | null);
  'message'?: "welcome"|"heartbeatReply"|"assignments"|"othersApplied"|"openStream"|"news"|"guestsPlaced";
}

export interface ManagerMessage {
  'welcome'?: (_shoal_dispatcher_v1_Welcome | null);
  'heartbeatReply'?: (_shoal_dispatcher_v1_HeartbeatReply | null);
  'assignments'?: (_shoal_dispatcher_v1_Assignments | null);
  'othersApplied'?: (_shoal_dispatcher_v1_OthersApplied | null);
  'openStream'?: (_shoal_dispatcher_v1_OpenStream | null);
  'news'?: (_shoal_dispatcher_v1_ClusterNews | null);
  'guestsPlaced'?: (_shoal_dispatcher_v1_GuestsPlaced | null);
  'message'?: "welcome"|"heartbeatReply"|"assignments"|"othersApplied"|"openStream"|"news"|"guestsPlaced";
}
