// What the kernel's WireGuard is to have for an encrypted network, and how to come from one plan to the next without a
// packet lost. Pure.
// Each key of the ring has a link of its own, with a port of its own, as a link has one key: packets are taken by all three,
// and sent by that of the key that is sent under. So a node that hears of a turn of the ring late still understands the
// others, and they understand it. A session's keys are the kernel's own, made anew every two minutes; nothing that was
// recorded opens one.
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { addAddress, addLinkRoute, changeLink, deleteLinkAt, deleteLinkRoute, moveLink } from './link-messages.ts';
import { derivedKey, doubled, type KernelEnd, type KernelRing, netlinkStep, wireguardAddress } from './kernel-pairs.ts';
import { NETLINK_GENERIC, NETLINK_ROUTE, type Step } from './netd-protocol.ts';
import {
  addWireguardLink,
  putWireguardPeers,
  removeWireguardPeers,
  setWireguard,
  type WireguardPeer,
} from './wireguard-messages.ts';

export interface WireguardNetwork extends KernelRing {
  readonly id: string;
  /** This one and the three above it are the network's, on this node; others are told of it. */
  readonly firstPort: number;
  /** Likewise for the numbers of its links. */
  readonly firstIndex: number;
  readonly mtu: number;
}

export interface WireguardLink {
  readonly name: string;
  readonly index: number;
  readonly port: number;
  readonly keyId: number;
  readonly privateKey: Buffer;
  readonly own: number; // its address inside
  readonly mtu: number;
  readonly peers: ReadonlyMap<string, WireguardPeer>; // by node
}

export interface WireguardPlan {
  readonly links: ReadonlyMap<number, WireguardLink>; // by key
  /** Inside addresses of other nodes, and the link that leads there. */
  readonly routes: ReadonlyMap<number, number>;
  /** Nodes that nothing goes to, and why. */
  readonly refused: ReadonlyMap<string, string>;
}

export const NO_WIREGUARD: WireguardPlan = { links: new Map(), routes: new Map(), refused: new Map() };

/** Three keys are in a ring; four, so that their numbers may begin anew at 2^24. */
export const SLOTS = 4;
/** Of PKCS #8, before the 32 bytes of an X25519 key. */
const PKCS8_HEAD = Buffer.from('302e020100300506032b656e04220420', 'hex');

type Self = Pick<KernelEnd, 'id'>;

export interface WireguardEnd extends Pick<KernelEnd, 'id' | 'address'> {
  /** Of the network there, as that node has told. */
  readonly firstPort: number;
}

/** What `before` has of the same keys is taken from there: public keys are dear, a ring has three for each node. */
export function wireguardPlan(
  network: WireguardNetwork,
  self: Self,
  peers: readonly WireguardEnd[],
  before: WireguardPlan = NO_WIREGUARD,
): WireguardPlan {
  const twice = doubled(network.id, [self.id, ...peers.map(({ id }) => id)], wireguardAddress);
  const refused = new Map<string, string>();
  const carried = peers.filter(({ id }) => {
    const other = twice.get(id) ?? twice.get(self.id);
    if (other === undefined) return true;
    refused.set(id, `its address inside network ${network.id} is that of another node, ${other}`);
    return false;
  });
  const links = new Map(network.keys.map((key) => [key.id, linkOf(network, key, self, carried, before)]));
  const sent = links.get(network.sendId);
  const routes = new Map(sent ? carried.map(({ id }) => [wireguardAddress(network.id, id), sent.index]) : []);
  return { links, routes, refused };
}

function linkOf(
  { id: networkId, firstPort, firstIndex, mtu }: WireguardNetwork,
  { id: keyId, secret }: KernelRing['keys'][number],
  self: Self,
  peers: readonly WireguardEnd[],
  before: WireguardPlan,
): WireguardLink {
  const slot = keyId % SLOTS;
  const key = { networkId, secret, keyId };
  const privateKey = privateOf(key, self.id);
  const known = before.links.get(keyId);
  const isKnown = known?.privateKey.equals(privateKey) ?? false;
  const peerOf = ({ id, address, firstPort: theirs }: WireguardEnd): WireguardPeer => {
    const port = theirs + slot;
    const same = isKnown ? known?.peers.get(id) : undefined;
    if (same) return { ...same, address, port };
    const pair = [self.id, id].sort();
    return {
      publicKey: publicOf(privateOf(key, id)),
      presharedKey: derivedKey(key, 'shoal wireguard pair', pair, 32),
      address,
      port,
      inside: wireguardAddress(networkId, id),
    };
  };
  return {
    name: wireguardName(firstIndex + slot),
    index: firstIndex + slot,
    port: firstPort + slot,
    keyId,
    privateKey,
    own: wireguardAddress(networkId, self.id),
    mtu,
    peers: new Map(peers.map((peer) => [peer.id, peerOf(peer)])),
  };
}

export const wireguardName = (index: number): string => `wg${index}`;

