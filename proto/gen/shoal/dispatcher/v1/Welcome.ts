// Original file: dispatcher.proto

import type { ProtocolInput as _shoal_dispatcher_v1_ProtocolInput, Protocol as _shoal_dispatcher_v1_Protocol } from '../../../shoal/dispatcher/v1/Protocol.ts';
import type { ClusterNewsInput as _shoal_dispatcher_v1_ClusterNewsInput, ClusterNews as _shoal_dispatcher_v1_ClusterNews } from '../../../shoal/dispatcher/v1/ClusterNews.ts';

export interface WelcomeInput {
  'protocol'?: (_shoal_dispatcher_v1_ProtocolInput | null);
  'heartbeatMs'?: (number);
  'news'?: (_shoal_dispatcher_v1_ClusterNewsInput | null);
}

export interface Welcome {
  'protocol': (_shoal_dispatcher_v1_Protocol | null);
  'heartbeatMs': (number);
  'news': (_shoal_dispatcher_v1_ClusterNews | null);
}
