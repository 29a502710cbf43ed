// Generic netlink for the kernel's WireGuard: a link, its own key and port, and who is at its other ends.
// Source: Linux include/uapi/linux/{wireguard,genetlink}.h; `wg set` sends the same bytes.
import { addressBytes } from './addresses.ts';
import {
  eachAttribute,
  MessageWriter,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  readAttributes,
  readMessages,
} from './netlink.ts';
import { AF_INET, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINKINFO, RTM_NEWLINK } from './rtnetlink.ts';

const CONTROL = { family: 16, ask: 3, version: 1, id: 1, name: 2 } as const;
const FAMILY_NAME = 'wireguard';
const GET_DEVICE = 0;
const SET_DEVICE = 1;
const VERSION = 1;
const DEVICE = { index: 1, name: 2, privateKey: 3, port: 6, peers: 8 } as const;
const PEER = {
  publicKey: 1,
  presharedKey: 2,
  flags: 3,
  endpoint: 4,
  keepalive: 5,
  handshake: 6,
  received: 7,
  sent: 8,
  allowed: 9,
} as const;
const PEER_FLAG = { remove: 1, replaceAllowed: 2 } as const;
const ALLOWED = { family: 1, address: 2, bits: 3 } as const;
/** The peers of a message are one attribute, whose length has 16 bits. */
const PEERS_PER_MESSAGE = 256;
/** Sessions are there before anybody needs them, and what lies between two nodes does not forget their way. */
const KEEPALIVE_SECONDS = 25;

export interface WireguardPeer {
  /** 32 bytes each, as the ring's derivation makes them (wireguard-plan.ts). */
  readonly publicKey: Uint8Array;
  readonly presharedKey: Uint8Array;
  readonly address: number;
  readonly port: number;
  /** The only one whose packets come from it and go to it. */
  readonly inside: number;
}

/** Which number generic netlink has given to WireGuard. */
export function askFamily(): Buffer {
  const writer = new MessageWriter();
  const header = Buffer.from([CONTROL.ask, CONTROL.version, 0, 0]);
  writer.message(CONTROL.family, NLM_F_ACK, header, () => writer.text(CONTROL.name, FAMILY_NAME));
  return writer.finish();
}

export function readFamily(answer: Buffer): number | undefined {
  for (const { type, body } of readMessages(answer)) {
    if (type === CONTROL.family) return readAttributes(body.subarray(4)).get(CONTROL.id)?.readUInt16LE(0);
  }
  return undefined;
}

export interface FoundPeer extends WireguardPeer {
  /** Changes with each session; '' before the first. Both ends have it only when packets went both ways. */
  readonly handshake: string;
  /** Bytes. */
  readonly received: number;
  readonly sent: number;
}

export interface FoundDevice {
  readonly privateKey: Buffer;
  readonly port: number;
  readonly peers: readonly FoundPeer[];
}

/** Of one link, where it is. */
export function dumpWireguard(family: number, index: number): Buffer {
  const writer = new MessageWriter();
  writer.message(family, NLM_F_DUMP, Buffer.from([GET_DEVICE, VERSION, 0, 0]), () => writer.u32(DEVICE.index, index));
  return writer.finish();
}

/** What has no room in one message is in the next ones: of a peer that was divided, its key and what was left. */
export function readWireguard(family: number, answer: Buffer): FoundDevice {
  let privateKey: Buffer = Buffer.alloc(0);
  let port = 0;
  const peers = new Map<string, FoundPeer>();
  for (const { type, body } of readMessages(answer)) {
    if (type !== family) continue;
    const attributes = readAttributes(body.subarray(4));
    privateKey = attributes.get(DEVICE.privateKey) ?? privateKey;
    port = attributes.get(DEVICE.port)?.readUInt16LE(0) ?? port;
    for (const [, bytes] of eachAttribute(attributes.get(DEVICE.peers) ?? Buffer.alloc(0))) {
      const each = readAttributes(bytes);
      const key = each.get(PEER.publicKey)?.toString('hex') ?? '';
      peers.set(key, readPeer(each, peers.get(key)));
    }
  }
  return { privateKey, port, peers: [...peers.values()] };
}

