import type * as grpc from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';

import type { CertificateRequestsClient as _shoal_ca_v1_CertificateRequestsClient, CertificateRequestsDefinition as _shoal_ca_v1_CertificateRequestsDefinition } from './shoal/ca/v1/CertificateRequests.ts';
import type { CertificatesClient as _shoal_ca_v1_CertificatesClient, CertificatesDefinition as _shoal_ca_v1_CertificatesDefinition } from './shoal/ca/v1/Certificates.ts';
import type { ForwardRenewRequestInput as _shoal_ca_v1_ForwardRenewRequestInput, ForwardRenewRequest as _shoal_ca_v1_ForwardRenewRequest } from './shoal/ca/v1/ForwardRenewRequest.ts';
import type { GetRootCertificateReplyInput as _shoal_ca_v1_GetRootCertificateReplyInput, GetRootCertificateReply as _shoal_ca_v1_GetRootCertificateReply } from './shoal/ca/v1/GetRootCertificateReply.ts';
import type { GetRootCertificateRequestInput as _shoal_ca_v1_GetRootCertificateRequestInput, GetRootCertificateRequest as _shoal_ca_v1_GetRootCertificateRequest } from './shoal/ca/v1/GetRootCertificateRequest.ts';
import type { IssueCertificateRequestInput as _shoal_ca_v1_IssueCertificateRequestInput, IssueCertificateRequest as _shoal_ca_v1_IssueCertificateRequest } from './shoal/ca/v1/IssueCertificateRequest.ts';
import type { IssuedCertificateInput as _shoal_ca_v1_IssuedCertificateInput, IssuedCertificate as _shoal_ca_v1_IssuedCertificate } from './shoal/ca/v1/IssuedCertificate.ts';
import type { RenewCertificateRequestInput as _shoal_ca_v1_RenewCertificateRequestInput, RenewCertificateRequest as _shoal_ca_v1_RenewCertificateRequest } from './shoal/ca/v1/RenewCertificateRequest.ts';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  shoal: {
    ca: {
      v1: {
        CertificateRequests: SubtypeConstructor<typeof grpc.Client, _shoal_ca_v1_CertificateRequestsClient> & { service: _shoal_ca_v1_CertificateRequestsDefinition }
        Certificates: SubtypeConstructor<typeof grpc.Client, _shoal_ca_v1_CertificatesClient> & { service: _shoal_ca_v1_CertificatesDefinition }
        ForwardRenewRequest: MessageTypeDefinition<_shoal_ca_v1_ForwardRenewRequestInput, _shoal_ca_v1_ForwardRenewRequest>
        GetRootCertificateReply: MessageTypeDefinition<_shoal_ca_v1_GetRootCertificateReplyInput, _shoal_ca_v1_GetRootCertificateReply>
        GetRootCertificateRequest: MessageTypeDefinition<_shoal_ca_v1_GetRootCertificateRequestInput, _shoal_ca_v1_GetRootCertificateRequest>
        IssueCertificateRequest: MessageTypeDefinition<_shoal_ca_v1_IssueCertificateRequestInput, _shoal_ca_v1_IssueCertificateRequest>
        IssuedCertificate: MessageTypeDefinition<_shoal_ca_v1_IssuedCertificateInput, _shoal_ca_v1_IssuedCertificate>
        RenewCertificateRequest: MessageTypeDefinition<_shoal_ca_v1_RenewCertificateRequestInput, _shoal_ca_v1_RenewCertificateRequest>
      }
    }
  }
}

