// The machine's networks, put together: `createNetworks` makes what runtime/network/contract.ts promises.
// Kernel state outlives the daemon; `shutdown({ keep: true })` leaves it, `destroy` removes all of it.
import { mkdir } from 'node:fs/promises';
import { CodedError } from '../../base/errors.ts';
import { Scope } from '../../base/scope.ts';
import { isSix, parseIp } from './addresses.ts';
import type { AuditReport } from './audit.ts';
import { uplinkMtu } from './bridges.ts';
import type {
  Endpoint,
  EndpointRequest,
  GuestDesk,
  IngressPort,
  IngressReport,
  NetworkInfo,
  NetworkReport,
  Networks,
} from './contract.ts';
import { publishedPorts } from './endpoint-facts.ts';
import type { Names } from './names.ts';
import { Netd } from './netd.ts';
import type { NetworkRequest } from './network-changes.ts';
import { infoOf, type NetworkState, stateOf } from './network-table.ts';
import { dropUnknownSandboxes, removeAll } from './networks-removal.ts';
import type { NetworksOptions } from './networks-options.ts';
import { makeParts, type NetworksParts } from './networks-parts.ts';
import type { MachineOverlays } from './overlays.ts';
import { withPredefined } from './predefined.ts';
import type { NetworkRecord } from './registry.ts';
import { type PublishedPort, publishedKey } from './ruleset-published.ts';