/** As X25519 wants it: curve25519's own bits set and cleared, so that it is shown as it was given. */
function privateOf(key: Parameters<typeof derivedKey>[0], nodeId: string): Buffer {
  const bytes = derivedKey(key, 'shoal wireguard own', [nodeId], 32);
  bytes.writeUInt8(bytes.readUInt8(0) & 0xf8, 0);
  bytes.writeUInt8((bytes.readUInt8(31) & 0x7f) | 0x40, 31);
  return bytes;
}

function publicOf(privateKey: Buffer): Buffer {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, privateKey]), format: 'der', type: 'pkcs8' });
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32);
}

/** Where links go, and what generic netlink calls WireGuard there. */
export interface WireguardPlace {
  readonly namespacePath: string;
  readonly namespaceFd: number;
  readonly family: number;
}

/**
 * From one plan to the next. First links and peers are made that are new, then the routes lead to where is sent now; what is
 * not wanted any more is taken out last, when whoever calls has moved the packets.
 */
export function wireguardSteps(
  before: WireguardPlan,
  after: WireguardPlan,
  place: WireguardPlace,
): { make: Step[]; remove: Step[] } {
  const { namespacePath: where, family } = place;
  const made = [...after.links.values()].filter((link) => !isSame(before.links.get(link.keyId), link));
  const gone = [...before.links.values()].filter((link) => !isSame(after.links.get(link.keyId), link));
  const isMade = (index: number): boolean => made.some((link) => link.index === index);
  const moved = [...after.routes].filter(([to, index]) => before.routes.get(to) !== index || isMade(index));
  // A node that was away for several turns: what stands where a new link is to be goes first, and its routes with it.
  const inTheWay = gone.filter(({ index }) => isMade(index));
  const ended = [...before.routes].filter(([to, index]) => !after.routes.has(to) && !isMade(index));
  return {
    make: [
      ...netlinkStep(NETLINK_ROUTE, where, (writer) => {
        for (const { index } of inTheWay) deleteLinkAt(writer, index);
      }),
      ...made.flatMap((link) => linkSteps(link, place)),
      ...netlinkStep(NETLINK_GENERIC, where, (writer) => {
        for (const { keyId, name, peers } of after.links.values()) {
          const known = made.some((link) => link.keyId === keyId) ? undefined : before.links.get(keyId)?.peers;
          const fresh = [...peers].filter(([id, peer]) => !isSamePeer(known?.get(id), peer));
          putWireguardPeers(
            writer,
            family,
            name,
            fresh.map(([, peer]) => peer),
          );
        }
      }),
      ...netlinkStep(NETLINK_ROUTE, where, (writer) => {
        for (const [base, index] of moved) addLinkRoute(writer, index, { base, prefixLength: 32 });
      }),
    ],
    remove: [
      ...netlinkStep(NETLINK_ROUTE, where, (writer) => {
        for (const [base, index] of ended) deleteLinkRoute(writer, index, { base, prefixLength: 32 });
      }),
      ...netlinkStep(NETLINK_GENERIC, where, (writer) => {
        for (const { keyId, name, peers } of before.links.values()) {
          const wanted = after.links.get(keyId);
          if (!wanted || gone.some((link) => link.keyId === keyId)) continue;
          const left = [...peers].flatMap(([id, peer]) => (wanted.peers.has(id) ? [] : [peer]));
          removeWireguardPeers(writer, family, name, left);
        }
      }),
      ...netlinkStep(NETLINK_ROUTE, where, (writer) => {
        for (const link of gone) if (!inTheWay.includes(link)) deleteLinkAt(writer, link.index);
      }),
    ],
  };
}

/** Made in the node's own namespace, where its port is; then moved to where the packets are that it seals. */
function linkSteps({ name, index, port, privateKey, own, mtu }: WireguardLink, place: WireguardPlace): Step[] {
  const { namespacePath: where, namespaceFd, family } = place;
  return [
    ...netlinkStep(NETLINK_ROUTE, '', (writer) => {
      addWireguardLink(writer, { name, index });
      moveLink(writer, index, namespaceFd);
    }),
    ...netlinkStep(NETLINK_GENERIC, where, (writer) => setWireguard(writer, family, { name, privateKey, port })),
    ...netlinkStep(NETLINK_ROUTE, where, (writer) => {
      addAddress(writer, { index, address: own, prefixLength: 32 });
      changeLink(writer, { index, mtu, up: true });
    }),
  ];
}

export const isSamePeer = (known: WireguardPeer | undefined, peer: WireguardPeer): boolean =>
  known !== undefined &&
  known.address === peer.address &&
  known.port === peer.port &&
  known.inside === peer.inside &&
  Buffer.compare(known.presharedKey, peer.presharedKey) === 0;

export function isSame(known: WireguardLink | undefined, link: WireguardLink): boolean {
  const isKey = known?.privateKey.equals(link.privateKey) ?? false;
  return isKey && known?.index === link.index && known.port === link.port && known.mtu === link.mtu;
}
