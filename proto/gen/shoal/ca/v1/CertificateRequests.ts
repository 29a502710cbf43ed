// Original file: ca.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { GetRootCertificateReplyInput as _shoal_ca_v1_GetRootCertificateReplyInput, GetRootCertificateReply as _shoal_ca_v1_GetRootCertificateReply } from '../../../shoal/ca/v1/GetRootCertificateReply.ts';
import type { GetRootCertificateRequestInput as _shoal_ca_v1_GetRootCertificateRequestInput, GetRootCertificateRequest as _shoal_ca_v1_GetRootCertificateRequest } from '../../../shoal/ca/v1/GetRootCertificateRequest.ts';
import type { IssueCertificateRequestInput as _shoal_ca_v1_IssueCertificateRequestInput, IssueCertificateRequest as _shoal_ca_v1_IssueCertificateRequest } from '../../../shoal/ca/v1/IssueCertificateRequest.ts';
import type { IssuedCertificateInput as _shoal_ca_v1_IssuedCertificateInput, IssuedCertificate as _shoal_ca_v1_IssuedCertificate } from '../../../shoal/ca/v1/IssuedCertificate.ts';

export interface CertificateRequestsClient extends grpc.Client {
  GetRootCertificate(argument: _shoal_ca_v1_GetRootCertificateRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_GetRootCertificateReply>): grpc.ClientUnaryCall;
  GetRootCertificate(argument: _shoal_ca_v1_GetRootCertificateRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_ca_v1_GetRootCertificateReply>): grpc.ClientUnaryCall;
  GetRootCertificate(argument: _shoal_ca_v1_GetRootCertificateRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_GetRootCertificateReply>): grpc.ClientUnaryCall;
  GetRootCertificate(argument: _shoal_ca_v1_GetRootCertificateRequestInput, callback: grpc.requestCallback<_shoal_ca_v1_GetRootCertificateReply>): grpc.ClientUnaryCall;
  getRootCertificate(argument: _shoal_ca_v1_GetRootCertificateRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_GetRootCertificateReply>): grpc.ClientUnaryCall;
  getRootCertificate(argument: _shoal_ca_v1_GetRootCertificateRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_ca_v1_GetRootCertificateReply>): grpc.ClientUnaryCall;
  getRootCertificate(argument: _shoal_ca_v1_GetRootCertificateRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_GetRootCertificateReply>): grpc.ClientUnaryCall;
  getRootCertificate(argument: _shoal_ca_v1_GetRootCertificateRequestInput, callback: grpc.requestCallback<_shoal_ca_v1_GetRootCertificateReply>): grpc.ClientUnaryCall;
  
  IssueCertificate(argument: _shoal_ca_v1_IssueCertificateRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  IssueCertificate(argument: _shoal_ca_v1_IssueCertificateRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  IssueCertificate(argument: _shoal_ca_v1_IssueCertificateRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  IssueCertificate(argument: _shoal_ca_v1_IssueCertificateRequestInput, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  issueCertificate(argument: _shoal_ca_v1_IssueCertificateRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  issueCertificate(argument: _shoal_ca_v1_IssueCertificateRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  issueCertificate(argument: _shoal_ca_v1_IssueCertificateRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  issueCertificate(argument: _shoal_ca_v1_IssueCertificateRequestInput, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  
}

export interface CertificateRequestsHandlers extends grpc.UntypedServiceImplementation {
  GetRootCertificate: grpc.handleUnaryCall<_shoal_ca_v1_GetRootCertificateRequest, _shoal_ca_v1_GetRootCertificateReplyInput>;
  
  IssueCertificate: grpc.handleUnaryCall<_shoal_ca_v1_IssueCertificateRequest, _shoal_ca_v1_IssuedCertificateInput>;
  
}

export interface CertificateRequestsDefinition extends grpc.ServiceDefinition {
  GetRootCertificate: MethodDefinition<_shoal_ca_v1_GetRootCertificateRequestInput, _shoal_ca_v1_GetRootCertificateReplyInput, _shoal_ca_v1_GetRootCertificateRequest, _shoal_ca_v1_GetRootCertificateReply>
  IssueCertificate: MethodDefinition<_shoal_ca_v1_IssueCertificateRequestInput, _shoal_ca_v1_IssuedCertificateInput, _shoal_ca_v1_IssueCertificateRequest, _shoal_ca_v1_IssuedCertificate>
}
