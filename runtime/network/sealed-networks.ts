// Encrypted networks between nodes: before anybody is sent into one, the tunnel knows who is where and under which keys.
// Their VXLAN links name other nodes by addresses that only the tunnel understands.
// Invariant: what was handed in last with the highest index is what the tunnel has.
import { fail, sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { formatAddress } from './addresses.ts';
import type {
  MeansName,
  OverlayEncryption,
  OverlayNetwork,
  OverlayNode,
  OverlayPair,
  OverlayState,
} from './contract.ts';
import { VXLAN_PORT } from './overlay-messages.ts';
import { meansOf } from './pair-means.ts';
import type { Tunnel } from './tunnel.ts';
import { innerAddresses, tunnelPair, type TunnelPair, tunnelPort } from './tunnel-pairs.ts';

interface Known {
  readonly index: number;
  readonly name: string;
  readonly vni: number;
  readonly inners: ReadonlyMap<string, number>; // by node
  readonly pairs: ReadonlyMap<string, TunnelPair>; // by node
  readonly refused: ReadonlyMap<string, string>; // nodes that nothing goes to, and why
}

/** What this version carries by. Where this node lacks it, the network itself is refused, with the reason. */
const CARRIED: readonly MeansName[] = ['tunnel'];

type OneTunnel = Pick<Tunnel, 'namespacePath' | 'ensureNamespace' | 'set' | 'forget' | 'counts' | 'isThere' | 'stop'>;

export class SealedNetworks {
  readonly #tunnel: OneTunnel;
  readonly #log: Log;
  readonly #known = new Map<string, Known>();

  constructor(tunnel: OneTunnel, log: Log) {
    this.#tunnel = tunnel;
    this.#log = log;
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
    if (index >= (before?.index ?? 0)) {
      const { pairs, refused } = pairsOf(network, peers, inners, encryption);
      for (const [nodeId, reason] of refused) {
        if (before?.refused.get(nodeId) === reason) continue;
        this.#log.warn('a node is not reached on an encrypted network', { networkId: network.id, nodeId, reason });
      }
      this.#known.set(network.id, { index, name: network.name, vni: network.vni, inners, pairs, refused });
      await this.#tunnel.set(tunnelPort(network.port || VXLAN_PORT), network.vni, [...pairs.values()]);
    }
    const innerOf = (nodeId: string): string => formatAddress(inners.get(nodeId) ?? 0);
    return {
      ...state,
      network: { ...network, port: VXLAN_PORT },
      endpoints: state.endpoints.map(({ node, ...rest }) => ({
        ...rest,
        ...(node && { node: { ...node, address: innerOf(node.id), port: VXLAN_PORT } }),
      })),
    };
  }

  async pairs(networkId: string): Promise<readonly OverlayPair[]> {
    const known = this.#known.get(networkId);
    if (!known) return [];
    const counts = await this.#tunnel.counts();
    const carried = [...known.pairs].map(([nodeId, { tag }]) => {
      const { open = false, sent = 0, received = 0, replayed = 0, altered = 0 } = counts.get(tag) ?? {};
      return { nodeId, means: 'tunnel', open, sent, received, replayed, altered } as const;
    });
    const refused = [...known.refused].map(
      ([nodeId, reason]) =>
        ({ nodeId, means: 'none', reason, open: false, sent: 0, received: 0, replayed: 0, altered: 0 }) as const,
    );
    return [...carried, ...refused];
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
    await this.#tunnel.forget(vni);
  }

  /** No such network is left: also of an earlier daemon. */
  async end(): Promise<void> {
    this.#known.clear();
    if (this.#tunnel.isThere()) await this.#tunnel.stop();
  }
}

/** What is wrong with one node keeps that node out, and nobody else: its frames go into the tunnel and no further. */
function pairsOf(
  network: OverlayNetwork,
  peers: ReadonlyMap<string, OverlayNode>,
  inners: ReadonlyMap<string, number>,
  encryption: OverlayEncryption,
): Pick<Known, 'pairs' | 'refused'> {
  const pairs = new Map<string, TunnelPair>();
  const refused = new Map<string, string>();
  for (const [id, node] of peers) {
    try {
      meansOf(CARRIED, node);
      pairs.set(id, tunnelPair(network, encryption, node, inners.get(id)));
    } catch (error) {
      refused.set(id, sentenceOf(error));
    }
  }
  return { pairs, refused };
}
