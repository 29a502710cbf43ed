// rtnetlink for networks between nodes: the VXLAN link, who is behind which node, and what a sandbox knows of it.
// Source: Linux include/uapi/linux/{if_link,neighbour}.h.
import { macOfAddress } from '../../base/ipv4.ts';
import { formatAddress, formatIp, ipBytes, isSix, macText, parseMac } from './addresses.ts';
import { addAddress, deleteAddress } from './link-messages.ts';
import {
  MessageWriter,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  readAttributes,
  readMessages,
} from './netlink.ts';
import {
  AF_BRIDGE,
  AF_INET,
  AF_INET6,
  IFLA_ADDRESS,
  IFLA_GROUP,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_LINKINFO,
  IFLA_MTU,
  IFLA_NET_NS_FD,
  NDA_DST,
  NDA_LLADDR,
  NDA_PORT,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWLINK,
  RTM_NEWNEIGH,
  VXLAN,
  PERMANENT,
  SELF,
} from './rtnetlink.ts';

const NO_ARP = 0x40;
const MASTER = 0x04;

/** In the sandbox; no other link of a fresh namespace has them. */
export const BRIDGE_INDEX = 200;
export const VXLAN_INDEX = 201;
export const BRIDGE_NAME = 'br0';
export const VXLAN_NAME = 'vxlan0';
export const VXLAN_PORT = 4789;

function linkHeader(index: number): Buffer {
  const header = Buffer.alloc(16);
  header.writeInt32LE(index, 4);
  return header;
}

/** Sent inside the sandbox. The MAC address is the same on every node, as the gateway's address is. */
export function addSandboxBridge(
  writer: MessageWriter,
  bridge: { readonly gateway: number; readonly mtu: number },
): void {
  writer.message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, linkHeader(BRIDGE_INDEX), () => {
    writer.text(IFLA_IFNAME, BRIDGE_NAME);
    writer.bytes(IFLA_ADDRESS, parseMac(macOfAddress(bridge.gateway)));
    writer.u32(IFLA_MTU, bridge.mtu);
    writer.nested(IFLA_LINKINFO, () => writer.text(IFLA_INFO_KIND, 'bridge'));
  });
}

/** Sent in the namespace where its packets leave and arrive; the link itself appears in the sandbox. */
export function addVxlan(
  writer: MessageWriter,
  vxlan: {
    readonly vni: number;
    readonly port: number;
    readonly mtu: number;
    readonly sandboxFd: number;
    readonly group: number;
    /** Its packets stay on this machine, whatever carries them on says whether they are whole. */
    readonly sealed: boolean;
  },
): void {
  writer.message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, linkHeader(VXLAN_INDEX), () => {
    writer.text(IFLA_IFNAME, VXLAN_NAME);
    writer.u32(IFLA_MTU, vxlan.mtu);
    writer.u32(IFLA_GROUP, vxlan.group);
    writer.u32(IFLA_NET_NS_FD, vxlan.sandboxFd);
    writer.nested(IFLA_LINKINFO, () => {
      writer.text(IFLA_INFO_KIND, 'vxlan');
      writer.nested(IFLA_INFO_DATA, () => {
        writer.u32(VXLAN.id, vxlan.vni);
        writer.u8(VXLAN.learning, 0);
        writer.u8(VXLAN.proxy, 1); // answers for its permanent neighbours, and lets no other question out
        writer.u8(VXLAN.udpChecksum, vxlan.sealed ? 0 : 1);
        writer.u16big(VXLAN.port, vxlan.port);
      });
    });
  });
}

/**
 * One thing that a sandbox's kernel knows. `neighbour`: who has an address. `tunnel`: behind which node its MAC address
 * is. `port`: that the MAC address is behind the tunnel at all. `virtual`: an address that the sandbox itself answers for.
 */
export type Row =
  | { readonly kind: 'neighbour6' | 'virtual6'; readonly address: bigint; readonly of: number } // whose IPv6 address it is
  | { readonly kind: 'neighbour' | 'port' | 'virtual'; readonly address: number }
  | { readonly kind: 'tunnel'; readonly address: number; readonly node: number; readonly port: number };

export const rowKey = (row: Row): string =>
  row.kind === 'tunnel'
    ? `tunnel ${formatAddress(row.address)} ${formatAddress(row.node)} ${row.port}`
    : `${row.kind} ${formatIp(row.address)}`;

