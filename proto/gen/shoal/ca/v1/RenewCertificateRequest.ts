// Original file: ca.proto


export interface RenewCertificateRequestInput {
  'requestPem'?: (string);
}

export interface RenewCertificateRequest {
  'requestPem': (string);
}
