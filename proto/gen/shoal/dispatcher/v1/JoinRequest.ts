// Original file: dispatcher.proto


export interface JoinRequestInput {
  'nodeId'?: (string);
  'joinAddress'?: (string);
  'controlAddress'?: (string);
  'raftAddress'?: (string);
  'logId'?: (string);
}

export interface JoinRequest {
  'nodeId': (string);
  'joinAddress': (string);
  'controlAddress': (string);
  'raftAddress': (string);
  'logId': (string);
}
