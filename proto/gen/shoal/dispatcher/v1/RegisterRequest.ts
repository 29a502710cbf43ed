// Original file: dispatcher.proto


export interface RegisterRequestInput {
  'nodeId'?: (string);
  'sessionId'?: (string);
  'previousSessionId'?: (string);
  'keyDigest'?: (string);
  'description'?: (Buffer | Uint8Array | string);
  'dataAddress'?: (string);
  'dataPort'?: (number);
  'address'?: (string);
  'managerId'?: (string);
}

export interface RegisterRequest {
  'nodeId': (string);
  'sessionId': (string);
  'previousSessionId': (string);
  'keyDigest': (string);
  'description': (Buffer);
  'dataAddress': (string);
  'dataPort': (number);
  'address': (string);
  'managerId': (string);
}
