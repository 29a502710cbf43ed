// Original file: control.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { ControlReplyInput as _shoal_control_v1_ControlReplyInput, ControlReply as _shoal_control_v1_ControlReply } from '../../../shoal/control/v1/ControlReply.ts';
import type { ControlRequestInput as _shoal_control_v1_ControlRequestInput, ControlRequest as _shoal_control_v1_ControlRequest } from '../../../shoal/control/v1/ControlRequest.ts';

export interface ControlClient extends grpc.Client {
  CreateNetwork(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  CreateNetwork(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  CreateNetwork(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  CreateNetwork(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  createNetwork(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  createNetwork(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  createNetwork(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  createNetwork(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
  CreateService(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  CreateService(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  CreateService(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  CreateService(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  createService(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  createService(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  createService(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  createService(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
  GetCluster(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetCluster(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetCluster(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetCluster(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getCluster(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getCluster(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getCluster(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getCluster(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
  GetNetwork(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetNetwork(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetNetwork(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetNetwork(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getNetwork(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getNetwork(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getNetwork(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getNetwork(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
  GetNetworkMembers(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetNetworkMembers(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetNetworkMembers(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetNetworkMembers(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getNetworkMembers(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getNetworkMembers(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getNetworkMembers(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getNetworkMembers(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
  GetNode(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetNode(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetNode(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetNode(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getNode(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getNode(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getNode(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getNode(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
  GetService(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetService(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetService(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetService(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getService(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getService(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getService(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getService(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
  GetTask(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetTask(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetTask(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetTask(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getTask(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getTask(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getTask(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getTask(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
  GetUnlockKey(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetUnlockKey(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetUnlockKey(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  GetUnlockKey(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getUnlockKey(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getUnlockKey(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getUnlockKey(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  getUnlockKey(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
  ListNetworks(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  ListNetworks(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  ListNetworks(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  ListNetworks(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  listNetworks(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  listNetworks(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  listNetworks(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  listNetworks(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
  ListNodes(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  ListNodes(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  ListNodes(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  ListNodes(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  listNodes(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  listNodes(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  listNodes(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  listNodes(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
  ListServices(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  ListServices(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  ListServices(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  ListServices(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  listServices(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  listServices(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  listServices(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  listServices(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
  ListTasks(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  ListTasks(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  ListTasks(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  ListTasks(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  listTasks(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  listTasks(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  listTasks(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  listTasks(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
  RemoveNetwork(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  RemoveNetwork(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  RemoveNetwork(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  RemoveNetwork(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  removeNetwork(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  removeNetwork(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  removeNetwork(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  removeNetwork(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
  RemoveNode(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  RemoveNode(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  RemoveNode(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  RemoveNode(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  removeNode(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  removeNode(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  removeNode(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  removeNode(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
  RemoveService(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  RemoveService(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  RemoveService(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  RemoveService(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  removeService(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  removeService(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  removeService(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  removeService(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
  SetGuests(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  SetGuests(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  SetGuests(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  SetGuests(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  setGuests(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  setGuests(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  setGuests(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  setGuests(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
  UpdateCluster(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  UpdateCluster(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  UpdateCluster(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  UpdateCluster(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  updateCluster(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  updateCluster(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  updateCluster(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  updateCluster(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
  UpdateNode(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  UpdateNode(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  UpdateNode(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  UpdateNode(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  updateNode(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  updateNode(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  updateNode(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  updateNode(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
  UpdateService(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  UpdateService(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  UpdateService(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  UpdateService(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  updateService(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  updateService(argument: _shoal_control_v1_ControlRequestInput, metadata: grpc.Metadata, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  updateService(argument: _shoal_control_v1_ControlRequestInput, options: grpc.CallOptions, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  updateService(argument: _shoal_control_v1_ControlRequestInput, callback: grpc.requestCallback<_shoal_control_v1_ControlReply>): grpc.ClientUnaryCall;
  
}

export interface ControlHandlers extends grpc.UntypedServiceImplementation {
  CreateNetwork: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
  CreateService: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
  GetCluster: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
  GetNetwork: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
  GetNetworkMembers: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
  GetNode: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
  GetService: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
  GetTask: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
  GetUnlockKey: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
  ListNetworks: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
  ListNodes: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
  ListServices: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
  ListTasks: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
  RemoveNetwork: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
  RemoveNode: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
  RemoveService: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
  SetGuests: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
  UpdateCluster: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
  UpdateNode: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
  UpdateService: grpc.handleUnaryCall<_shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReplyInput>;
  
}

export interface ControlDefinition extends grpc.ServiceDefinition {
  CreateNetwork: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
  CreateService: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
  GetCluster: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
  GetNetwork: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
  GetNetworkMembers: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
  GetNode: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
  GetService: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
  GetTask: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
  GetUnlockKey: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
  ListNetworks: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
  ListNodes: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
  ListServices: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
  ListTasks: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
  RemoveNetwork: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
  RemoveNode: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
  RemoveService: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
  SetGuests: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
  UpdateCluster: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
  UpdateNode: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
  UpdateService: MethodDefinition<_shoal_control_v1_ControlRequestInput, _shoal_control_v1_ControlReplyInput, _shoal_control_v1_ControlRequest, _shoal_control_v1_ControlReply>
}
