// The machine's networks, put together: `createNetworks` makes what runtime/network/contract.ts promises.
// Kernel state outlives the daemon; `shutdown({ keep: true })` leaves it, `destroy` removes all of it.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Background } from '../../base/background.ts';
import type { Clock } from '../../base/clock.ts';
import { CodedError, sentenceOf } from '../../base/errors.ts';
import { newHexId } from '../../base/id.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { Scope } from '../../base/scope.ts';
import {
  contains,
  formatAddress,
  formatSubnet,
  freeSubnet,
  overlaps,
  parseAddress,
  parseSubnet,
  type Subnet,
} from './addresses.ts';
import { type AuditReport, auditKernel } from './audit.ts';
import {
  type Bridge,
  checkBridgeName,
  checkNameIsFree,
  ensureBridge,
  OPTION,
  removeBridge,
  removeOwnBridge,
  routedSubnets,
  uplinkMtu,
} from './bridges.ts';
import type { Endpoint, EndpointRequest, IngressPort, NetworkInfo, Networks } from './contract.ts';
import { Endpoints, publishedPort } from './endpoints.ts';
import { Firewall } from './firewall.ts';
import { Forgetter } from './forgetter.ts';
import { applyHostSettings, recordHostSettings, restoreHostSettings } from './host-settings.ts';
import { IngressMap } from './ingress.ts';
import { type Instance, instanceOf } from './instance.ts';
import { deleteLinkGroup } from './link-messages.ts';
import { Netd } from './netd.ts';
import { NETLINK_ROUTE } from './netd-protocol.ts';
import { MessageWriter } from './netlink.ts';
import {
  checkRequest,
  infoOf,
  isPredefined,
  type NetworkState,
  NetworkTable,
  predefinedRecord,
  stateOf,
} from './network-table.ts';
import { Ports } from './ports.ts';
import { type HostRecord, type NetworkRecord, RegistryFile } from './registry.ts';
import { type BridgeRules, type PublishedPort, publishedKey } from './ruleset.ts';
import { Sandboxes } from './sandboxes.ts';

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
}

export interface MachineNetworks extends Networks, AsyncDisposable {
  /** Compares kernel and wanted, repairs, and says what was wrong. */
  audit(): Promise<AuditReport>;
  /** The daemon ends. `keep`: containers go on, with their network; otherwise as `destroy`. */
  shutdown(options: { keep: boolean }): Promise<void>;
  /** The node is deleted: links, namespaces, rules and settings are as before. */
  destroy(): Promise<void>;
  /** Memory is short: no namespaces in reserve until the next join. */
  dropReserve(): Promise<void>;
}

export async function createNetworks(options: NetworksOptions): Promise<MachineNetworks> {
  await using undo = new Scope();
  const networks = undo.own(new BridgeNetworks(options));
  await networks.open();
  undo.handOver();
  return networks;
}

class BridgeNetworks implements MachineNetworks {
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
  readonly #ingress: IngressMap;
  #netd: Netd | undefined;
  #host: HostRecord | undefined;
  #mtu = 1500;
  #adopted = false;
  #closed = false;
  #rulesSuspect = false;
  #checkingRules = false;
  #changing: Promise<unknown> = Promise.resolve();
  #auditing: Promise<AuditReport> | undefined;

