// Original file: ca.proto


export interface IssueCertificateRequestInput {
  'requestPem'?: (string);
  'token'?: (string);
  'availability'?: (string);
}

export interface IssueCertificateRequest {
  'requestPem': (string);
  'token': (string);
  'availability': (string);
}
