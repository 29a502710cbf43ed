// Original file: ca.proto


export interface GetRootCertificateReplyInput {
  'rootsPem'?: (string)[];
}

export interface GetRootCertificateReply {
  'rootsPem': (string)[];
}
