// Original file: ca.proto


export interface IssuedCertificateInput {
  'nodeId'?: (string);
  'clusterId'?: (string);
  'role'?: (string);
  'certificatePem'?: (string);
  'rootsPem'?: (string)[];
  'managerAddresses'?: (string)[];
}

export interface IssuedCertificate {
  'nodeId': (string);
  'clusterId': (string);
  'role': (string);
  'certificatePem': (string);
  'rootsPem': (string)[];
  'managerAddresses': (string)[];
}