const AUDIT_PERIOD_MS = 10_000;

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
  readonly #parts: NetworksParts;
  #netd: Netd | undefined;
  #mtu = 1500;
  #adopted = false;
  #closed = false;

  constructor(options: NetworksOptions) {
    this.#options = options;
    this.#parts = makeParts(options, {
      netd: () => this.#running(),
      mtu: () => this.#mtu,
      isReady: () => this.#adopted && !this.#closed,
    });
    this.names = this.#parts.names;
    this.overlays = this.#parts.overlays;
  }

  async open(): Promise<void> {
    const { record, bridges, sandboxes, ports } = this.#parts;
    await mkdir(this.#options.execRoot, { recursive: true, mode: 0o710 });
    const records = await record.open(() => this.#startNetd());
    this.#mtu = this.#options.bridge?.mtu ?? (await uplinkMtu(this.#running()));
    await sandboxes.open();
    await ports.open();
    await this.overlays.open();
    await this.#take(records);
    await this.#passIpv6IfNeeded();
    await bridges.ensure();
    await record.applyHost();
    await record.save();
    await this.#adoptServices();
    sandboxes.fill();
    this.#keepUp();
  }

  async #startNetd(): Promise<void> {
    const { netd, clock, random, log } = this.#options;
    const { upkeep, ways, background } = this.#parts;
    this.#netd = await Netd.start({
      ...netd,
      clock,
      random,
      log,
      onGeneration: () => upkeep.checkRules(),
      onHeard: (address) => ways.heard(address),
      onLink: (event) => upkeep.onLink(event),
      onRestart: () => background.run('hold-ports-again', () => this.#afterNetdRestart()),
    });
  }

  /** The networks of the daemon before, and the predefined ones. */
  async #take(records: readonly NetworkRecord[]): Promise<void> {
    const { instance, table } = this.#parts;
    const isOverlay = (record: NetworkRecord): boolean => record.driver === 'overlay';
    const local = records.filter((record) => !isOverlay(record));
    const { bridge } = this.#options;
    const parts = { ...this.#options, netd: this.#running(), instance, mtu: this.#mtu, bridge };
    for (const record of await withPredefined(local, parts)) table.add(stateOf(record, this.#mtu));
    for (const record of records.filter(isOverlay)) this.overlays.take(record);
  }

  /** What services' published ports had in the daemon before. */
  async #adoptServices(): Promise<void> {
    const { ways, dataPort, ingress } = this.#parts;
    const port = await ways.adopt();
    if (port !== undefined) {
      await dataPort.adopt(port);
      await this.#adoptSix();
    }
    await ingress.restore();
  }

  #keepUp(): void {
    const { background, ways, upkeep } = this.#parts;
    background.run('ask-nodes', (abort) => ways.keepAsking(abort));
    const periodMs = this.#options.auditPeriodMs ?? AUDIT_PERIOD_MS;
    if (periodMs > 0) background.run('audit', (abort) => upkeep.runPeriodically(periodMs, abort));
  }

  list(): readonly NetworkInfo[] {
    return this.#parts.table.all().map(infoOf);
  }

  get(idOrName: string): NetworkInfo {
    return infoOf(this.#parts.table.find(idOrName));
  }

  create(request: NetworkRequest): Promise<NetworkInfo> {
    this.#mustBeOpen();
    return this.#parts.changes.create(request);
  }

  remove(idOrName: string): Promise<void> {
    this.#mustBeOpen();
    return this.#parts.changes.remove(idOrName);
  }

  async join(request: EndpointRequest): Promise<Endpoint> {
    this.#mustBeOpen();
    this.#adopted = true;
    if (request.reachedBySix && !this.#parts.six.isOpen && (await this.#parts.six.open()))
      await this.#parts.bridges.syncRules();
    return await this.#parts.endpoints.join(this.#parts.table.find(request.network), request);
  }

  async leave(endpoint: Endpoint, { keepSandbox } = { keepSandbox: false }): Promise<void> {
    const network = this.#parts.table.all().find((state) => state.record.id === endpoint.networkId);
    if (!network) return;
    await this.#parts.endpoints.leave(network, endpoint.id, keepSandbox);
    if (network.overlay) this.guests?.release(endpoint.containerId, network.record.id);
  }

  releaseSandbox(sandboxPath: string): void {
    this.#parts.endpoints.releaseSandbox(sandboxPath);
  }

  async adopt(endpoints: readonly Endpoint[], sandboxPaths: readonly string[] = []): Promise<void> {
    this.#mustBeOpen();
    for (const path of sandboxPaths) this.#parts.endpoints.adoptSandbox(path);
    const hasSix = ({ networkName, address6 }: Endpoint): boolean => networkName === 'bridge' && address6 !== undefined;
    if (endpoints.some(hasSix)) await this.#adoptSix();
    for (const endpoint of endpoints) {
      const network = this.#parts.table.all().find((state) => state.record.id === endpoint.networkId);
      if (network) await this.#parts.endpoints.adopt(network, endpoint);
      else
        this.#options.log.warn('an endpoint of an unknown network was dropped', {
          id: endpoint.id,
          network: endpoint.networkName,
        });
    }
    const published = this.#parts.table.all().flatMap(publishedOf);
    await this.#parts.firewall.set((wanted) => ({
      ...wanted,
      published: new Map([...wanted.published, ...published.map((port) => [publishedKey(port), port] as const)]),
    }));
    await this.#parts.endpoints.answerAdoptedNames();
    this.#adopted = true;
    await dropUnknownSandboxes(this.#parts, this.#options.log);
    await this.overlays.sweep();
    await this.audit();
  }

  applyIngress(index: number, ports: readonly IngressPort[]): Promise<void> {
    this.#mustBeOpen();
    return this.#parts.ingress.apply(index, ports);
  }

  async openWays(port: number): Promise<boolean> {
    this.#mustBeOpen();
    await this.#parts.dataPort.open(port);
    const isOpen = await this.#parts.ways.open(port);
    if (await this.#parts.six.open()) {
      await this.#parts.bridges.syncRules();
      await this.#parts.ways.carrySix();
      await this.#parts.ingress.refresh();
    }
    return isOpen;
  }

  async knowNodes(addresses: readonly string[]): Promise<void> {
    this.#mustBeOpen();
    await this.#parts.dataPort.know(addresses);
    await this.#parts.ways.knowPeers(this.#parts.dataPort.peers);
  }

  async clearIngress(): Promise<void> {
    this.#mustBeOpen();
    await this.#parts.ingress.clear();
    await this.#parts.ways.close();
    await this.#parts.dataPort.close();
  }

  async breakConnections(addresses: readonly string[]): Promise<void> {
    const lost = addresses.map((address) => parseIp(address));
    const six = lost.flatMap((address) => (isSix(address) ? [] : this.#parts.ways.sixesOf(address)));
    await this.#parts.forgetter.forget([...lost, ...six].map((serverAddress) => ({ serverAddress })));
  }

  async report(): Promise<NetworkReport> {
    this.#mustBeOpen();
    const unreached = this.overlays.unreached();
    return {
      ...(await this.#parts.upkeep.report()),
      ingress: this.ingress(),
      encryption: await this.overlays.means(),
      pairs: this.overlays.pairMeans(),
      unreached,
    };
  }

  ingress(): IngressReport {
    const { ways, ingress } = this.#parts;
    return { ...ways.report(), ports: ingress.ports };
  }

  audit(): Promise<AuditReport> {
    this.#mustBeOpen();
    return this.#parts.upkeep.audit();
  }

  async shutdown({ keep }: { keep: boolean }): Promise<void> {
    if (this.#closed) return;
    if (!keep) return await this.destroy();
    this.#closed = true;
    this.#parts.tunnel.close();
    await this.#parts.background.stop();
    await this.#parts.resolvers.close();
    if (!this.#netd) return;
    await this.#parts.forgetter.flush();
    await this.#parts.sandboxes.close();
    await this.#netd.close();
  }

  async destroy(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#parts.background.stop();
    await this.#parts.resolvers.close();
    this.#parts.forgetter.cancel();
    await removeAll(this.#parts, this.#running(), this.#options);
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

  /** As an earlier daemon left it; the kernel has the rules, or gets them with the others. */
  async #adoptSix(): Promise<void> {
    const { six, ways, bridges } = this.#parts;
    if (!(await six.open())) return;
    ways.adoptSix();
    bridges.prepareRules();
  }

  async #passIpv6IfNeeded(): Promise<void> {
    const { table, record } = this.#parts;
    if (table.all().some((state) => state.addresses6 && !state.record.lan)) await record.letIpv6Pass();
  }

  async #afterNetdRestart(): Promise<void> {
    for (const lost of await this.#parts.ports.holdAgain()) {
      this.#options.log.warn('a published port was taken while the network helper was down', { port: lost.port });
    }
    await this.#parts.firewall.rebuild();
    this.#parts.sandboxes.fill();
  }
}

function failClosed(): never {
  throw new CodedError('unavailable', 'the networks of this machine are closed');
}

function publishedOf(network: NetworkState): PublishedPort[] {
  return [...network.endpoints.values()].flatMap(({ endpoint }) => publishedPorts(endpoint));
}
