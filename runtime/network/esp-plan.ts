// What the kernel's IPsec is to have for an encrypted network: states and policies of each pair, and how to come from one
// plan to the next without a packet lost. Pure.
// A pair has states for every key of the ring to receive under, and one to send under, which the policy names. So a node that
// hears of a turn of the ring late still understands the others, and they understand it.
// Invariant: a state that was taken out is never made again in the same lives of both ends; it would count from the
// beginning, and take what was recorded.
import { addAddress, addLinkRoute, changeLink, deleteLinkAt, deleteLinkRoute, moveLink } from './link-messages.ts';
import {
  aboutEnd,
  derivedKey,
  doubled,
  insideAddress,
  type KernelEnd,
  type KernelRing,
  netlinkStep,
} from './kernel-pairs.ts';
import { NETLINK_ROUTE, NETLINK_XFRM, type Step } from './netd-protocol.ts';
import {
  addEspLink,
  addEspState,
  deleteEspPolicy,
  deleteEspState,
  type EspPolicy,
  type EspState,
  putEspPolicy,
} from './xfrm-messages.ts';

export interface EspNetwork extends KernelRing {
  readonly id: string;
  /** Of its link; no other network of this machine has it. */
  readonly interfaceId: number;
}

export interface EspPlan {
  readonly states: ReadonlyMap<string, EspState>; // by destination and SPI, as the kernel knows them
  readonly policies: ReadonlyMap<string, EspPolicy>; // by the packets that they are for
  /** Whose a state is: packets of its other end, or for it. */
  readonly ends: ReadonlyMap<string, { readonly nodeId: string; readonly isOut: boolean }>;
  /** Inside addresses of other nodes, which lead into the link. */
  readonly routes: ReadonlySet<number>;
  /** Nodes that nothing goes to, and why. */
  readonly refused: ReadonlyMap<string, string>;
}

export const NO_ESP: EspPlan = {
  states: new Map(),
  policies: new Map(),
  ends: new Map(),
  routes: new Set(),
  refused: new Map(),
};

/** Far below what AES-GCM may seal under one key, far above what goes between two nodes in the time of one. */
const BYTES_MAX = 2n ** 46n;
const KEY_BYTES = 20;
/** Lower ones are reserved. */
const SPI_MIN = 256;

export function espPlan(network: EspNetwork, self: KernelEnd, peers: readonly KernelEnd[]): EspPlan {
  const states = new Map<string, EspState>();
  const policies = new Map<string, EspPolicy>();
  const ends = new Map<string, { nodeId: string; isOut: boolean }>();
  const routes = new Set<number>();
  const refused = new Map<string, string>();
  const twice = doubled(network.id, [self.id, ...peers.map(({ id }) => id)]);
  for (const peer of [...peers].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    const other = twice.get(peer.id) ?? twice.get(self.id);
    const pair = other === undefined ? pairOf(network, self, peer) : undefined;
    const taken = pair?.states.find((state) => states.has(stateKey(state)));
    if (!pair) refused.set(peer.id, `its address inside network ${network.id} is that of another node, ${other}`);
    else if (taken) refused.set(peer.id, `the SPI ${taken.spi} is another node's as well, until the keys turn`);
    else {
      for (const state of pair.states) {
        states.set(stateKey(state), state);
        ends.set(stateKey(state), { nodeId: peer.id, isOut: pair.outgoing.has(state) });
      }
      for (const policy of pair.policies) policies.set(policyKey(policy), policy);
      routes.add(insideAddress(network.id, peer.id));
    }
  }
  return { states, policies, ends, routes, refused };
}

interface Pair {
  readonly states: readonly EspState[];
  readonly outgoing: ReadonlySet<EspState>;
  readonly policies: readonly EspPolicy[];
}

function pairOf(network: EspNetwork, self: KernelEnd, peer: KernelEnd): Pair {
  const { id, interfaceId, keys, sendId } = network;
  const incoming = keys.map((key) => stateOf(network, key, peer, self));
  const outgoing = keys.filter((key) => key.id === sendId).map((key) => stateOf(network, key, self, peer));
  const [own, theirs] = [insideAddress(id, self.id), insideAddress(id, peer.id)];
  const inward = { direction: 'in', interfaceId, from: theirs, to: own, spi: 0 } as const;
  const outward = outgoing.map(
    ({ spi }) =>
      ({
        direction: 'out',
        interfaceId,
        from: own,
        to: theirs,
        source: self.address,
        destination: peer.address,
        spi,
      }) as const,
  );
  return {
    states: [...incoming, ...outgoing],
    outgoing: new Set(outgoing),
    policies: [{ ...inward, source: peer.address, destination: self.address }, ...outward],
  };
}

