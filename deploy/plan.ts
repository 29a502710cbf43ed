// What a local cluster consists of, computed from its name and size: every path, name and address. Pure.
// Everything that a cluster makes derives from its name and run directory, so several run side by side.

export interface ClusterPlan {
  readonly name: string;
  readonly runDirectory: string;
  readonly stateDirectory: string;
  readonly program: string;
  readonly network: NetworkPlan;
  readonly nodes: readonly NodePlan[];
}

export interface NetworkPlan {
  readonly switchNamespace: string;
  readonly bridge: string; // inside the switch's namespace
  readonly hostLink: string; // on the host
  readonly hostAddress: string; // with prefix length
  readonly prefixLength: number;
}

export interface NodePlan {
  readonly name: string; // node1
  readonly number: number;
  readonly namespace: string;
  readonly switchPort: string;
  readonly address: string;
  readonly socket: string;
  readonly pidFile: string;
  readonly cgroupFile: string;
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly logFile: string;
  readonly cgroup: string; // below the cgroup mount: /shoal/node1
}

export interface PlanInput {
  readonly name: string;
  readonly nodeCount: number;
  readonly runDirectory: string;
  readonly stateDirectory: string;
  readonly program: string;
  /** The third number of 198.18.X.0/24, a range that is reserved for tests and routed nowhere (RFC 2544). */
  readonly subnet: number;
}

const INTERFACE_NAME_MAX = 15; // IFNAMSIZ less the final zero

export function planCluster(input: PlanInput): ClusterPlan {
  const prefix = `198.18.${input.subnet}`;
  const { name, runDirectory, stateDirectory } = input;
  const node = (number: number): NodePlan => {
    const nodeName = `node${number}`;
    return {
      name: nodeName,
      number,
      namespace: `${name}-${nodeName}`,
      switchPort: `port${number}`,
      address: `${prefix}.${10 + number}`,
      socket: `${runDirectory}/${nodeName}.sock`,
      pidFile: `${runDirectory}/${nodeName}.pid`,
      cgroupFile: `${runDirectory}/${nodeName}.cgroup`,
      dataRoot: `${stateDirectory}/${nodeName}`,
      execRoot: `${runDirectory}/${nodeName}`,
      logFile: `${stateDirectory}/${nodeName}.log`,
      cgroup: `/${name}/${nodeName}`,
    };
  };
  return {
    name,
    runDirectory,
    stateDirectory,
    program: input.program,
    network: {
      switchNamespace: `${name}-switch`,
      bridge: 'switch',
      hostLink: `${name}-host`.slice(0, INTERFACE_NAME_MAX),
      hostAddress: `${prefix}.1`,
      prefixLength: 24,
    },
    nodes: Array.from({ length: input.nodeCount }, (_, index) => node(index + 1)),
  };
}

/** Where to start looking for a free subnet: the same name tends to get the same one. */
export function preferredSubnet(name: string): number {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.charCodeAt(0)) % 250;
  return sum + 1;
}

/** The first free third number, from the preferred one on. `taken` are those of existing routes and clusters. */
export function freeSubnet(name: string, taken: ReadonlySet<number>): number {
  for (let step = 0; step < 250; step++) {
    const candidate = ((preferredSubnet(name) - 1 + step) % 250) + 1;
    if (!taken.has(candidate)) return candidate;
  }
  throw new Error('all of 198.18.1.0/24 to 198.18.250.0/24 are in use on this machine');
}
