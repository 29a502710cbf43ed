// Encrypted networks between nodes: before anybody is sent into one, the tunnel and, where both ends have it, the kernel's
// ESP know who is where and under which keys. VXLAN links name other nodes by addresses that only these understand.
// The tunnel takes from every node that has it, also from those that ESP goes to: so who hears later of a change loses
// nothing, and who can not go on by ESP sends by the tunnel at once.
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
import { insideAddress } from './kernel-pairs.ts';
import { VXLAN_PORT } from './overlay-messages.ts';
import { meansOf, usableMeans } from './pair-means.ts';
import type { Tunnel } from './tunnel.ts';
import { innerAddresses, tunnelPair, type TunnelPair, tunnelPort } from './tunnel-pairs.ts';

interface Known {
  readonly index: number;
  readonly name: string;
  readonly vni: number;
  readonly inners: ReadonlyMap<string, number>; // by node
  readonly pairs: ReadonlyMap<string, TunnelPair>; // by node; also of those that ESP goes to
  readonly esp: ReadonlySet<string>; // nodes that ESP goes to
  readonly notByEsp: ReadonlyMap<string, string>; // nodes that have it, and why it is not used
  readonly refused: ReadonlyMap<string, string>; // nodes that nothing goes to, and why
}

type OneTunnel = Pick<Tunnel, 'namespacePath' | 'ensureNamespace' | 'set' | 'forget' | 'counts' | 'isThere' | 'stop'>;
type OneKernel = Pick<
  EspDriver,
  'open' | 'carry' | 'settle' | 'reason' | 'counts' | 'differences' | 'audit' | 'end' | 'sweep'
>;

export interface SealedNetworksParts {
  readonly tunnel: OneTunnel;
  readonly esp: OneKernel;
  readonly log: Log;
  /** Of the link that ESP's packets go by. */
  readonly mtu: () => number;
}

export class SealedNetworks {
  readonly #tunnel: OneTunnel;
  readonly #esp: OneKernel;
  readonly #log: Log;
  readonly #mtu: () => number;
  readonly #known = new Map<string, Known>();

  constructor({ tunnel, esp, log, mtu }: SealedNetworksParts) {
    this.#tunnel = tunnel;
    this.#esp = esp;
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
    const wayTo = (nodeId: string): string =>
      formatAddress(known?.esp.has(nodeId) ? insideAddress(network.id, nodeId) : (inners.get(nodeId) ?? 0));
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
  settle(networkId: string): Promise<void> {
    return this.#esp.settle(networkId);
  }

  async pairs(networkId: string): Promise<readonly OverlayPair[]> {
    const known = this.#known.get(networkId);
    if (!known) return [];
    const kernel = known.esp.size > 0 ? await this.#esp.counts(networkId) : new Map<string, never>();
    const tunnel = known.pairs.size > 0 ? await this.#tunnel.counts() : new Map<string, never>();
    return this.#means(networkId, known).map(({ nodeId, means, reason }) => {
      const pair = { nodeId, means, ...(reason !== undefined && { reason }) };
      if (means === 'none') return { ...pair, ...UNOPENED };
      if (means === 'esp') {
        const counts = kernel.get(nodeId) ?? UNOPENED;
        return { ...pair, ...counts, open: counts.received > 0 };
      }
      const { open, sent, received, replayed, altered } = tunnel.get(known.pairs.get(nodeId)?.tag ?? '') ?? UNOPENED;
      return { ...pair, open, sent, received, replayed, altered };
    });
  }

  /** Of all networks: by which means each other node is reached, and why not by a better one. */
  means(): readonly PairMeans[] {
    return [...this.#known].flatMap(([id, known]) => this.#means(id, known));
  }

  #means(networkId: string, { name, esp, pairs, refused, notByEsp }: Known): PairMeans[] {
    const byTunnel = [...pairs.keys()].filter((nodeId) => !esp.has(nodeId) && !refused.has(nodeId));
    return [
      ...[...esp].map((nodeId) => ({ network: name, nodeId, means: 'esp' as const })),
      ...byTunnel.map((nodeId) => {
        const why = notByEsp.get(nodeId);
        const reason = why && `ESP is not used: ${this.#esp.reason(networkId, nodeId) ?? why}`;
        return { network: name, nodeId, means: 'tunnel' as const, ...(reason !== undefined && { reason }) };
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
    await this.#tunnel.forget(vni);
  }

  /** What an earlier daemon has left of networks that nobody knows any more. */
  sweep(known: ReadonlySet<string>): Promise<void> {
    return this.#esp.sweep(known);
  }

  /** Kernel against plan: `changed` are networks whose packets have to take another way, by `seal`. */
  audit(): ReturnType<OneKernel['audit']> {
    return this.#esp.audit();
  }

  differences(): Promise<string[]> {
    return this.#esp.differences();
  }

  /** No such network is left: also of an earlier daemon. */
  async end(): Promise<void> {
    this.#known.clear();
    await this.#esp.sweep(new Set());
    if (this.#tunnel.isThere()) await this.#tunnel.stop();
  }

  async #carry(index: number, { network }: OverlayState, task: Task): Promise<Known> {
    const { peers, inners, encryption } = task;
    const before = this.#known.get(network.id);
    const { id, name, vni } = network;
    const life = await this.#esp.open({ id, name, vni, nodeId: encryption.nodeId, mtu: this.#mtu() });
    const { pairs, wrong } = await this.#byTunnel(network, task, life !== undefined);
    const esp = await this.#byEsp(network, task, life);
    const refused = new Map([...wrong].filter(([nodeId]) => !esp.reached.has(nodeId)));
    for (const [nodeId, reason] of refused) {
      if (before?.refused.get(nodeId) === reason) continue;
      this.#log.warn('a node is not reached on an encrypted network', { networkId: id, nodeId, reason });
    }
    const notByEsp = new Map(
      [...peers.values()].flatMap((peer) => (peer.means?.includes('esp') ? [[peer.id, esp.why] as const] : [])),
    );
    const known = { index, name, vni, inners, pairs, esp: esp.reached, notByEsp, refused };
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
