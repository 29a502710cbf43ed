// The machine's networks, put together: `createNetworks` makes what runtime/network/contract.ts promises.
// Kernel state outlives the daemon; `shutdown({ keep: true })` leaves it, `destroy` removes all of it.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Background } from '../../base/background.ts';
import type { Clock } from '../../base/clock.ts';
import { CodedError, sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { Scope } from '../../base/scope.ts';
import { isSix, parseIp } from './addresses.ts';
import type { AuditReport } from './audit.ts';
import { type Bridge, ensureBridge, uplinkMtu } from './bridges.ts';
import type {
  Endpoint,
  EndpointRequest,
  GuestDesk,
  IngressPort,
  NetworkInfo,
  NetworkReport,
  Networks,
  Upstream,
} from './contract.ts';
import { publishedPorts } from './endpoint-facts.ts';
import { DataPortGuard } from './data-port.ts';
import { Endpoints } from './endpoints.ts';
import { Firewall } from './firewall.ts';
import { Forgetter } from './forgetter.ts';
import {
  applyHostSettings,
  applyIpv6Settings,
  recordHostSettings,
  recordIpv6Settings,
  restoreHostSettings,
} from './host-settings.ts';
import { IngressMap } from './ingress.ts';
import { type Instance, instanceOf } from './instance.ts';
import { ensureParent } from './lan.ts';
import { deleteLinkGroup } from './link-messages.ts';
import { Netd } from './netd.ts';
import { NETLINK_ROUTE } from './netd-protocol.ts';
import { MessageWriter } from './netlink.ts';
import { type NetworkRequest, NetworkChanges } from './network-changes.ts';
import { Names } from './names.ts';
import { infoOf, type NetworkState, NetworkTable, stateOf } from './network-table.ts';
import { MachineOverlays } from './overlays.ts';
import { Ports } from './ports.ts';
import { machineUpstreams } from './machine-upstreams.ts';
import { Resolvers } from './resolvers.ts';
import { withPredefined } from './predefined.ts';
import { type HostRecord, type LanRecord, type NetworkRecord, RegistryFile } from './registry.ts';
import type { BridgeRules } from './ruleset-bridges.ts';
import { type PublishedPort, publishedKey } from './ruleset-published.ts';
import { Sandboxes } from './sandboxes.ts';
import { Tunnel } from './tunnel.ts';
import { Upkeep } from './upkeep.ts';
import { TasksSix } from './tasks-six.ts';
import { Ways } from './ways.ts';

const POOL_SIZE = 3;
const AUDIT_PERIOD_MS = 10_000;

export interface NetworksOptions {
  /** How netd is started, for example { command: '/…/shoal-native', args: ['netd'] }. */
  readonly netd: { readonly command: string; readonly args: readonly string[] };
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The default bridge; name and subnet are chosen when absent. */
  readonly bridge?: { readonly name?: string; readonly subnet?: string; readonly mtu?: number };
  readonly poolSize?: number;
  readonly auditPeriodMs?: number; // 0: never by itself
  /** How often other nodes are asked whether they hear this one. */
  readonly probePeriodMs?: number;
  /** What is asked for names that no network of ours has; absent: what the machine's resolv.conf says. */
  readonly upstreams?: () => Promise<readonly Upstream[]>;
}

export interface MachineNetworks extends Networks, AsyncDisposable {
  /** Compares kernel and wanted, repairs, and says what was wrong. */
  audit(): Promise<AuditReport>;
  /** The daemon ends. `keep`: containers go on, with their network; otherwise as `destroy`. */
  shutdown(options: { keep: boolean }): Promise<void>;
  /** The node is deleted: links, namespaces, rules and settings are as before. */
  destroy(): Promise<void>;
}

export async function createNetworks(options: NetworksOptions): Promise<MachineNetworks> {
  await using undo = new Scope();
  const { networks, open } = beginNetworks(options);
  undo.own(networks);
  await open;
  undo.handOver();
  return networks;
}

/** For who has something else to do until they are open. */
export function beginNetworks(options: NetworksOptions): { networks: MachineNetworks; open: Promise<void> } {
  const networks = new BridgeNetworks(options);
  const open = networks.open();
  open.catch(() => undefined); // whoever waits for it has its failure
  return { networks, open };
}

class BridgeNetworks implements MachineNetworks {
  guests: GuestDesk | undefined;
  readonly names: Names;
  readonly overlays: MachineOverlays;
  readonly #options: NetworksOptions;
  readonly #instance: Instance;
  readonly #registry: RegistryFile;
  readonly #table = new NetworkTable();
  readonly #background: Background;
  readonly #firewall: Firewall;
  readonly #forgetter: Forgetter;
  readonly #ports: Ports;
  readonly #sandboxes: Sandboxes;
  readonly #endpoints: Endpoints;
  readonly #ways: Ways;
  readonly #dataPort: DataPortGuard;
  readonly #ingress: IngressMap;
  readonly #changes: NetworkChanges;
  readonly #resolvers: Resolvers;
  readonly #upkeep: Upkeep;
  readonly #tunnel: Tunnel;
  readonly #six: TasksSix;
  #netd: Netd | undefined;
  #host: HostRecord | undefined;
  #mtu = 1500;
  #adopted = false;
  #closed = false;

  constructor(options: NetworksOptions) {
    const { clock, random, log, dataRoot, execRoot } = options;
    const netd = (): Netd => this.#running();
    this.#options = options;
    this.#instance = instanceOf(dataRoot);
    this.#registry = new RegistryFile(join(dataRoot, 'network'));
    this.#background = new Background({
      onFailure: (name, error) => log.warn('network work failed', { name, reason: sentenceOf(error) }),
    });
    this.names = new Names((change) => this.#resolvers.tell(change));
    this.#firewall = new Firewall({ netd, table: this.#instance.table, log });
    this.#forgetter = new Forgetter({ netd, clock, background: this.#background });
    this.#ports = new Ports(netd);
    this.#sandboxes = new Sandboxes({
      netd,
      directory: join(execRoot, 'netns'),
      instance: this.#instance,
      random,
      log,
      size: options.poolSize ?? POOL_SIZE,
    });
    this.#resolvers = new Resolvers({
      netd,
      names: this.names,
      clock,
      log,
      background: this.#background,
      opener: namesCommand(options.netd),
      machineUpstreams: options.upstreams ?? machineUpstreams,
    });
    const shared = {
      netd,
      clock,
      random,
      log,
      sandboxes: this.#sandboxes,
      ports: this.#ports,
      firewall: this.#firewall,
      forgetter: this.#forgetter,
      background: this.#background,
      names: this.names,
      resolvers: this.#resolvers,
    };
    this.#tunnel = new Tunnel({
      ...shared,
      ...tunnelCommand(options.netd),
      socketPath: join(execRoot, 'tunnel.sock'),
      namespacePath: join(execRoot, 'overlay', 'tunnel'),
    });
    this.overlays = new MachineOverlays({
      ...shared,
      tunnel: this.#tunnel,
      instance: this.#instance,
      table: this.#table,
      directory: join(execRoot, 'overlay'),
      mtu: () => this.#mtu,
      save: () => this.#saveRegistry(),
    });
    this.#endpoints = new Endpoints(shared);
    this.#ways = new Ways({
      ...shared,
      instance: this.#instance,
      mtu: () => this.#mtu,
      probePeriodMs: options.probePeriodMs,
      onChange: () => this.#background.run('review-ingress', () => this.#ingress.refresh()),
    });
    this.#dataPort = new DataPortGuard({ netd, firewall: this.#firewall, table: this.#instance.table });
    this.#six = new TasksSix({
      ...shared,
      instance: this.#instance,
      table: this.#table,
      letIpv6Pass: () => this.#letIpv6Pass(),
    });
    this.#ingress = new IngressMap({
      ...shared,
      ways: this.#ways,
      hasSix: () => this.#six.isOpen,
      path: join(execRoot, 'ingress.json'),
    });
    this.#changes = new NetworkChanges({
      ...shared,
      instance: this.#instance,
      table: this.#table,
      mtu: () => this.#mtu,
      syncRules: () => this.#syncBridges(),
      letIpv6Pass: () => this.#letIpv6Pass(),
      save: () => this.#saveRegistry(),
    });
    this.#upkeep = new Upkeep({
      ...shared,
      isReady: () => this.#adopted && !this.#closed,
      audited: () => ({
        netd: netd(),
        instance: this.#instance,
        networks: this.#table.all(),
        endpoints: this.#endpoints,
        firewall: this.#firewall,
        overlays: this.overlays,
        ways: this.#ways,
      }),
    });
  }

  async open(): Promise<void> {
    const { netd, clock, random, log, execRoot } = this.#options;
    await mkdir(execRoot, { recursive: true, mode: 0o710 });
    const registry = await this.#registry.load();
    this.#netd = await Netd.start({
      ...netd,
      clock,
      random,
      log,
      onGeneration: () => this.#upkeep.checkRules(),
      onHeard: (address) => this.#ways.heard(address),
      onLink: (event) => this.#upkeep.onLink(event),
      onRestart: () => this.#background.run('hold-ports-again', () => this.#afterNetdRestart()),
    });
    this.#host = await recordHostSettings(this.#netd, registry.host);
    await this.#registry.save({ ...registry, host: this.#host });
    this.#mtu = this.#options.bridge?.mtu ?? (await uplinkMtu(this.#netd));
    await this.#sandboxes.open();
    await this.#ports.open();
    await this.overlays.open();
    const isOverlay = (record: NetworkRecord): boolean => record.driver === 'overlay';
    const local = registry.networks.filter((record) => !isOverlay(record));
    const records = await withPredefined(local, {
      ...this.#options,
      netd: this.#netd,
      instance: this.#instance,
      mtu: this.#mtu,
      bridge: this.#options.bridge,
    });
    for (const record of records) this.#table.add(stateOf(record, this.#mtu));
    for (const record of registry.networks.filter(isOverlay)) this.overlays.take(record);
    await this.#passIpv6IfNeeded();
    await this.#ensureBridges();
    await applyHostSettings(this.#netd);
    await this.#saveRegistry();
    const dataPort = await this.#ways.adopt();
    if (dataPort !== undefined) await this.#dataPort.adopt(dataPort);
    if (dataPort !== undefined) await this.#adoptSix();
    await this.#ingress.restore();
    this.#sandboxes.fill();
    this.#background.run('ask-nodes', (abort) => this.#ways.keepAsking(abort));
    const periodMs = this.#options.auditPeriodMs ?? AUDIT_PERIOD_MS;
    if (periodMs > 0) this.#background.run('audit', (abort) => this.#upkeep.runPeriodically(periodMs, abort));
  }

  list(): readonly NetworkInfo[] {
    return this.#table.all().map(infoOf);
  }

  get(idOrName: string): NetworkInfo {
    return infoOf(this.#table.find(idOrName));
  }

  create(request: NetworkRequest): Promise<NetworkInfo> {
    this.#mustBeOpen();
    return this.#changes.create(request);
  }

  remove(idOrName: string): Promise<void> {
    this.#mustBeOpen();
    return this.#changes.remove(idOrName);
  }

  async join(request: EndpointRequest): Promise<Endpoint> {
    this.#mustBeOpen();
    this.#adopted = true;
    if (request.reachedBySix && !this.#six.isOpen && (await this.#six.open())) await this.#syncBridges();
    return await this.#endpoints.join(this.#table.find(request.network), request);
  }

  async leave(endpoint: Endpoint, { keepSandbox } = { keepSandbox: false }): Promise<void> {
    const network = this.#table.all().find((state) => state.record.id === endpoint.networkId);
    if (!network) return;
    await this.#endpoints.leave(network, endpoint.id, keepSandbox);
    if (network.overlay) this.guests?.release(endpoint.containerId, network.record.id);
  }

  releaseSandbox(sandboxPath: string): void {
    this.#endpoints.releaseSandbox(sandboxPath);
  }

  async adopt(endpoints: readonly Endpoint[], sandboxPaths: readonly string[] = []): Promise<void> {
    this.#mustBeOpen();
    for (const path of sandboxPaths) this.#endpoints.adoptSandbox(path);
    const hasSix = ({ networkName, address6 }: Endpoint): boolean => networkName === 'bridge' && address6 !== undefined;
    if (endpoints.some(hasSix)) await this.#adoptSix();
    for (const endpoint of endpoints) {
      const network = this.#table.all().find((state) => state.record.id === endpoint.networkId);
      if (network) await this.#endpoints.adopt(network, endpoint);
      else
        this.#options.log.warn('an endpoint of an unknown network was dropped', {
          id: endpoint.id,
          network: endpoint.networkName,
        });
    }
    const published = this.#table.all().flatMap(publishedOf);
    await this.#firewall.set((wanted) => ({
      ...wanted,
      published: new Map([...wanted.published, ...published.map((port) => [publishedKey(port), port] as const)]),
    }));
    await this.#endpoints.answerAdoptedNames();
    this.#adopted = true;
    await this.#dropUnknownSandboxes();
    await this.overlays.sweep();
    await this.audit();
  }

  applyIngress(index: number, ports: readonly IngressPort[]): Promise<void> {
    this.#mustBeOpen();
    return this.#ingress.apply(index, ports);
  }

  async openWays(port: number): Promise<boolean> {
    this.#mustBeOpen();
    await this.#dataPort.open(port);
    const isOpen = await this.#ways.open(port);
    if (await this.#six.open()) {
      await this.#syncBridges();
      await this.#ways.carrySix();
      await this.#ingress.refresh();
    }
    return isOpen;
  }

  async knowNodes(addresses: readonly string[]): Promise<void> {
    this.#mustBeOpen();
    await this.#dataPort.know(addresses);
    await this.#ways.knowPeers(this.#dataPort.peers);
  }

  async clearIngress(): Promise<void> {
    this.#mustBeOpen();
    await this.#ingress.clear();
    await this.#ways.close();
    await this.#dataPort.close();
  }

  async breakConnections(addresses: readonly string[]): Promise<void> {
    const lost = addresses.map((address) => parseIp(address));
    const six = lost.flatMap((address) => (isSix(address) ? [] : this.#ways.sixesOf(address)));
    await this.#forgetter.forget([...lost, ...six].map((serverAddress) => ({ serverAddress })));
  }

  async report(): Promise<NetworkReport> {
    this.#mustBeOpen();
    const unreached = this.overlays.unreached();
    return { ...(await this.#upkeep.report()), encryption: await this.overlays.means(), unreached };
  }

  audit(): Promise<AuditReport> {
    this.#mustBeOpen();
    return this.#upkeep.audit();
  }

  async shutdown({ keep }: { keep: boolean }): Promise<void> {
    if (this.#closed) return;
    if (!keep) return await this.destroy();
    this.#closed = true;
    this.#tunnel.close();
    await this.#background.stop();
    await this.#resolvers.close();
    if (!this.#netd) return;
    await this.#forgetter.flush();
    await this.#sandboxes.close();
    await this.#netd.close();
  }

  async destroy(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#background.stop();
    await this.#resolvers.close();
    this.#forgetter.cancel();
    await this.#sandboxes.close();
    const netd = this.#running();
    await Promise.all((await this.#sandboxes.paths()).map((path) => this.#sandboxes.discard(path)));
    await this.overlays.destroy();
    this.#tunnel.close();
    await this.#ways.close();
    await this.#firewall.remove();
    await this.#removeLinks(netd);
    if (this.#host) await restoreHostSettings(netd, this.#host, this.#instance.table);
    await netd.close();
    const { dataRoot, execRoot } = this.#options;
    const leftovers = [
      join(execRoot, 'netns'),
      join(execRoot, 'overlay'),
      join(execRoot, 'ingress.json'),
      join(dataRoot, 'network'),
    ];
    for (const path of leftovers) await rm(path, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown({ keep: true });
  }

  #running(): Netd {
    return this.#netd ?? failClosed();
  }

  #mustBeOpen(): void {
    if (this.#closed) failClosed();
  }

  async #ensureBridges(): Promise<void> {
    for (const state of this.#table.all()) {
      if (!state.bridge || state.overlay) continue;
      const { lan } = state.record;
      if (lan) await this.#findParent(state, state.bridge, lan);
      else state.bridgeIndex = await ensureBridge(this.#running(), state.bridge, this.#instance);
    }
    // The kernel gets the rules with the first adoption, join or ingress: what is there until then serves containers.
    this.#firewall.prepare((wanted) => ({ ...wanted, bridges: this.#bridgeRules() }));
  }

  /** A parent that is gone meanwhile is no reason not to start: its containers are cut off, and the audit says so. */
  async #findParent(state: NetworkState, bridge: Bridge, lan: LanRecord): Promise<void> {
    try {
      state.bridgeIndex = (await ensureParent(this.#running(), bridge, lan, this.#instance)).index;
    } catch (error) {
      this.#options.log.warn('a network lacks its parent', { network: state.record.name, reason: sentenceOf(error) });
    }
  }

  /** As an earlier daemon left it; the kernel has the rules, or gets them with the others. */
  async #adoptSix(): Promise<void> {
    if (!(await this.#six.open())) return;
    this.#ways.adoptSix();
    this.#firewall.prepare((wanted) => ({ ...wanted, bridges: this.#bridgeRules() }));
  }

  async #passIpv6IfNeeded(): Promise<void> {
    if (this.#table.all().some(({ addresses6, record }) => addresses6 && !record.lan)) await this.#letIpv6Pass();
  }

  /** What was before is on disk first, to be put back at the end. */
  async #letIpv6Pass(): Promise<void> {
    const netd = this.#running();
    if (!this.#host) throw new CodedError('internal', 'the settings of the host were not recorded');
    this.#host = await recordIpv6Settings(netd, this.#host);
    await this.#saveRegistry();
    await applyIpv6Settings(netd, this.#host);
  }

  async #syncBridges(): Promise<void> {
    await this.#firewall.set((wanted) => ({ ...wanted, bridges: this.#bridgeRules() }));
  }

  #bridgeRules(): BridgeRules[] {
    return this.#table
      .all()
      .flatMap(({ bridge, overlay, record }) => (bridge && !overlay && !record.lan ? [rulesOf(bridge)] : []));
  }

  async #saveRegistry(): Promise<void> {
    await this.#registry.save({ networks: this.#table.all().map((state) => state.record), host: this.#host });
  }

  async #dropUnknownSandboxes(): Promise<void> {
    const known = new Set([...this.#endpoints.sandboxPaths(), ...this.#sandboxes.inUse()]);
    for (const path of await this.#sandboxes.paths()) {
      if (known.has(path)) continue;
      this.#options.log.info('a network namespace nobody owns is removed', { path });
      await this.#sandboxes.discard(path);
    }
  }

  /** One message for all of them: the kernel's grace period is paid once. Predefined names may be of an admin's making. */
  async #removeLinks(netd: Netd): Promise<void> {
    const writer = new MessageWriter();
    deleteLinkGroup(writer, this.#instance.linkGroup);
    await netd.do('removing links', [
      { do: 'netlink', family: NETLINK_ROUTE, where: '', messages: writer.finish(), mayFail: true },
    ]);
  }

  async #afterNetdRestart(): Promise<void> {
    for (const lost of await this.#ports.holdAgain()) {
      this.#options.log.warn('a published port was taken while the network helper was down', { port: lost.port });
    }
    await this.#firewall.rebuild();
    this.#sandboxes.fill();
  }
}

/** The same program, as the part that opens resolvers' sockets. */
function namesCommand({ command, args }: NetworksOptions['netd']): NetworksOptions['netd'] {
  return { command, args: args.map((word) => (word === 'netd' ? 'netd-names' : word)) };
}

/** The same program, as the part that carries encrypted networks. */
function tunnelCommand({ command, args }: NetworksOptions['netd']): {
  readonly command: string;
  readonly args: readonly string[];
  readonly sourceHash: string;
} {
  const at = args.indexOf('netd');
  return { command, args: [...args.slice(0, at), 'tunnel'], sourceHash: args[at + 1] ?? 'none' };
}

function failClosed(): never {
  throw new CodedError('unavailable', 'the networks of this machine are closed');
}

function publishedOf(network: NetworkState): PublishedPort[] {
  return [...network.endpoints.values()].flatMap(({ endpoint }) => publishedPorts(endpoint));
}

const rulesOf = ({ name, subnets, subnets6, internal, masquerade, talkInside }: Bridge): BridgeRules => ({
  name,
  subnets: subnets.map(({ subnet }) => subnet),
  subnets6: subnets6.map(({ subnet }) => subnet),
  ...(subnets6[0] && { gateway6: subnets6[0].gateway }),
  internal,
  masquerade,
  talkInside,
});
