// Original file: ca.proto


export interface GetRootCertificateRequestInput {
}

export interface GetRootCertificateRequest {
}
