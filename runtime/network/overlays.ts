// The networks between nodes that this node is on: told whole, one at a time, each with the index that it is true for.
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { mkdir, readdir } from 'node:fs/promises';
import { fail } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { Mutex } from '../../base/mutex.ts';
import { gatewaysOfSixes, sixOfFour, type SixPlace, sixPlaces } from '../../base/six-of-four.ts';
import {
  formatAddress6,
  formatSubnet6,
  parseAddress,
  parseSubnet,
  parseSubnet6,
  type Subnet,
  type Subnet6,
} from './addresses.ts';
import { bridgeOf } from './bridges.ts';
import type {
  EncryptionMeans,
  MeansName,
  NameRecord,
  NameSource,
  NetworkReport,
  OverlayNetwork,
  OverlayPair,
  Overlays,
  OverlayState,
} from './contract.ts';
import { findMeans, offeredMeans } from './encryption-means.ts';
import type { EspDriver } from './esp-driver.ts';
import type { Instance } from './instance.ts';
import type { Netd } from './netd.ts';
import { type NetworkState, type NetworkTable, stateOf } from './network-table.ts';
import { Overlay } from './overlay.ts';
import { sixOfBridge } from './overlay-ruleset.ts';
import { BRIDGE_INDEX, BRIDGE_NAME, VXLAN_PORT } from './overlay-messages.ts';
import type { NetworkRecord } from './registry.ts';
import { SealedNetworks } from './sealed-networks.ts';
import type { Tunnel } from './tunnel.ts';
import type { WireguardDriver } from './wireguard-driver.ts';

/** Outer Ethernet, IPv4, UDP and VXLAN headers. */
const HEADERS = 50;
/** The same for every means of encryption (WireGuard's are the longest), so that all nodes of a network agree. */
const SEALED_HEADERS = 110;
const OWNER = 'swarm';

export interface OverlaysParts {
  readonly netd: () => Netd;
  readonly clock: Clock;
  readonly log: Log;
  readonly instance: Instance;
  readonly table: NetworkTable;
  readonly names: NameSource;
  readonly directory: string;
  readonly mtu: () => number;
  readonly tunnel: Tunnel;
  readonly esp: EspDriver;
  readonly wireguard: WireguardDriver;
  /** The table changed: makes it durable. */
  readonly save: () => Promise<void>;
}

export class MachineOverlays implements Overlays {
  readonly #parts: OverlaysParts;
  /** As they were put, by network. */
  readonly #names = new Map<string, { readonly index: number; readonly records: ReadonlyMap<string, string> }>();
  readonly #sealed: SealedNetworks;
  readonly #looking = new Mutex();
  /** Encrypted networks are changed one at a time: where packets go, and what takes them. */
  readonly #sealing = new Mutex();
  /** Of encrypted networks, what was handed in last. */
  readonly #told = new Map<string, { readonly index: number; readonly state: OverlayState }>();

  constructor(parts: OverlaysParts) {
    this.#parts = parts;
    const { tunnel, esp, wireguard, log } = parts;
    const mtu = (): number => parts.mtu() - SEALED_HEADERS + HEADERS;
    this.#sealed = new SealedNetworks({ tunnel, esp, wireguard, log, mtu });
  }

  /** A network that an earlier daemon was on; its sandbox may be there. */
  take(record: NetworkRecord): NetworkState {
    const { table, mtu } = this.#parts;
    const state = this.#stateOf(record, mtu() - (isEncrypted(record) ? SEALED_HEADERS : HEADERS));
    table.add(state);
    return state;
  }

