// The parts of the Engine API's objects that the commands read, as they are on the wire.

export interface ServiceJson {
  readonly ID: string;
  readonly Version: { readonly Index: number };
  readonly CreatedAt: string;
  readonly Spec: ServiceSpecJson;
  readonly PreviousSpec?: ServiceSpecJson;
  readonly Endpoint?: { readonly Ports?: readonly PortJson[] };
  readonly UpdateStatus?: { readonly State: string; readonly Message?: string };
  readonly ServiceStatus?: { readonly RunningTasks: number; readonly DesiredTasks: number };
}

export interface ServiceSpecJson {
  readonly Name: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly TaskTemplate: TaskSpecJson;
  readonly Mode: { readonly Replicated?: { readonly Replicas: number }; readonly Global?: object };
  readonly UpdateConfig?: object;
  readonly RollbackConfig?: object;
  readonly EndpointSpec?: { readonly Mode?: string; readonly Ports?: readonly PortJson[] };
}

export interface TaskSpecJson {
  readonly ContainerSpec: ContainerSpecJson;
  readonly Resources?: object;
  readonly RestartPolicy?: object;
  readonly Placement?: object;
  readonly Networks?: readonly { readonly Target: string; readonly Aliases?: readonly string[] }[];
  readonly LogDriver?: object;
  readonly ForceUpdate?: number;
}

export interface ContainerSpecJson {
  readonly Image: string;
  readonly [field: string]: unknown;
}

export interface PortJson {
  readonly Protocol: string;
  readonly TargetPort: number;
  readonly PublishedPort?: number;
  readonly PublishMode?: string;
}

export interface TaskJson {
  readonly ID: string;
  readonly ServiceID: string;
  readonly NodeID?: string;
  readonly Slot?: number;
  readonly CreatedAt: string;
  readonly DesiredState: string;
  readonly Spec: TaskSpecJson;
  readonly Status: {
    readonly Timestamp: string;
    readonly State: string;
    readonly Message?: string;
    readonly Err?: string;
    readonly PortStatus?: { readonly Ports?: readonly PortJson[] };
  };
}

export interface NodeJson {
  readonly ID: string;
  readonly Description: { readonly Hostname: string; readonly Engine?: { readonly EngineVersion?: string } };
  readonly Spec: { readonly Availability: string; readonly Role: string };
  readonly Status: { readonly State: string; readonly Addr?: string };
  readonly ManagerStatus?: { readonly Leader?: boolean; readonly Reachability?: string };
}

export interface ContainerJson {
  readonly Id: string;
  readonly Names: readonly string[];
  readonly Image: string;
  readonly Command: string;
  readonly Created: number;
  readonly Status: string;
  readonly Ports: readonly {
    readonly IP?: string;
    readonly PrivatePort: number;
    readonly PublicPort?: number;
    readonly Type: string;
  }[];
}

export const filtersOf = (filters: Readonly<Record<string, readonly string[]>>): string => JSON.stringify(filters);

export const portText = (ports: readonly PortJson[] | undefined): string =>
  (ports ?? [])
    .filter((port) => port.PublishedPort)
    .map((port) => `*:${port.PublishedPort}->${port.TargetPort}/${port.Protocol}`)
    .join(', ');
