// Networks as the Engine API writes them.
export interface PoolJson {
  Subnet?: string;
  Gateway?: string;
  IPRange?: string;
  AuxiliaryAddresses?: Record<string, string>;
}

export interface NetworkJson {
  Name: string;
  Id: string;
  Created: string;
  Scope: string;
  Driver: string;
  EnableIPv4: boolean;
  EnableIPv6: boolean;
  IPAM: { Driver: string; Options: Record<string, string> | null; Config: PoolJson[] };
  Internal: boolean;
  Attachable: boolean;
  Ingress: boolean;
  ConfigFrom: { Network: string };
  ConfigOnly: boolean;
  Containers: Record<
    string,
    { Name: string; EndpointID: string; MacAddress: string; IPv4Address: string; IPv6Address: string }
  >;
  Options: Record<string, string>;
  Labels: Record<string, string>;
}

/** A service on a network, as a verbose inspect shows it. */
export interface NetworkPeerJson {
  Name: string;
  IP: string;
  /** Ours: by how many changes of the cluster the node is behind. */
  Lag: number;
  /** Ours, of encrypted networks: how the node that is asked reaches this one. */
  Encryption?: {
    Means: string; // `none`: not at all, for the reason
    Reason?: string;
    Open: boolean; // it has answered
    Sent: number;
    Received: number;
    Replayed: number;
    Altered: number;
  };
}

/** Ours: how services' published ports lead on from the node that is asked. */
export interface IngressJson {
  ClientAddresses: 'kept' | 'hidden';
  Reason?: string;
  Nodes: { IP: string; IPv4Clients: 'kept' | 'hidden'; IPv6: 'carried' | 'not carried'; Reasons: string[] }[];
  Ports: { Port: string; Tasks: string[]; Nodes: string[] }[];
}

export interface NetworkServiceJson {
  VIP: string;
  Ports: string[];
  LocalLBIndex: number;
  Tasks: { Name: string; EndpointID: string; EndpointIP: string; Info: Record<string, string> }[];
}
