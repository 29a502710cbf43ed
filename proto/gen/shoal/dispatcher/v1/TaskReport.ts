// Original file: dispatcher.proto


export interface TaskReportInput {
  'taskId'?: (string);
  'status'?: (Buffer | Uint8Array | string);
}

export interface TaskReport {
  'taskId': (string);
  'status': (Buffer);
}