function readPeer(attributes: Map<number, Buffer>, known: FoundPeer | undefined): FoundPeer {
  const nothing = Buffer.alloc(0);
  const where = attributes.get(PEER.endpoint);
  const isFour = where !== undefined && where.readUInt16LE(0) === AF_INET;
  const handshake = attributes.get(PEER.handshake);
  return {
    publicKey: attributes.get(PEER.publicKey) ?? nothing,
    presharedKey: attributes.get(PEER.presharedKey) ?? known?.presharedKey ?? nothing,
    address: isFour ? where.readUInt32BE(4) : (known?.address ?? 0),
    port: isFour ? where.readUInt16BE(2) : (known?.port ?? 0),
    inside: insideOf(attributes.get(PEER.allowed)) ?? known?.inside ?? 0,
    handshake: handshake?.some((byte) => byte !== 0) ? handshake.toString('hex') : (known?.handshake ?? ''),
    received: Number(attributes.get(PEER.received)?.readBigUInt64LE(0) ?? known?.received ?? 0),
    sent: Number(attributes.get(PEER.sent)?.readBigUInt64LE(0) ?? known?.sent ?? 0),
  };
}

/** 0: others than one address of our own making. */
function insideOf(allowed: Buffer | undefined): number | undefined {
  const items = allowed ? [...eachAttribute(allowed)] : [];
  const [item] = items;
  if (!item) return undefined;
  const attributes = readAttributes(item[1]);
  const isOne = items.length === 1 && attributes.get(ALLOWED.bits)?.readUInt8(0) === 32;
  return isOne ? attributes.get(ALLOWED.address)?.readUInt32BE(0) : 0;
}

/** Its packets leave and arrive in the namespace that it is made in, wherever it is moved to. */
export function addWireguardLink(
  writer: MessageWriter,
  link: { readonly name: string; readonly index?: number },
): void {
  const header = Buffer.alloc(16);
  header.writeInt32LE(link.index ?? 0, 4);
  writer.message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, header, () => {
    writer.text(IFLA_IFNAME, link.name);
    writer.nested(IFLA_LINKINFO, () => writer.text(IFLA_INFO_KIND, 'wireguard'));
  });
}

/** Its own key and port. */
export function setWireguard(
  writer: MessageWriter,
  family: number,
  device: { readonly name: string; readonly privateKey: Uint8Array; readonly port: number },
): void {
  message(writer, family, device.name, () => {
    writer.bytes(DEVICE.privateKey, device.privateKey);
    writer.bytes(DEVICE.port, u16(device.port));
  });
}

/** Those that are there already take the new address, port and secret. */
export function putWireguardPeers(
  writer: MessageWriter,
  family: number,
  name: string,
  peers: readonly WireguardPeer[],
): void {
  eachPart(peers, (part) =>
    message(writer, family, name, () =>
      writer.nested(DEVICE.peers, () => {
        for (const peer of part) writer.nested(0, () => writePeer(writer, peer));
      }),
    ),
  );
}

export function removeWireguardPeers(
  writer: MessageWriter,
  family: number,
  name: string,
  peers: readonly Pick<WireguardPeer, 'publicKey'>[],
): void {
  eachPart(peers, (part) =>
    message(writer, family, name, () =>
      writer.nested(DEVICE.peers, () => {
        for (const { publicKey } of part) {
          writer.nested(0, () => {
            writer.bytes(PEER.publicKey, publicKey);
            writer.u32(PEER.flags, PEER_FLAG.remove);
          });
        }
      }),
    ),
  );
}

function eachPart<T>(all: readonly T[], write: (part: readonly T[]) => void): void {
  for (let at = 0; at < all.length; at += PEERS_PER_MESSAGE) write(all.slice(at, at + PEERS_PER_MESSAGE));
}

function message(writer: MessageWriter, family: number, name: string, body: () => void): void {
  writer.message(family, NLM_F_ACK, Buffer.from([SET_DEVICE, VERSION, 0, 0]), () => {
    writer.text(DEVICE.name, name);
    body();
  });
}

function writePeer(writer: MessageWriter, peer: WireguardPeer): void {
  writer.bytes(PEER.publicKey, peer.publicKey);
  writer.bytes(PEER.presharedKey, peer.presharedKey);
  writer.bytes(PEER.endpoint, endpoint(peer));
  writer.bytes(PEER.keepalive, u16(KEEPALIVE_SECONDS));
  writer.u32(PEER.flags, PEER_FLAG.replaceAllowed);
  writer.nested(PEER.allowed, () =>
    writer.nested(0, () => {
      writer.bytes(ALLOWED.family, u16(AF_INET));
      writer.bytes(ALLOWED.address, addressBytes(peer.inside));
      writer.u8(ALLOWED.bits, 32);
    }),
  );
}

/** struct sockaddr_in. */
function endpoint({ address, port }: WireguardPeer): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  addressBytes(address).copy(bytes, 4);
  return bytes;
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}
