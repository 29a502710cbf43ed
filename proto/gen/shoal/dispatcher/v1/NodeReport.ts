// Original file: dispatcher.proto

import type { TaskReportInput as _shoal_dispatcher_v1_TaskReportInput, TaskReport as _shoal_dispatcher_v1_TaskReport } from '../../../shoal/dispatcher/v1/TaskReport.ts';

export interface NodeReportInput {
  'nodeId'?: (string);
  'report'?: (_shoal_dispatcher_v1_TaskReportInput | null);
}

export interface NodeReport {
  'nodeId': (string);
  'report': (_shoal_dispatcher_v1_TaskReport | null);
}
