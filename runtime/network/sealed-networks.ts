// Encrypted networks between nodes: before anybody is sent into one, the tunnel and, where both ends have it, the kernel's
// ESP or WireGuard know who is where and under which keys. VXLAN links name other nodes by addresses that only these
// understand. The tunnel takes from every node that has it, also from those that the kernel carries: so who hears later of a
// change loses nothing, and who can not go on by the kernel sends by the tunnel at once.
// Invariant: what was handed in last with the highest index is what they have.
import { isIPv4 } from 'node:net';
import { codeOf, fail, sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { formatAddress, parseAddress } from './addresses.ts';
import type {
  MeansName,
  OverlayEncryption,
  OverlayNetwork,
  OverlayNode,
  OverlayPair,
  OverlayState,
} from './contract.ts';
import type { EspDriver } from './esp-driver.ts';
import { insideAddress, wireguardAddress } from './kernel-pairs.ts';
import { VXLAN_PORT } from './overlay-messages.ts';
import { meansOf, usableMeans } from './pair-means.ts';
import type { Tunnel } from './tunnel.ts';
import { innerAddresses, tunnelPair, type TunnelPair, tunnelPort } from './tunnel-pairs.ts';
import type { WireguardDriver } from './wireguard-driver.ts';

interface Known {
  readonly index: number;
  readonly name: string;
  readonly vni: number;
  readonly inners: ReadonlyMap<string, number>; // by node
  readonly pairs: ReadonlyMap<string, TunnelPair>; // by node; also of those that the kernel carries
  readonly esp: ReadonlySet<string>; // nodes that ESP goes to
  readonly wireguard: ReadonlySet<string>; // nodes that WireGuard goes to
  readonly notByEsp: ReadonlyMap<string, string>; // nodes that have it, and why it is not used
  readonly notByWireguard: ReadonlyMap<string, string>;
  readonly refused: ReadonlyMap<string, string>; // nodes that nothing goes to, and why
}

type OneTunnel = Pick<Tunnel, 'namespacePath' | 'ensureNamespace' | 'set' | 'forget' | 'counts' | 'isThere' | 'stop'>;
type OneKernel = Pick<
  EspDriver,
  'open' | 'carry' | 'settle' | 'reason' | 'counts' | 'differences' | 'audit' | 'end' | 'sweep'
>;
type OneWireguard = Pick<
  WireguardDriver,
  'open' | 'carry' | 'settle' | 'reason' | 'counts' | 'differences' | 'audit' | 'end' | 'sweep'
>;

export interface SealedNetworksParts {
  readonly tunnel: OneTunnel;
  readonly esp: OneKernel;
  readonly wireguard: OneWireguard;
  readonly log: Log;
  /** Of the links that the kernel's packets go by. */
  readonly mtu: () => number;
}

export class SealedNetworks {
  readonly #tunnel: OneTunnel;
  readonly #esp: OneKernel;
  readonly #wireguard: OneWireguard;
  readonly #log: Log;
  readonly #mtu: () => number;
  readonly #known = new Map<string, Known>();

  constructor({ tunnel, esp, wireguard, log, mtu }: SealedNetworksParts) {
    this.#tunnel = tunnel;
    this.#esp = esp;
    this.#wireguard = wireguard;
    this.#log = log;
    this.#mtu = mtu;
  }

  get namespacePath(): string {
    return this.#tunnel.namespacePath;
  }

  /** The namespace in which VXLAN links of encrypted networks send. */
  async underlay(): Promise<string> {
    await this.#tunnel.ensureNamespace();
    return this.#tunnel.namespacePath;
  }

  /** Answers the state as the kernel is to have it. */
  async seal(index: number, state: OverlayState): Promise<OverlayState> {
    const { network, encryption } = state;
    if (!encryption) return fail('unavailable', `the managers have not made the keys of network ${network.name} yet`);
    const before = this.#known.get(network.id);
    const peers = new Map(state.endpoints.flatMap(({ node }) => (node ? [[node.id, node] as const] : [])));
    const inners = innerAddresses(peers.keys(), before?.inners);
    const isStale = index < (before?.index ?? 0);
    const known = isStale ? before : await this.#carry(index, state, { encryption, peers, inners });
    const wayTo = (nodeId: string): string => {
      if (known?.esp.has(nodeId)) return formatAddress(insideAddress(network.id, nodeId));
      if (known?.wireguard.has(nodeId)) return formatAddress(wireguardAddress(network.id, nodeId));
      return formatAddress(inners.get(nodeId) ?? 0);
    };
    return {
      ...state,
      network: { ...network, port: VXLAN_PORT },
      endpoints: state.endpoints.map(({ node, ...rest }) => ({
        ...rest,
        ...(node && { node: { ...node, address: wayTo(node.id), port: VXLAN_PORT } }),
      })),
    };
  }

  /** VXLAN links name the other nodes by what `seal` has answered: what nobody uses any more is taken out. */
  async settle(networkId: string): Promise<void> {
    await this.#esp.settle(networkId);
    await this.#wireguard.settle(networkId);
  }

  async pairs(networkId: string): Promise<readonly OverlayPair[]> {
    const known = this.#known.get(networkId);
    if (!known) return [];
    const kernel = known.esp.size > 0 ? await this.#esp.counts(networkId) : new Map<string, never>();
    const sessions = known.wireguard.size > 0 ? await this.#wireguard.counts(networkId) : new Map<string, never>();
    const tunnel = known.pairs.size > 0 ? await this.#tunnel.counts() : new Map<string, never>();
    return this.#means(networkId, known).map(({ nodeId, means, reason }) => {
      const pair = { nodeId, means, ...(reason !== undefined && { reason }) };
      if (means === 'none') return { ...pair, ...UNOPENED };
      if (means === 'esp') {
        const counts = kernel.get(nodeId) ?? UNOPENED;
        return { ...pair, ...counts, open: counts.received > 0 };
      }
      if (means === 'wireguard') return { ...pair, ...UNOPENED, ...sessions.get(nodeId) };
      const { open, sent, received, replayed, altered } = tunnel.get(known.pairs.get(nodeId)?.tag ?? '') ?? UNOPENED;
      return { ...pair, open, sent, received, replayed, altered };
    });
  }

  /** Of all networks: by which means each other node is reached, and why not by a better one. */
  means(): readonly PairMeans[] {
    return [...this.#known].flatMap(([id, known]) => this.#means(id, known));
  }

  #means(networkId: string, known: Known): PairMeans[] {
    const { name, esp, wireguard, pairs, refused } = known;
    const isByKernel = (nodeId: string): boolean => esp.has(nodeId) || wireguard.has(nodeId);
    const byTunnel = [...pairs.keys()].filter((nodeId) => !isByKernel(nodeId) && !refused.has(nodeId));
    const notByEsp = (nodeId: string): string[] => {
      const why = known.notByEsp.get(nodeId);
      return why === undefined ? [] : [`ESP is not used: ${this.#esp.reason(networkId, nodeId) ?? why}`];
    };
    const notByWireguard = (nodeId: string): string[] => {
      const why = known.notByWireguard.get(nodeId);
      return why === undefined ? [] : [`WireGuard is not used: ${this.#wireguard.reason(networkId, nodeId) ?? why}`];
    };
    const because = (reasons: readonly string[]) => (reasons.length > 0 ? { reason: reasons.join('; ') } : {});
    return [
      ...[...esp].map((nodeId) => ({ network: name, nodeId, means: 'esp' as const })),
      ...[...wireguard].map((nodeId) => {
        return { network: name, nodeId, means: 'wireguard' as const, ...because(notByEsp(nodeId)) };
      }),
      ...byTunnel.map((nodeId) => {
        const reasons = [...notByEsp(nodeId), ...notByWireguard(nodeId)];
        return { network: name, nodeId, means: 'tunnel' as const, ...because(reasons) };
      }),
      ...[...refused].map(([nodeId, reason]) => ({ network: name, nodeId, means: 'none' as const, reason })),
    ];
  }

  /** Of all networks: who is not reached, and why. */
  unreached(): { readonly network: string; readonly nodeId: string; readonly reason: string }[] {
    return [...this.#known.values()].flatMap(({ name, refused }) =>
      [...refused].map(([nodeId, reason]) => ({ network: name, nodeId, reason })),
    );
  }

  /** The node is not on the network any more: its keys are forgotten, also if an earlier daemon has told them. */
  async forget(networkId: string, vni: number): Promise<void> {
    this.#known.delete(networkId);
    await this.#esp.end(networkId);
    await this.#wireguard.end(networkId);
    await this.#tunnel.forget(vni);
  }

  /** What an earlier daemon has left of networks that nobody knows any more. */
  async sweep(known: ReadonlySet<string>): Promise<void> {
    await this.#esp.sweep(known);
    await this.#wireguard.sweep(known);
  }

  /** Kernel against plan: `changed` are networks whose packets have to take another way, by `seal`. */
  async audit(): ReturnType<OneKernel['audit']> {
    const found = [await this.#esp.audit(), await this.#wireguard.audit()];
    return {
      repairs: found.flatMap(({ repairs }) => repairs),
      changed: [...new Set(found.flatMap(({ changed }) => changed))],
    };
  }

  async differences(): Promise<string[]> {
    return [...(await this.#esp.differences()), ...(await this.#wireguard.differences())];
  }

  /** No such network is left: also of an earlier daemon. */
  async end(): Promise<void> {
    this.#known.clear();
    await this.sweep(new Set());
    if (this.#tunnel.isThere()) await this.#tunnel.stop();
  }

  async #carry(index: number, { network }: OverlayState, task: Task): Promise<Known> {
    const { peers, inners, encryption } = task;
    const before = this.#known.get(network.id);
    const { id, name, vni } = network;
    const life = await this.#esp.open({ id, name, vni, nodeId: encryption.nodeId, mtu: this.#mtu() });
    const isWireguard = await this.#wireguard.open({ id, name, vni, mtu: this.#mtu() });
    const { pairs, wrong } = await this.#byTunnel(network, task, life !== undefined || isWireguard);
    const esp = await this.#byEsp(network, task, life);
    const sessions = await this.#byWireguard(network, task, isWireguard, esp.reached);
    const wireguard = sessions.reached;
    const refused = new Map([...wrong].filter(([nodeId]) => !esp.reached.has(nodeId) && !wireguard.has(nodeId)));
    for (const [nodeId, reason] of refused) {
      if (before?.refused.get(nodeId) === reason) continue;
      this.#log.warn('a node is not reached on an encrypted network', { networkId: id, nodeId, reason });
    }
    const whoHave = (means: MeansName, why: string) =>
      new Map([...peers.values()].flatMap((peer) => (peer.means?.includes(means) ? [[peer.id, why] as const] : [])));
    const notByEsp = whoHave('esp', esp.why);
    const notByWireguard = whoHave('wireguard', sessions.why);
    const known = { index, name, vni, inners, pairs, esp: esp.reached, wireguard, notByEsp, notByWireguard, refused };
    this.#known.set(id, known);
    return known;
  }

  /** `hasOther`: without the tunnel there are still those that the kernel carries. */
  async #byTunnel(
    network: OverlayNetwork,
    { peers, inners, encryption }: Task,
    hasOther: boolean,
  ): Promise<{ pairs: ReadonlyMap<string, TunnelPair>; wrong: ReadonlyMap<string, string> }> {
    const { pairs, wrong } = pairsOf(network, peers, inners, encryption);
    try {
      await this.#tunnel.set(tunnelPort(network.port || VXLAN_PORT), network.vni, [...pairs.values()]);
      return { pairs, wrong };
    } catch (error) {
      if (!hasOther || codeOf(error) !== 'not-implemented') throw error;
      const reason = sentenceOf(error);
      return { pairs: new Map(), wrong: new Map([...peers.keys()].map((nodeId) => [nodeId, reason])) };
    }
  }

  /** Both ends go by what the managers have told of both: what one of them only knows itself does not count. */
  async #byEsp(
    network: OverlayNetwork,
    { peers, encryption }: Task,
    life: string | undefined,
  ): Promise<{ reached: ReadonlySet<string>; why: string }> {
    const { self, keys, sendId } = encryption;
    if (life === undefined) return { reached: new Set(), why: 'this node’s kernel does not do it' };
    const isTold = self?.life === life && isIPv4(self.address);
    if (!isTold) return { reached: new Set(), why: 'other nodes were not told yet that this one is ready for it' };
    const own = usableMeans(self);
    const chosen = [...peers.values()].filter(
      (peer) => isIPv4(peer.address) && peer.address !== self.address && hasEsp(own, peer),
    );
    const ends = chosen.map((peer) => ({
      id: peer.id,
      address: parseAddress(peer.address),
      life: peer.life ?? '',
    }));
    const end = { id: encryption.nodeId, address: parseAddress(self.address) };
    const reached = await this.#esp.carry(network.id, { keys, sendId }, end, ends);
    return { reached: reached ?? new Set(), why: 'the other node is not ready for it, or at the same address' };
  }

  /** Who has no session yet, or not any more, is reached otherwise: neither end has to know what the other was told. */
  async #byWireguard(
    network: OverlayNetwork,
    { peers, encryption }: Task,
    isOpen: boolean,
    byEsp: ReadonlySet<string>,
  ): Promise<{ reached: ReadonlySet<string>; why: string }> {
    const { nodeId, keys, sendId } = encryption;
    if (!isOpen) return { reached: new Set(), why: 'this node’s kernel does not do it' };
    const ends = [...peers.values()].flatMap(({ id, address, means, wireguardPort }) => {
      const isReady = means?.includes('wireguard') && wireguardPort !== undefined && isIPv4(address);
      return isReady && !byEsp.has(id) ? [{ id, address: parseAddress(address), firstPort: wireguardPort }] : [];
    });
    const reached = await this.#wireguard.carry(network.id, { keys, sendId }, { id: nodeId }, ends);
    return { reached: reached ?? new Set(), why: 'there is no session with the other node yet' };
  }
}