  async open(): Promise<void> {
    await mkdir(this.#parts.directory, { recursive: true, mode: 0o710 });
    await this.#parts.esp.adopt();
    await this.#parts.wireguard.adopt();
  }

  /** Sandboxes of networks that nobody knows any more. */
  async sweep(): Promise<void> {
    const known = new Set(this.#all().map(({ path }) => path));
    const encrypted = this.#encrypted();
    if (encrypted.length > 0) {
      known.add(this.#sealed.namespacePath);
      await this.#sealed.sweep(new Set(encrypted.map(({ record }) => record.id)));
    } else await this.#sealed.end();
    for (const name of await readdir(this.#parts.directory)) {
      const path = join(this.#parts.directory, name);
      if (!known.has(path)) await this.#discard(path);
    }
  }

  async apply(index: number, state: OverlayState): Promise<void> {
    const { network } = state;
    if (isEncrypted(network)) await this.#sealing.run(() => this.#seal(index, state));
    else await (await this.#network(network)).overlay?.apply(index, state);
    this.#putNames(index, state);
  }

  pairs(networkId: string): Promise<readonly OverlayPair[]> {
    return this.#sealed.pairs(networkId);
  }

  /** A tunnel that runs goes on, also where none could be started any more. */
  offered(): readonly MeansName[] {
    const { tunnel, esp, wireguard } = this.#parts;
    return [
      ...(esp.isOffered ? ['esp' as const] : []),
      ...(wireguard.isOffered ? ['wireguard' as const] : []),
      ...(tunnel.isThere() ? ['tunnel' as const] : offeredMeans()),
    ];
  }

  lives(): Readonly<Record<string, string>> {
    return this.#parts.esp.lives();
  }

  wireguardPorts(): Readonly<Record<string, number>> {
    return this.#parts.wireguard.ports();
  }

  /** Of what the kernel encrypts: a sentence for each thing that is not as it should be. */
  differences(): Promise<string[]> {
    return this.#sealed.differences();
  }

  /** As `differences`, and repairs. */
  audit(): Promise<readonly string[]> {
    return this.#sealing.run(async () => {
      const { repairs, changed } = await this.#sealed.audit();
      for (const id of changed) {
        const told = this.#told.get(id);
        if (told) await this.#seal(told.index, told.state);
      }
      return repairs;
    });
  }

  pairMeans(): NetworkReport['pairs'] {
    return this.#sealed.means();
  }

  unreached(): NetworkReport['unreached'] {
    return this.#sealed.unreached();
  }

  /** Those that this machine has, and why it lacks the others. */
  means(): Promise<readonly EncryptionMeans[]> {
    const { netd, directory, esp, wireguard } = this.#parts;
    return this.#looking.run(async () => {
      const found = await findMeans(netd(), join(directory, 'means'));
      const refusals = { esp: esp.refusal, wireguard: wireguard.refusal, tunnel: undefined };
      return found.map((each) => {
        const reason = refusals[each.means];
        return each.isThere && reason !== undefined ? { ...each, isUsed: false, reason } : each;
      });
    });
  }

  async drop(networkId: string): Promise<void> {
    const { table, names, save } = this.#parts;
    const state = table.all().find(({ record }) => record.id === networkId);
    if (!state?.overlay) return;
    if (state.endpoints.size > 0 || state.joining > 0) {
      fail('conflict', `network ${state.record.name} still has containers on this node`);
    }
    table.delete(state);
    names.dropNames(networkId, OWNER);
    this.#names.delete(networkId);
    await save();
    await state.overlay.remove();
    if (!isEncrypted(state.record)) return;
    const { vni } = state.overlay.shape;
    this.#told.delete(networkId);
    await this.#sealing.run(() => this.#sealed.forget(networkId, vni));
    if (this.#encrypted().length === 0) await this.#endTunnel();
  }

  /** To be audited one by one. */
  each(): readonly Pick<Overlay, 'shape' | 'path' | 'differences' | 'audit'>[] {
    return this.#all();
  }

  /** The node is deleted. */
  async destroy(): Promise<void> {
    await this.#sealed.end();
    for (const name of await readdir(this.#parts.directory).catch(() => [])) {
      await this.#discard(join(this.#parts.directory, name));
    }
  }

  /** First who takes what comes knows all, then packets go there, then what nobody uses is taken out. */
  async #seal(index: number, state: OverlayState): Promise<void> {
    const { network } = state;
    const told = this.#told.get(network.id);
    if (!told || index >= told.index) this.#told.set(network.id, { index, state });
    const ways = await this.#sealed.seal(index, state);
    const { overlay } = await this.#network(network);
    await overlay?.apply(index, ways);
    await this.#sealed.settle(network.id);
  }

  #encrypted(): NetworkState[] {
    return this.#parts.table.all().filter(({ record }) => isEncrypted(record));
  }

  async #endTunnel(): Promise<void> {
    await this.#sealed.end();
    await this.#discard(this.#sealed.namespacePath);
  }

  #all(): Overlay[] {
    return this.#parts.table.all().flatMap(({ overlay }) => overlay ?? []);
  }

