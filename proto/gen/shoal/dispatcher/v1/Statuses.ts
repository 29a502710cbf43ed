// Original file: dispatcher.proto

import type { TaskReportInput as _shoal_dispatcher_v1_TaskReportInput, TaskReport as _shoal_dispatcher_v1_TaskReport } from '../../../shoal/dispatcher/v1/TaskReport.ts';

export interface StatusesInput {
  'reports'?: (_shoal_dispatcher_v1_TaskReportInput)[];
}

export interface Statuses {
  'reports': (_shoal_dispatcher_v1_TaskReport)[];
}