interface Task {
  readonly peers: ReadonlyMap<string, OverlayNode>;
  readonly inners: ReadonlyMap<string, number>;
  readonly encryption: OverlayEncryption;
}

export interface PairMeans extends Pick<OverlayPair, 'nodeId' | 'means' | 'reason'> {
  readonly network: string; // its name
}

const UNOPENED = { open: false, sent: 0, received: 0, replayed: 0, altered: 0 } as const;
const TUNNEL: readonly MeansName[] = ['tunnel'];

const hasEsp = (own: readonly MeansName[], peer: OverlayNode): boolean =>
  own.includes('esp') && usableMeans(peer).includes('esp');

/** What is wrong with one node keeps that node out, and nobody else: its frames go into the tunnel and no further. */
function pairsOf(
  network: OverlayNetwork,
  peers: ReadonlyMap<string, OverlayNode>,
  inners: ReadonlyMap<string, number>,
  encryption: OverlayEncryption,
): { pairs: ReadonlyMap<string, TunnelPair>; wrong: ReadonlyMap<string, string> } {
  const pairs = new Map<string, TunnelPair>();
  const wrong = new Map<string, string>();
  for (const [id, node] of peers) {
    try {
      meansOf(TUNNEL, node);
      pairs.set(id, tunnelPair(network, encryption, node, inners.get(id)));
    } catch (error) {
      wrong.set(id, sentenceOf(error));
    }
  }
  return { pairs, wrong };
}
