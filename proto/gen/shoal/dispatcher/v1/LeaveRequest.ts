// Original file: dispatcher.proto


export interface LeaveRequestInput {
  'nodeId'?: (string);
}

export interface LeaveRequest {
  'nodeId': (string);
}