function stateOf(
  { id: networkId, interfaceId }: EspNetwork,
  { id: keyId, secret }: KernelRing['keys'][number],
  from: KernelEnd,
  to: KernelEnd,
): EspState {
  const about = [...aboutEnd(from), ...aboutEnd(to)];
  const bytes = derivedKey({ networkId, secret, keyId }, 'shoal esp', about, KEY_BYTES + 4);
  return {
    source: from.address,
    destination: to.address,
    spi: SPI_MIN + (bytes.readUInt32BE(KEY_BYTES) % (2 ** 32 - SPI_MIN)),
    interfaceId,
    bytesMax: BYTES_MAX,
    key: bytes.subarray(0, KEY_BYTES),
  };
}

export const stateKey = ({ destination, spi }: Pick<EspState, 'destination' | 'spi'>): string =>
  `${destination} ${spi}`;
export const policyKey = ({ direction, interfaceId, from, to }: EspPolicy): string =>
  `${direction} ${interfaceId} ${from} ${to}`;
/** Which states it is for. */
export const policyText = ({ source, destination, spi }: EspPolicy): string => `${source} ${destination} ${spi}`;

/** The link of the network, and the namespace that it is moved to: that of the tunnel. */
export interface EspPlace {
  readonly index: number;
  readonly namespacePath: string;
}

export const espLinkName = (interfaceId: number): string => `esp${interfaceId}`;

/** Before the first plan. The link is made where the states are, so that it has those; packets come from elsewhere. */
export function espLinkSteps(
  { id, interfaceId }: Pick<EspNetwork, 'id' | 'interfaceId'>,
  self: Pick<KernelEnd, 'id'>,
  { index, namespacePath, namespaceFd, mtu }: EspPlace & { readonly namespaceFd: number; readonly mtu: number },
): Step[] {
  return [
    ...netlinkStep(NETLINK_ROUTE, '', (writer) => {
      addEspLink(writer, { name: espLinkName(interfaceId), index, interfaceId });
      moveLink(writer, index, namespaceFd);
    }),
    ...netlinkStep(NETLINK_ROUTE, namespacePath, (writer) => {
      addAddress(writer, { index, address: insideAddress(id, self.id), prefixLength: 32 });
      changeLink(writer, { index, mtu, up: true });
    }),
  ];
}

/** Behind the last plan, which has no states: without the link, what one decrypts would come out in the node's namespace. */
export const espLinkEnd = ({ index, namespacePath }: EspPlace): Step[] =>
  netlinkStep(NETLINK_ROUTE, namespacePath, (writer) => deleteLinkAt(writer, index));

/**
 * From one plan to the next. First all is made that is new, the states before the policies that name them and these before
 * the routes; what is not wanted any more is taken out in the opposite order, when whoever calls has moved the packets.
 */
export function espSteps(before: EspPlan, after: EspPlan, place: EspPlace): { make: Step[]; remove: Step[] } {
  const isNew = (policy: EspPolicy): boolean => {
    const known = before.policies.get(policyKey(policy));
    return !known || policyText(known) !== policyText(policy);
  };
  return {
    make: [
      ...netlinkStep(NETLINK_XFRM, '', (writer) => {
        for (const [key, state] of after.states) if (!before.states.has(key)) addEspState(writer, state);
        for (const policy of after.policies.values()) if (isNew(policy)) putEspPolicy(writer, policy);
      }),
      ...routes(
        place,
        [...after.routes].filter((to) => !before.routes.has(to)),
        addLinkRoute,
      ),
    ],
    remove: [
      ...routes(
        place,
        [...before.routes].filter((to) => !after.routes.has(to)),
        deleteLinkRoute,
      ),
      ...netlinkStep(NETLINK_XFRM, '', (writer) => {
        for (const [key, policy] of before.policies) if (!after.policies.has(key)) deleteEspPolicy(writer, policy);
        for (const [key, state] of before.states) if (!after.states.has(key)) deleteEspState(writer, state);
      }),
    ],
  };
}

const routes = ({ index, namespacePath }: EspPlace, to: readonly number[], write: typeof addLinkRoute): Step[] =>
  netlinkStep(NETLINK_ROUTE, namespacePath, (writer) => {
    for (const base of to) write(writer, index, { base, prefixLength: 32 });
  });
