// Original file: ca.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { ForwardRenewRequestInput as _shoal_ca_v1_ForwardRenewRequestInput, ForwardRenewRequest as _shoal_ca_v1_ForwardRenewRequest } from '../../../shoal/ca/v1/ForwardRenewRequest.ts';
import type { IssueCertificateRequestInput as _shoal_ca_v1_IssueCertificateRequestInput, IssueCertificateRequest as _shoal_ca_v1_IssueCertificateRequest } from '../../../shoal/ca/v1/IssueCertificateRequest.ts';
import type { IssuedCertificateInput as _shoal_ca_v1_IssuedCertificateInput, IssuedCertificate as _shoal_ca_v1_IssuedCertificate } from '../../../shoal/ca/v1/IssuedCertificate.ts';
import type { RenewCertificateRequestInput as _shoal_ca_v1_RenewCertificateRequestInput, RenewCertificateRequest as _shoal_ca_v1_RenewCertificateRequest } from '../../../shoal/ca/v1/RenewCertificateRequest.ts';

export interface CertificatesClient extends grpc.Client {
  ForwardIssue(argument: _shoal_ca_v1_IssueCertificateRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  ForwardIssue(argument: _shoal_ca_v1_IssueCertificateRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  ForwardIssue(argument: _shoal_ca_v1_IssueCertificateRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  ForwardIssue(argument: _shoal_ca_v1_IssueCertificateRequestInput, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  forwardIssue(argument: _shoal_ca_v1_IssueCertificateRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  forwardIssue(argument: _shoal_ca_v1_IssueCertificateRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  forwardIssue(argument: _shoal_ca_v1_IssueCertificateRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  forwardIssue(argument: _shoal_ca_v1_IssueCertificateRequestInput, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  
  ForwardRenew(argument: _shoal_ca_v1_ForwardRenewRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  ForwardRenew(argument: _shoal_ca_v1_ForwardRenewRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  ForwardRenew(argument: _shoal_ca_v1_ForwardRenewRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  ForwardRenew(argument: _shoal_ca_v1_ForwardRenewRequestInput, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  forwardRenew(argument: _shoal_ca_v1_ForwardRenewRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  forwardRenew(argument: _shoal_ca_v1_ForwardRenewRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  forwardRenew(argument: _shoal_ca_v1_ForwardRenewRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  forwardRenew(argument: _shoal_ca_v1_ForwardRenewRequestInput, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  
  RenewCertificate(argument: _shoal_ca_v1_RenewCertificateRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  RenewCertificate(argument: _shoal_ca_v1_RenewCertificateRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  RenewCertificate(argument: _shoal_ca_v1_RenewCertificateRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  RenewCertificate(argument: _shoal_ca_v1_RenewCertificateRequestInput, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  renewCertificate(argument: _shoal_ca_v1_RenewCertificateRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  renewCertificate(argument: _shoal_ca_v1_RenewCertificateRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  renewCertificate(argument: _shoal_ca_v1_RenewCertificateRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  renewCertificate(argument: _shoal_ca_v1_RenewCertificateRequestInput, callback: grpc.requestCallback<_shoal_ca_v1_IssuedCertificate>): grpc.ClientUnaryCall;
  
}

export interface CertificatesHandlers extends grpc.UntypedServiceImplementation {
  ForwardIssue: grpc.handleUnaryCall<_shoal_ca_v1_IssueCertificateRequest, _shoal_ca_v1_IssuedCertificateInput>;
  
  ForwardRenew: grpc.handleUnaryCall<_shoal_ca_v1_ForwardRenewRequest, _shoal_ca_v1_IssuedCertificateInput>;
  
  RenewCertificate: grpc.handleUnaryCall<_shoal_ca_v1_RenewCertificateRequest, _shoal_ca_v1_IssuedCertificateInput>;
  
}

export interface CertificatesDefinition extends grpc.ServiceDefinition {
  ForwardIssue: MethodDefinition<_shoal_ca_v1_IssueCertificateRequestInput, _shoal_ca_v1_IssuedCertificateInput, _shoal_ca_v1_IssueCertificateRequest, _shoal_ca_v1_IssuedCertificate>
  ForwardRenew: MethodDefinition<_shoal_ca_v1_ForwardRenewRequestInput, _shoal_ca_v1_IssuedCertificateInput, _shoal_ca_v1_ForwardRenewRequest, _shoal_ca_v1_IssuedCertificate>
  RenewCertificate: MethodDefinition<_shoal_ca_v1_RenewCertificateRequestInput, _shoal_ca_v1_IssuedCertificateInput, _shoal_ca_v1_RenewCertificateRequest, _shoal_ca_v1_IssuedCertificate>
}
