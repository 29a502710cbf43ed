// Original file: ca.proto


export interface ForwardRenewRequestInput {
  'requestPem'?: (string);
  'nodeId'?: (string);
  'keyDigest'?: (string);
}

export interface ForwardRenewRequest {
  'requestPem': (string);
  'nodeId': (string);
  'keyDigest': (string);
}
