// Original file: dispatcher.proto

import type { HelloInput as _shoal_dispatcher_v1_HelloInput, Hello as _shoal_dispatcher_v1_Hello } from '../../../shoal/dispatcher/v1/Hello.ts';
import type { HeartbeatInput as _shoal_dispatcher_v1_HeartbeatInput, Heartbeat as _shoal_dispatcher_v1_Heartbeat } from '../../../shoal/dispatcher/v1/Heartbeat.ts';
import type { StatusesInput as _shoal_dispatcher_v1_StatusesInput, Statuses as _shoal_dispatcher_v1_Statuses } from '../../../shoal/dispatcher/v1/Statuses.ts';
import type { AppliedInput as _shoal_dispatcher_v1_AppliedInput, Applied as _shoal_dispatcher_v1_Applied } from '../../../shoal/dispatcher/v1/Applied.ts';
import type { AwaitOthersInput as _shoal_dispatcher_v1_AwaitOthersInput, AwaitOthers as _shoal_dispatcher_v1_AwaitOthers } from '../../../shoal/dispatcher/v1/AwaitOthers.ts';
import type { StreamRefusedInput as _shoal_dispatcher_v1_StreamRefusedInput, StreamRefused as _shoal_dispatcher_v1_StreamRefused } from '../../../shoal/dispatcher/v1/StreamRefused.ts';
import type { GuestsInput as _shoal_dispatcher_v1_GuestsInput, Guests as _shoal_dispatcher_v1_Guests } from '../../../shoal/dispatcher/v1/Guests.ts';

export interface AgentMessageInput {
  'hello'?: (_shoal_dispatcher_v1_HelloInput | null);
  'heartbeat'?: (_shoal_dispatcher_v1_HeartbeatInput | null);
  'statuses'?: (_shoal_dispatcher_v1_StatusesInput | null);
  'applied'?: (_shoal_dispatcher_v1_AppliedInput | null);
  'awaitOthers'?: (_shoal_dispatcher_v1_AwaitOthersInput | null);
  'streamRefused'?: (_shoal_dispatcher_v1_StreamRefusedInput | null);
  'guests'?: (_shoal_dispatcher_v1_GuestsInput | null);
  'message'?: "hello"|"heartbeat"|"statuses"|"applied"|"awaitOthers"|"streamRefused"|"guests";
}

export interface AgentMessage {
  'hello'?: (_shoal_dispatcher_v1_Hello | null);
  'heartbeat'?: (_shoal_dispatcher_v1_Heartbeat | null);
  'statuses'?: (_shoal_dispatcher_v1_Statuses | null);
  'applied'?: (_shoal_dispatcher_v1_Applied | null);
  'awaitOthers'?: (_shoal_dispatcher_v1_AwaitOthers | null);
  'streamRefused'?: (_shoal_dispatcher_v1_StreamRefused | null);
  'guests'?: (_shoal_dispatcher_v1_Guests | null);
  'message'?: "hello"|"heartbeat"|"statuses"|"applied"|"awaitOthers"|"streamRefused"|"guests";
}