  async #discard(path: string): Promise<void> {
    await this.#parts.netd().doAside('removing a network namespace', { do: 'remove-namespace', path });
  }

  async #network(network: OverlayNetwork): Promise<NetworkState> {
    const { table, save, clock } = this.#parts;
    const known = table.all().find(({ record }) => record.id === network.id);
    if (known) return known;
    const state = this.take(recordOf(network, clock.nowMs()));
    await save();
    return state;
  }

  #stateOf(record: NetworkRecord, mtu: number): NetworkState {
    const bridge = bridgeOf(record, mtu);
    if (!bridge || !record.overlay) fail('internal', `network ${record.name} is no overlay`);
    const { netd, log, directory, instance } = this.#parts;
    const six = sixOfBridge(bridge);
    const shape = {
      name: record.name,
      ...record.overlay,
      subnets: bridge.subnets,
      gateway: bridge.gateway,
      subnets6: bridge.subnets6,
      ...(six && { six }),
      mtu: bridge.mtu,
    };
    const path = join(directory, record.id);
    const underlay = isEncrypted(record) ? () => this.#sealed.underlay() : () => Promise.resolve('');
    const overlay = new Overlay(shape, { netd, log, path, linkGroup: instance.linkGroup, underlay });
    return {
      ...stateOf(record, mtu),
      bridge: { ...bridge, namespace: path, internal: true },
      bridgeIndex: BRIDGE_INDEX,
      overlay,
    };
  }

  /** Only what changed travels to those who answer. */
  #putNames(index: number, { network, names: told }: OverlayState): void {
    const known = this.#names.get(network.id);
    if (known && index < known.index) return; // or the next difference would be one to what nobody was told
    const places = sixPlaces(subnetsOf(network), subnets6Of(network));
    const names = told.map((record) => ({ ...record, addresses: inBoth(places, record.addresses) }));
    const before = known?.records ?? new Map<string, string>();
    const after = new Map(names.map((record) => [record.name.toLowerCase(), JSON.stringify(record)]));
    const put = names.filter((record: NameRecord) => {
      const key = record.name.toLowerCase();
      return before.get(key) !== after.get(key);
    });
    const removed = [...before.keys()].filter((name) => !after.has(name));
    this.#names.set(network.id, { index, records: after });
    if (put.length + removed.length > 0) this.#parts.names.changeNames(network.id, OWNER, index, { put, removed });
  }
}

const subnetsOf = ({ subnet, further = [] }: OverlayNetwork): Subnet[] =>
  [subnet, ...further.map((pool) => pool.subnet)].map(parseSubnet);

const subnets6Of = ({ subnet6, further6 = [] }: OverlayNetwork): Subnet6[] =>
  subnet6 === undefined ? [] : [subnet6, ...further6].map(parseSubnet6);

/** With the IPv6 addresses of who has these. */
function inBoth(places: readonly SixPlace[], addresses: readonly string[]): string[] {
  const sixes = addresses.map((address) => sixOfFour(places, parseAddress(address)));
  return [...addresses, ...sixes.flatMap((six) => (six === undefined ? [] : [formatAddress6(six)]))];
}

const isEncrypted = ({ options }: Pick<NetworkRecord, 'options'>): boolean => Object.hasOwn(options, 'encrypted');

function recordOf(network: OverlayNetwork, nowMs: number): NetworkRecord {
  const { id, name, internal, attachable, options, subnet, gateway, further = [], vni, port: asked } = network;
  const port = isEncrypted(network) ? VXLAN_PORT : asked;
  const pools = [{ subnet, gateway }, ...further].map((pool) => ({ ...pool, range: '', auxiliary: {} }));
  const parsed = pools.map((pool) => {
    return { subnet: parseSubnet(pool.subnet), gateway: parseAddress(pool.gateway, 'gateway') };
  });
  const sixes = subnets6Of(network);
  const pools6 = gatewaysOfSixes(parsed, sixes).map((address, at) => {
    const six = sixes[at] ?? fail('internal', 'a gateway without a subnet');
    return { subnet: formatSubnet6(six), gateway: formatAddress6(address), range: '', auxiliary: {} };
  });
  const bridge = { name: BRIDGE_NAME, subnet, gateway };
  const overlay = { vni, port: port || VXLAN_PORT };
  return {
    id,
    name,
    driver: 'overlay',
    createdAtMs: nowMs,
    internal,
    attachable,
    labels: {},
    options,
    bridge,
    ...(further.length > 0 && { pools }),
    ...(pools6.length > 0 && { pools6 }),
    overlay,
  };
}