export function putRow(writer: MessageWriter, row: Row): void {
  if (isVirtual(row)) addAddress(writer, virtualAddress(row));
  else neighbourMessage(writer, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, row);
}

export function deleteRow(writer: MessageWriter, row: Row): void {
  if (isVirtual(row)) deleteAddress(writer, virtualAddress(row));
  else neighbourMessage(writer, RTM_DELNEIGH, 0, row);
}

const isVirtual = ({ kind }: Row): boolean => kind === 'virtual' || kind === 'virtual6';

const virtualAddress = ({ address }: Row) => ({
  index: BRIDGE_INDEX,
  address,
  prefixLength: isSix(address) ? 128 : 32,
});

function neighbourMessage(writer: MessageWriter, type: number, flags: number, row: Row): void {
  const [family, state, ndmFlags] = SHAPES[row.kind];
  const header = Buffer.alloc(12);
  header.writeUInt8(family, 0);
  header.writeInt32LE(VXLAN_INDEX, 4);
  header.writeUInt16LE(state, 8);
  header.writeUInt8(ndmFlags, 10);
  writer.message(type, flags | NLM_F_ACK, header, () => {
    if (row.kind === 'neighbour' || row.kind === 'neighbour6') writer.bytes(NDA_DST, ipBytes(row.address));
    writer.bytes(NDA_LLADDR, parseMac(macOfAddress('of' in row ? row.of : row.address)));
    if (row.kind !== 'tunnel') return;
    writer.bytes(NDA_DST, ipBytes(row.node));
    if (row.port !== VXLAN_PORT) writer.u16big(NDA_PORT, row.port);
  });
}

const SHAPES: Readonly<Record<Row['kind'], readonly [family: number, state: number, flags: number]>> = {
  neighbour: [AF_INET, PERMANENT, 0],
  neighbour6: [AF_INET6, PERMANENT, 0],
  tunnel: [AF_BRIDGE, PERMANENT, SELF],
  port: [AF_BRIDGE, NO_ARP, MASTER],
  virtual: [0, 0, 0],
  virtual6: [0, 0, 0],
};

function dumpNeighbours(family: number): Buffer {
  const writer = new MessageWriter();
  const header = Buffer.alloc(12);
  header.writeUInt8(family, 0);
  writer.message(RTM_GETNEIGH, NLM_F_DUMP, header);
  return writer.finish();
}

export const dumpAddressNeighbours = (): Buffer => dumpNeighbours(AF_INET);
export const dumpAddressNeighbours6 = (): Buffer => dumpNeighbours(AF_INET6);
export const dumpForwarding = (): Buffer => dumpNeighbours(AF_BRIDGE);

/** What of a dump is about the tunnel and is there for good; what the bridge learned by itself is its own business. */
export function readRows(bytes: Buffer): Row[] {
  const rows: Row[] = [];
  for (const { type, body } of readMessages(bytes)) {
    if (type !== RTM_NEWNEIGH || body.readInt32LE(4) !== VXLAN_INDEX) continue;
    const [family, state, flags] = [body.readUInt8(0), body.readUInt16LE(8), body.readUInt8(10)];
    const attributes = readAttributes(body.subarray(12));
    const target = attributes.get(NDA_DST);
    if (family === AF_INET) {
      if (state & PERMANENT && target) rows.push({ kind: 'neighbour', address: target.readUInt32BE(0) });
      continue;
    }
    if (family === AF_INET6) {
      const of = addressOfMac(attributes.get(NDA_LLADDR));
      if (!(state & PERMANENT) || target?.length !== 16 || of === undefined) continue;
      rows.push({ kind: 'neighbour6', address: BigInt(`0x${target.toString('hex')}`), of });
      continue;
    }
    const address = addressOfMac(attributes.get(NDA_LLADDR));
    if (address === undefined) continue;
    if (flags & SELF && target) {
      const port = attributes.get(NDA_PORT)?.readUInt16BE(0) ?? VXLAN_PORT;
      rows.push({ kind: 'tunnel', address, node: target.readUInt32BE(0), port });
    } else if (state & NO_ARP) rows.push({ kind: 'port', address });
  }
  return rows;
}

/** Our MAC addresses carry the address; others are not ours. */
function addressOfMac(mac: Buffer | undefined): number | undefined {
  return mac?.length === 6 && macText(mac.subarray(0, 2)) === '02:42' ? mac.readUInt32BE(2) : undefined;
}
