// The services between nodes, loaded once.
import type { ProtoGrpcType as CaProto } from './gen/ca.ts';
import type { ProtoGrpcType as ControlProto } from './gen/control.ts';
import type { ProtoGrpcType as DispatcherProto } from './gen/dispatcher.ts';
import { loadProto } from './rpc.ts';

const ca = loadProto<CaProto>('ca.proto').shoal.ca.v1;
const control = loadProto<ControlProto>('control.proto').shoal.control.v1;
const dispatcher = loadProto<DispatcherProto>('dispatcher.proto').shoal.dispatcher.v1;

export const CertificateRequests = ca.CertificateRequests.service;
export const Certificates = ca.Certificates.service;
export const Dispatcher = dispatcher.Dispatcher.service;
export const Managers = dispatcher.Managers.service;
export const Control = control.Control.service;
