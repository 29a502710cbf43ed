// The parts of the machine's networks and how they are joined; networks.ts says what is done with them, and when.
import { join } from 'node:path';
import { Background } from '../../base/background.ts';
import { sentenceOf } from '../../base/errors.ts';
import { DataPortGuard } from './data-port.ts';
import { bootId, lackOfEsp, lackOfWireguard } from './encryption-means.ts';
import { Endpoints } from './endpoints.ts';
import { EspDriver } from './esp-driver.ts';
import { Firewall } from './firewall.ts';
import { Forgetter } from './forgetter.ts';
import { namesCommand, tunnelCommand } from './helper-commands.ts';
import { IngressMap } from './ingress.ts';
import { espInterfaceId, type Instance, instanceOf, wireguardFirstIndex, wireguardPort } from './instance.ts';
import { KernelLives } from './kernel-lives.ts';
import { MachineBridges } from './machine-bridges.ts';
import { MachineRecord } from './machine-record.ts';
import { machineUpstreams } from './machine-upstreams.ts';
import { Names } from './names.ts';
import type { Netd } from './netd.ts';
import { NetworkChanges } from './network-changes.ts';
import { NetworkTable } from './network-table.ts';
import type { NetworksOptions } from './networks-options.ts';
import { MachineOverlays } from './overlays.ts';
import { Ports } from './ports.ts';
import { RegistryFile } from './registry.ts';
import { Resolvers } from './resolvers.ts';
import { Sandboxes } from './sandboxes.ts';
import { TasksSix } from './tasks-six.ts';
import { Tunnel } from './tunnel.ts';
import { Upkeep } from './upkeep.ts';
import { Ways } from './ways.ts';
import { WireguardDriver } from './wireguard-driver.ts';

const POOL_SIZE = 3;

/** What the parts ask of the whole. */
export interface Whole {
  readonly netd: () => Netd;
  readonly mtu: () => number;
  /** The containers of an earlier daemon are adopted, and nothing is closed yet. */
  readonly isReady: () => boolean;
}

export interface NetworksParts {
  readonly instance: Instance;
  readonly table: NetworkTable;
  readonly record: MachineRecord;
  readonly background: Background;
  readonly names: Names;
  readonly resolvers: Resolvers;
  readonly firewall: Firewall;
  readonly forgetter: Forgetter;
  readonly ports: Ports;
  readonly sandboxes: Sandboxes;
  readonly bridges: MachineBridges;
  readonly tunnel: Tunnel;
  readonly overlays: MachineOverlays;
  readonly endpoints: Endpoints;
  readonly dataPort: DataPortGuard;
  readonly ways: Ways;
  readonly six: TasksSix;
  readonly ingress: IngressMap;
  readonly changes: NetworkChanges;
  readonly upkeep: Upkeep;
}

export function makeParts(options: NetworksOptions, whole: Whole): NetworksParts {
  const base = makeBase(options, whole);
  const { overlays, tunnel } = makeOverlays(options, base);
  const endpoints = new Endpoints(base);
  const services = makeServices(options, base);
  const changes = new NetworkChanges(base);
  const upkeep = new Upkeep({
    ...base,
    audited: () => ({
      ...base,
      ...services,
      linkLocal: base.bridges.linkLocal,
      netd: base.netd(),
      networks: base.table.all(),
      endpoints,
      overlays,
    }),
  });
  return { ...base, ...services, overlays, tunnel, endpoints, changes, upkeep };
}

type Base = ReturnType<typeof makeBase>;

/** What the others lean on. */
function makeBase(options: NetworksOptions, whole: Whole) {
  const { clock, random, log, dataRoot, execRoot } = options;
  const { netd, mtu, isReady } = whole;
  const instance = instanceOf(dataRoot);
  const table = new NetworkTable();
  const background = new Background({
    onFailure: (name, error) => log.warn('network work failed', { name, reason: sentenceOf(error) }),
  });
  const names: Names = new Names((change) => resolvers.tell(change));
  const resolvers = new Resolvers({
    netd,
    names,
    clock,
    log,
    background,
    opener: namesCommand(options.netd),
    machineUpstreams: options.upstreams ?? machineUpstreams,
  });
  const firewall = new Firewall({ netd, table: instance.table, log });
  const record = new MachineRecord({ netd, table, file: new RegistryFile(join(dataRoot, 'network')) });
  const bridges = new MachineBridges({ netd, table, instance, firewall, log });
  return {
    netd,
    mtu,
    isReady,
    clock,
    random,
    log,
    instance,
    table,
    record,
    background,
    names,
    resolvers,
    firewall,
    forgetter: new Forgetter({ netd, clock, background }),
    ports: new Ports(netd),
    sandboxes: new Sandboxes({
      netd,
      directory: join(execRoot, 'netns'),
      instance,
      random,
      log,
      size: options.poolSize ?? POOL_SIZE,
    }),
    bridges,
    letIpv6Pass: () => record.letIpv6Pass(),
    syncRules: () => bridges.syncRules(),
    save: () => record.save(),
  };
}

/** Networks between nodes. */
function makeOverlays(options: NetworksOptions, base: Base): Pick<NetworksParts, 'tunnel' | 'overlays'> {
  const directory = join(options.execRoot, 'overlay');
  const tunnel = new Tunnel({
    ...base,
    ...tunnelCommand(options.netd),
    socketPath: join(options.execRoot, 'tunnel.sock'),
    namespacePath: join(directory, 'tunnel'),
  });
  const esp = new EspDriver({
    ...base,
    lives: new KernelLives({ path: join(options.execRoot, 'encryption.json'), bootId, log: base.log }),
    namespacePath: tunnel.namespacePath,
    ensureNamespace: () => tunnel.ensureNamespace(),
    interfaceId: (networkId) => espInterfaceId(base.instance, networkId),
    probe: async () => await lackOfEsp(base.netd(), join(directory, 'means-esp')),
  });
  const wireguard = new WireguardDriver({
    ...base,
    lives: new KernelLives({ path: join(options.execRoot, 'wireguard.json'), bootId, log: base.log }),
    namespacePath: tunnel.namespacePath,
    ensureNamespace: () => tunnel.ensureNamespace(),
    firstIndex: (networkId) => wireguardFirstIndex(base.instance, networkId),
    firstPort: (networkId, attempt) => wireguardPort(base.instance, networkId, attempt),
    probe: async () => await lackOfWireguard(base.netd(), join(directory, 'means-wireguard')),
  });
  return { tunnel, overlays: new MachineOverlays({ ...base, tunnel, esp, wireguard, directory }) };
}

/** What services' published ports need, in this node and to others. */
function makeServices(
  { execRoot, probePeriodMs }: NetworksOptions,
  base: Base,
): Pick<NetworksParts, 'dataPort' | 'ways' | 'six' | 'ingress'> {
  const { background, instance, netd, firewall } = base;
  const ways = new Ways({
    ...base,
    probePeriodMs,
    onChange: () => background.run('review-ingress', () => ingress.refresh()),
  });
  const six = new TasksSix(base);
  const ingress: IngressMap = new IngressMap({
    ...base,
    ways,
    hasSix: () => six.isOpen,
    path: join(execRoot, 'ingress.json'),
  });
  return { ways, six, ingress, dataPort: new DataPortGuard({ netd, firewall, table: instance.table }) };
}