  constructor(options: NetworksOptions) {
    const { clock, random, log, dataRoot, execRoot } = options;
    const netd = (): Netd => this.#running();
    this.#options = options;
    this.#instance = instanceOf(dataRoot);
    this.#registry = new RegistryFile(join(dataRoot, 'network'));
    this.#background = new Background({
      onFailure: (name, error) => log.warn('network work failed', { name, reason: sentenceOf(error) }),
    });
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
    };
    this.#endpoints = new Endpoints(shared);
    this.#ingress = new IngressMap({ ...shared, path: join(execRoot, 'ingress.json') });
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
      onGeneration: () => this.#checkRules(),
      onRestart: () => this.#background.run('hold-ports-again', () => this.#afterNetdRestart()),
    });
    this.#host = await recordHostSettings(this.#netd, registry.host);
    await this.#registry.save({ ...registry, host: this.#host });
    this.#mtu = this.#options.bridge?.mtu ?? (await uplinkMtu(this.#netd));
    await this.#sandboxes.open();
    await this.#ports.open();
    for (const record of await this.#withPredefined(registry.networks)) this.#table.add(stateOf(record, this.#mtu));
    await this.#ensureBridges();
    await applyHostSettings(this.#netd);
    await this.#saveRegistry();
    await this.#ingress.restore();
    this.#sandboxes.fill();
    if (this.#options.auditPeriodMs !== 0) this.#background.run('audit', (abort) => this.#auditLoop(abort));
  }

  list(): readonly NetworkInfo[] {
    return this.#table.all().map(infoOf);
  }

  get(idOrName: string): NetworkInfo {
    return infoOf(this.#table.find(idOrName));
  }

  create(request: Parameters<Networks['create']>[0]): Promise<NetworkInfo> {
    checkRequest(request);
    return this.#exclusively(() => this.#create(request));
  }

  remove(idOrName: string): Promise<void> {
    return this.#exclusively(() => this.#remove(this.#table.find(idOrName)));
  }

  async join(request: EndpointRequest): Promise<Endpoint> {
    this.#mustBeOpen();
    this.#adopted = true;
    return await this.#endpoints.join(this.#table.find(request.network), request);
  }

  async leave(endpoint: Endpoint): Promise<void> {
    const network = this.#table.all().find((state) => state.record.id === endpoint.networkId);
    if (network) await this.#endpoints.leave(network, endpoint.id);
  }

  async adopt(endpoints: readonly Endpoint[]): Promise<void> {
    this.#mustBeOpen();
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
    this.#adopted = true;
    await this.#dropUnknownSandboxes();
    await this.audit();
  }

  applyIngress(index: number, ports: readonly IngressPort[]): Promise<void> {
    this.#mustBeOpen();
    return this.#ingress.apply(index, ports);
  }

  clearIngress(): Promise<void> {
    this.#mustBeOpen();
    return this.#ingress.clear();
  }

  async breakConnections(addresses: readonly string[]): Promise<void> {
    await this.#forgetter.forget(addresses.map((address) => ({ serverAddress: parseAddress(address) })));
  }

  audit(): Promise<AuditReport> {
    this.#mustBeOpen();
    this.#auditing ??= this.#audit().finally(() => {
      this.#auditing = undefined;
    });
    return this.#auditing;
  }

  async dropReserve(): Promise<void> {
    await this.#sandboxes.drain();
  }

  async shutdown({ keep }: { keep: boolean }): Promise<void> {
    if (this.#closed) return;
    if (!keep) return await this.destroy();
    this.#closed = true;
    await this.#background.stop();
    if (!this.#netd) return;
    await this.#forgetter.flush();
    await this.#sandboxes.close();
    await this.#netd.close();
  }

  async destroy(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#background.stop();
    this.#forgetter.cancel();
    await this.#sandboxes.close();
    const netd = this.#running();
    await Promise.all((await this.#sandboxes.paths()).map((path) => this.#sandboxes.discard(path)));
    await this.#firewall.remove();
    await this.#removeLinks(netd);
    if (this.#host) await restoreHostSettings(netd, this.#host, this.#instance.table);
    await netd.close();
    const { dataRoot, execRoot } = this.#options;
    const leftovers = [join(execRoot, 'netns'), join(execRoot, 'ingress.json'), join(dataRoot, 'network')];
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

  /** Creating and removing networks go one after another; joins do not wait for them. */
  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    this.#mustBeOpen();
    const done = this.#changing.then(work);
    this.#changing = done.catch(() => undefined);
    return done;
  }

  async #create(request: Parameters<Networks['create']>[0]): Promise<NetworkInfo> {
    if (this.#table.byName(request.name)) {
      throw new CodedError('conflict', `network with name ${request.name} already exists`);
    }
    const { clock, random } = this.#options;
    const id = newHexId(random);
    const subnet = await this.#chooseSubnet(request.subnet);
    const gateway = chooseGateway(subnet, request.gateway);
    const name = checkBridgeName(request.options[OPTION.bridgeName] ?? `br-${id.slice(0, 12)}`);
    if (this.#table.all().some((state) => state.bridge?.name === name)) {
      throw new CodedError('conflict', `bridge name ${name} is used by another network`);
    }
    const state = stateOf(
      {
        id,
        name: request.name,
        driver: 'bridge',
        createdAtMs: clock.nowMs(),
        internal: request.internal,
        attachable: request.attachable,
        labels: request.labels,
        options: request.options,
        bridge: { name, subnet: formatSubnet(subnet), gateway: formatAddress(gateway) },
      },
      this.#mtu,
    );
    if (!state.bridge) throw new CodedError('internal', `network ${request.name} has no bridge`);
    await checkNameIsFree(this.#running(), name);
    try {
      state.bridgeIndex = await ensureBridge(this.#running(), state.bridge, this.#instance);
      this.#table.add(state);
      await this.#syncBridges();
      await this.#saveRegistry();
    } catch (error) {
      this.#table.delete(state);
      await removeBridge(this.#running(), name);
      await this.#syncBridges();
      throw error;
    }
    return infoOf(state);
  }

  async #remove(state: NetworkState): Promise<void> {
    const { name, id } = state.record;
    if (isPredefined(name)) throw new CodedError('forbidden', `${name} is a pre-defined network and cannot be removed`);
    if (state.endpoints.size > 0 || state.joining > 0) {
      const users = [...state.endpoints.values()].map(({ endpoint }) => endpoint.containerId.slice(0, 12));
      throw new CodedError(
        'forbidden',
        `error while removing network: network ${name} id ${id} has active endpoints (${users.join(', ')})`,
      );
    }
    this.#table.delete(state);
    await this.#saveRegistry();
    await this.#syncBridges();
    if (state.bridge) await removeBridge(this.#running(), state.bridge.name);
  }

  async #chooseSubnet(asked: string | undefined): Promise<Subnet> {
    const own = this.#table.all().flatMap(({ bridge }) => (bridge ? [bridge.subnet] : []));
    if (asked === undefined) return freeSubnet([...own, ...(await routedSubnets(this.#running()))]);
    const subnet = parseSubnet(asked);
    if (subnet.prefixLength < 8 || subnet.prefixLength > 30) {
      throw new CodedError('invalid', `subnet ${asked} must be between /8 and /30`);
    }
    if (own.some((other) => overlaps(subnet, other))) {
      throw new CodedError('forbidden', 'invalid pool request: Pool overlaps with other one on this address space');
    }
    return subnet;
  }

  async #withPredefined(stored: readonly NetworkRecord[]): Promise<readonly NetworkRecord[]> {
    const { clock, random } = this.#options;
    const others = stored.filter((record) => record.name !== 'bridge');
    const records = [
      await this.#defaultBridge(
        others,
        stored.find((record) => record.name === 'bridge'),
      ),
      ...others,
    ];
    for (const name of ['host', 'none'] as const) {
      if (!records.some((record) => record.name === name)) records.push(predefinedRecord(name, clock.nowMs(), random));
    }
    return records;
  }

  /** As it was, unless the daemon's options now say otherwise. */
  async #defaultBridge(others: readonly NetworkRecord[], earlier: NetworkRecord | undefined): Promise<NetworkRecord> {
    const { clock, random, bridge, log } = this.#options;
    const isSame = (wanted: string | undefined, has: string | undefined): boolean => (wanted ?? has) === has;
    if (earlier && isSame(bridge?.name, earlier.bridge?.name) && isSame(bridge?.subnet, earlier.bridge?.subnet))
      return earlier;
    if (earlier?.bridge) {
      log.warn('the default bridge changes', { from: earlier.bridge, to: bridge });
      await removeOwnBridge(this.#running(), earlier.bridge.name, this.#instance);
    }
    const taken = [
      ...others.flatMap((record) => (record.bridge ? [parseSubnet(record.bridge.subnet)] : [])),
      ...(await routedSubnets(this.#running())),
    ];
    const subnet = bridge?.subnet ? parseSubnet(bridge.subnet) : freeSubnet(taken);
    const name = checkBridgeName(bridge?.name ?? this.#instance.bridge);
    return {
      id: earlier?.id ?? newHexId(random),
      name: 'bridge',
      driver: 'bridge',
      createdAtMs: earlier?.createdAtMs ?? clock.nowMs(),
      internal: false,
      attachable: false,
      labels: {},
      options: {
        'com.docker.network.bridge.default_bridge': 'true',
        [OPTION.talkInside]: 'true',
        [OPTION.masquerade]: 'true',
        [OPTION.publishOn]: '0.0.0.0',
        [OPTION.bridgeName]: name,
        [OPTION.mtu]: String(this.#mtu),
      },
      bridge: { name, subnet: formatSubnet(subnet), gateway: formatAddress(subnet.base + 1) },
    };
  }

  async #ensureBridges(): Promise<void> {
    for (const state of this.#table.all()) {
      if (state.bridge) state.bridgeIndex = await ensureBridge(this.#running(), state.bridge, this.#instance);
    }
    // The kernel gets the rules with the first adoption, join or ingress: what is there until then serves containers.
    this.#firewall.prepare((wanted) => ({ ...wanted, bridges: this.#bridgeRules() }));
  }

  async #syncBridges(): Promise<void> {
    await this.#firewall.set((wanted) => ({ ...wanted, bridges: this.#bridgeRules() }));
  }

  #bridgeRules(): BridgeRules[] {
    return this.#table.all().flatMap(({ bridge }) => (bridge ? [rulesOf(bridge)] : []));
  }

  async #saveRegistry(): Promise<void> {
    await this.#registry.save({ networks: this.#table.all().map((state) => state.record), host: this.#host });
  }

  async #dropUnknownSandboxes(): Promise<void> {
    const endpoints = this.#table.all().flatMap((state) => [...state.endpoints.values()]);
    const known = new Set([...endpoints.map((state) => state.endpoint.sandboxPath), ...this.#sandboxes.inUse()]);
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

  /** A change that comes while we look is looked at again. */
  #checkRules(): void {
    if (this.#closed || !this.#adopted) return;
    this.#rulesSuspect = true;
    if (this.#checkingRules) return;
    this.#checkingRules = true;
    this.#background.run('check-rules', async () => {
      try {
        while (this.#rulesSuspect && !this.#closed) {
          this.#rulesSuspect = false;
          await this.#repairRules();
        }
      } finally {
        this.#checkingRules = false;
      }
    });
  }

  async #repairRules(): Promise<void> {
    const difference = await this.#firewall.difference();
    if (!difference) return;
    await this.#firewall.rebuild();
    this.#options.log.warn('network repaired', { reason: 'foreign change of packet rules', repairs: [difference] });
  }

  async #afterNetdRestart(): Promise<void> {
    for (const lost of await this.#ports.holdAgain()) {
      this.#options.log.warn('a published port was taken while the network helper was down', { port: lost.port });
    }
    await this.#firewall.rebuild();
    this.#sandboxes.fill();
  }

  async #auditLoop(abort: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    const periodMs = this.#options.auditPeriodMs ?? AUDIT_PERIOD_MS;
    for (;;) {
      await clock.sleep(periodMs * (0.5 + random.fraction()), { abort });
      if (!this.#adopted) continue;
      try {
        const { repairs } = await this.audit();
        if (repairs.length > 0) this.#options.log.warn('network repaired', { reason: 'periodic audit', repairs });
      } catch (error) {
        this.#options.log.warn('network audit failed', { reason: sentenceOf(error) });
      }
    }
  }

  async #audit(): Promise<AuditReport> {
    return await auditKernel({
      netd: this.#running(),
      instance: this.#instance,
      networks: this.#table.all(),
      endpoints: this.#endpoints,
      firewall: this.#firewall,
    });
  }
}

function failClosed(): never {
  throw new CodedError('unavailable', 'the networks of this machine are closed');
}

function publishedOf(network: NetworkState): PublishedPort[] {
  return [...network.endpoints.values()].flatMap(({ endpoint }) =>
    endpoint.published.map((publish) => publishedPort(publish, publish.hostPort, parseAddress(endpoint.address))),
  );
}

function chooseGateway(subnet: Subnet, asked: string | undefined): number {
  if (asked === undefined) return subnet.base + 1;
  const gateway = parseAddress(asked, 'gateway');
  if (!contains(subnet, gateway)) {
    throw new CodedError('invalid', `no matching subnet for gateway ${asked}: it is not in ${formatSubnet(subnet)}`);
  }
  return gateway;
}

const rulesOf = ({ name, subnet, internal, masquerade, talkInside }: Bridge): BridgeRules => ({
  name,
  subnet,
  internal,
  masquerade,
  talkInside,
});
