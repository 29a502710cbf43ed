// Original file: dispatcher.proto

import type { SessionLivenessInput as _shoal_dispatcher_v1_SessionLivenessInput, SessionLiveness as _shoal_dispatcher_v1_SessionLiveness } from '../../../shoal/dispatcher/v1/SessionLiveness.ts';
import type { NodeReportInput as _shoal_dispatcher_v1_NodeReportInput, NodeReport as _shoal_dispatcher_v1_NodeReport } from '../../../shoal/dispatcher/v1/NodeReport.ts';
import type { Long } from '@grpc/proto-loader';

export interface ReportRequestInput {
  'managerId'?: (string);
  'sessions'?: (_shoal_dispatcher_v1_SessionLivenessInput)[];
  'reports'?: (_shoal_dispatcher_v1_NodeReportInput)[];
  'managerIndex'?: (number | string | Long);
}

export interface ReportRequest {
  'managerId': (string);
  'sessions': (_shoal_dispatcher_v1_SessionLiveness)[];
  'reports': (_shoal_dispatcher_v1_NodeReport)[];
  'managerIndex': (number);
}
