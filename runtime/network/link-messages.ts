// rtnetlink: links, addresses, routes. Source: Linux include/uapi/linux/{rtnetlink,if_link,if_addr}.h.
import { addressBytes, type Ip, ipBytes, isSix, type Subnet, type Subnet6, subnetOf } from './addresses.ts';
import {
  type Message,
  MessageWriter,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  readAttributes,
  readMessages,
  readText,
} from './netlink.ts';
import {
  AF_BRIDGE,
  AF_INET,
  AF_INET6,
  IFLA_ADDRESS,
  IFLA_BRPORT_ISOLATED,
  IFLA_BRPORT_MODE,
  IFLA_EXT_MASK,
  IFLA_GROUP,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_INFO_SLAVE_DATA,
  IFLA_INFO_SLAVE_KIND,
  IFLA_LINKINFO,
  IFLA_MASTER,
  IFLA_MTU,
  IFLA_NET_NS_FD,
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_DELROUTE,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_GETROUTE,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWROUTE,
  RTM_SETLINK,
  VXLAN,
} from './rtnetlink.ts';

const SKIP_STATISTICS = 8;
const VETH_INFO_PEER = 1;
const IFF_UP = 1;
/** Usable at once: nobody else on the link can have an address that we gave out. */
const IFA_F_NODAD = 2;
const SCOPE_UNIVERSE = 0;
const SCOPE_LINK = 253;
const TABLE_MAIN = 254;
const PROTOCOL_BOOT = 3;
const TYPE_UNICAST = 1;

export const LOOPBACK_INDEX = 1;
/** eth0 has this index, eth1 the next one: no other link of a fresh namespace (some kernels make tunnels) has it. */
export const INSIDE_INDEX = 100;

interface LinkHeader {
  readonly index?: number;
  readonly up?: boolean;
}

function linkHeader({ index = 0, up }: LinkHeader): Buffer {
  const header = Buffer.alloc(16);
  header.writeInt32LE(index, 4);
  if (up !== undefined) {
    header.writeUInt32LE(up ? IFF_UP : 0, 8);
    header.writeUInt32LE(IFF_UP, 12);
  }
  return header;
}

export interface LinkChange extends LinkHeader {
  readonly name?: string;
  readonly master?: number;
  readonly mac?: Uint8Array;
  readonly mtu?: number;
}

export function addBridge(
  writer: MessageWriter,
  bridge: { readonly name: string; readonly mac: Uint8Array; readonly mtu: number; readonly group: number },
): void {
  writer.message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, linkHeader({}), () => {
    writer.text(IFLA_IFNAME, bridge.name);
    writer.bytes(IFLA_ADDRESS, bridge.mac);
    writer.u32(IFLA_MTU, bridge.mtu);
    writer.u32(IFLA_GROUP, bridge.group);
    writer.nested(IFLA_LINKINFO, () => writer.text(IFLA_INFO_KIND, 'bridge'));
  });
}

/** Sent inside the container's namespace: one end is made there, the other in netd's own, which `homeFd` names. */
export function addVeth(
  writer: MessageWriter,
  veth: {
    readonly inside: string;
    readonly index?: number; // absent: the kernel chooses
    readonly outside: string;
    readonly homeFd: number;
    readonly group: number;
  },
): void {
  writer.message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, linkHeader({ index: veth.index ?? 0 }), () => {
    writer.text(IFLA_IFNAME, veth.inside);
    writer.nested(IFLA_LINKINFO, () => {
      writer.text(IFLA_INFO_KIND, 'veth');
      writer.nested(IFLA_INFO_DATA, () =>
        writer.nested(VETH_INFO_PEER, () => {
          writer.raw(linkHeader({}));
          writer.text(IFLA_IFNAME, veth.outside);
          writer.u32(IFLA_GROUP, veth.group);
          writer.u32(IFLA_NET_NS_FD, veth.homeFd);
        }),
      );
    });
  });
}

export function changeLink(writer: MessageWriter, change: LinkChange): void {
  writer.message(RTM_SETLINK, NLM_F_ACK, linkHeader(change), () => {
    if (change.name !== undefined) writer.text(IFLA_IFNAME, change.name);
    if (change.mac !== undefined) writer.bytes(IFLA_ADDRESS, change.mac);
    if (change.mtu !== undefined) writer.u32(IFLA_MTU, change.mtu);
    if (change.master !== undefined) writer.u32(IFLA_MASTER, change.master);
  });
}

/**
 * `hairpin`: frames may leave by the port they came from. Where bridged frames pass nf_tables (br_netfilter), a
 * container that asks for its own published port has its packet turned round inside the bridge.
 * `isolated`: no frames to other isolated ports.
 */
export function changePort(writer: MessageWriter, name: string, port: { hairpin: boolean; isolated: boolean }): void {
  writer.message(RTM_NEWLINK, NLM_F_ACK, linkHeader({}), () => {
    writer.text(IFLA_IFNAME, name);
    writer.nested(IFLA_LINKINFO, () => {
      writer.text(IFLA_INFO_SLAVE_KIND, 'bridge');
      writer.nested(IFLA_INFO_SLAVE_DATA, () => {
        writer.u8(IFLA_BRPORT_MODE, port.hairpin ? 1 : 0);
        writer.u8(IFLA_BRPORT_ISOLATED, port.isolated ? 1 : 0);
      });
    });
  });
}

export function moveLink(writer: MessageWriter, index: number, namespaceFd: number): void {
  writer.message(RTM_SETLINK, NLM_F_ACK, linkHeader({ index }), () => writer.u32(IFLA_NET_NS_FD, namespaceFd));
}

export function deleteLink(writer: MessageWriter, name: string): void {
  writer.message(RTM_DELLINK, NLM_F_ACK, linkHeader({}), () => writer.text(IFLA_IFNAME, name));
}

export function deleteLinkAt(writer: MessageWriter, index: number): void {
  writer.message(RTM_DELLINK, NLM_F_ACK, linkHeader({ index }));
}

/** All links of a group in one go, so that the kernel's grace period is paid once. */
export function deleteLinkGroup(writer: MessageWriter, group: number): void {
  writer.message(RTM_DELLINK, NLM_F_ACK, linkHeader({}), () => writer.u32(IFLA_GROUP, group));
}

export interface LinkAddress {
  readonly index: number;
  readonly address: Ip;
  readonly prefixLength: number;
}

function addressMessage(writer: MessageWriter, type: number, flags: number, entry: LinkAddress): void {
  const header = Buffer.alloc(8);
  const { address } = entry;
  header.writeUInt8(isSix(address) ? AF_INET6 : AF_INET, 0);
  header.writeUInt8(entry.prefixLength, 1);
  header.writeUInt8(isSix(address) ? IFA_F_NODAD : 0, 2);
  header.writeUInt8(SCOPE_UNIVERSE, 3);
  header.writeInt32LE(entry.index, 4);
  writer.message(type, flags | NLM_F_ACK, header, () => {
    writer.bytes(2, ipBytes(address)); // IFA_LOCAL
    writer.bytes(1, ipBytes(address)); // IFA_ADDRESS
    if (!isSix(address) && entry.prefixLength < 31) {
      const broadcast = address | (0xffff_ffff >>> entry.prefixLength);
      writer.bytes(4, addressBytes(broadcast >>> 0)); // IFA_BROADCAST
    }
  });
}

export function addAddress(writer: MessageWriter, entry: LinkAddress): void {
  addressMessage(writer, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, entry);
}

export function deleteAddress(writer: MessageWriter, entry: LinkAddress): void {
  addressMessage(writer, RTM_DELADDR, 0, entry);
}

const defaultRoute = (family: number): Buffer =>
  Buffer.from([family, 0, 0, 0, TABLE_MAIN, PROTOCOL_BOOT, SCOPE_UNIVERSE, TYPE_UNICAST, 0, 0, 0, 0]);

/** In place of the one that may be there. */
export function setDefaultRoute(writer: MessageWriter, gateway: Ip): void {
  const route = defaultRoute(isSix(gateway) ? AF_INET6 : AF_INET);
  writer.message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK, route, () => {
    writer.bytes(5, ipBytes(gateway)); // RTA_GATEWAY
  });
}

/** Whoever is in the subnet stands on the link itself. */
export const addLinkRoute = (writer: MessageWriter, index: number, subnet: Subnet | Subnet6): void =>
  linkRoute(writer, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, index, subnet);

export const deleteLinkRoute = (writer: MessageWriter, index: number, subnet: Subnet | Subnet6): void =>
  linkRoute(writer, RTM_DELROUTE, 0, index, subnet);

function linkRoute(
  writer: MessageWriter,
  type: number,
  flags: number,
  index: number,
  { base, prefixLength }: Subnet | Subnet6,
): void {
  const header = Buffer.from([
    isSix(base) ? AF_INET6 : AF_INET,
    prefixLength,
    0,
    0,
    TABLE_MAIN,
    PROTOCOL_BOOT,
    SCOPE_LINK,
    TYPE_UNICAST,
    0,
    0,
    0,
    0,
  ]);
  writer.message(type, flags | NLM_F_ACK, header, () => {
    writer.bytes(1, ipBytes(base)); // RTA_DST
    writer.u32(4, index); // RTA_OIF
  });
}

export function deleteDefaultRoute(writer: MessageWriter, family: 4 | 6 = 4): void {
  writer.message(RTM_DELROUTE, NLM_F_ACK, defaultRoute(family === 6 ? AF_INET6 : AF_INET));
}

function dump(type: number, header: Buffer, body?: (writer: MessageWriter) => void): Buffer {
  const writer = new MessageWriter();
  writer.message(type, NLM_F_DUMP, header, () => body?.(writer));
  return writer.finish();
}

/** Without the counters, which are most of it. */
export const dumpLinks = (): Buffer =>
  dump(RTM_GETLINK, Buffer.alloc(16), (writer) => writer.u32(IFLA_EXT_MASK, SKIP_STATISTICS));
export const dumpAddresses = (): Buffer => dump(RTM_GETADDR, Buffer.from([AF_INET, 0, 0, 0, 0, 0, 0, 0]));
export const dumpAddresses6 = (): Buffer => dump(RTM_GETADDR, Buffer.from([AF_INET6, 0, 0, 0, 0, 0, 0, 0]));
export const dumpRoutes = (): Buffer => dump(RTM_GETROUTE, Buffer.concat([Buffer.from([AF_INET]), Buffer.alloc(11)]));

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
  readonly kind: string; // bridge, veth, … or ''
  readonly master: number; // 0: none
  readonly mtu: number;
  readonly group: number;
  /** Of a tunnel: the port that it is heard at, and its own MAC address. */
  readonly way?: { readonly port: number; readonly mac: Uint8Array };
}

export function readLinks(bytes: Buffer): Link[] {
  return [...readMessages(bytes)].filter((message) => message.type === RTM_NEWLINK).map(readLink);
}

/** One of them: on a machine with hundreds of containers each of the others costs its fifty attributes. */
export function readLinkAt(bytes: Buffer, index: number): Link | undefined {
  for (const message of readMessages(bytes)) {
    if (message.type === RTM_NEWLINK && message.body.readInt32LE(4) === index) return readLink(message);
  }
  return undefined;
}

function readLink({ body }: Message): Link {
  const attributes = readAttributes(body.subarray(16));
  const info = attributes.get(IFLA_LINKINFO);
  const kind = info && body.readUInt8(0) !== AF_BRIDGE ? readText(readAttributes(info).get(IFLA_INFO_KIND)) : '';
  const tunnel = kind === 'vxlan' && info ? readAttributes(info).get(IFLA_INFO_DATA) : undefined;
  const port = tunnel && readAttributes(tunnel).get(VXLAN.port)?.readUInt16BE(0);
  const mac = attributes.get(IFLA_ADDRESS);
  return {
    index: body.readInt32LE(4),
    name: readText(attributes.get(IFLA_IFNAME)),
    up: (body.readUInt32LE(8) & IFF_UP) !== 0,
    kind,
    master: attributes.get(IFLA_MASTER)?.readUInt32LE(0) ?? 0,
    mtu: attributes.get(IFLA_MTU)?.readUInt32LE(0) ?? 0,
    group: attributes.get(IFLA_GROUP)?.readUInt32LE(0) ?? 0,
    ...(port !== undefined && mac && { way: { port, mac: Uint8Array.from(mac) } }),
  };
}

export function readLinkAddresses(bytes: Buffer): LinkAddress[] {
  const found: LinkAddress[] = [];
  for (const { type, body } of readMessages(bytes)) {
    if (type !== RTM_NEWADDR) continue;
    const address = readIp(body.readUInt8(0), readAttributes(body.subarray(8)));
    if (address !== undefined) found.push({ index: body.readInt32LE(4), address, prefixLength: body.readUInt8(1) });
  }
  return found;
}

function readIp(family: number, attributes: Map<number, Buffer>): Ip | undefined {
  if (family === AF_INET) return attributes.get(2)?.readUInt32BE(0);
  const bytes = family === AF_INET6 ? attributes.get(1) : undefined;
  return bytes && BigInt(`0x${bytes.toString('hex')}`);
}

export interface Route {
  readonly destination: Subnet;
  readonly index: number; // outgoing link, 0 unknown
  /** Of the table that leads what no rule leads elsewhere. */
  readonly isMain: boolean;
}

export function readRoutes(bytes: Buffer): Route[] {
  const found: Route[] = [];
  for (const { type, body } of readMessages(bytes)) {
    if (type !== RTM_NEWROUTE || body.readUInt8(0) !== AF_INET || body.readUInt8(7) !== TYPE_UNICAST) continue;
    const attributes = readAttributes(body.subarray(12));
    const destination = attributes.get(1)?.readUInt32BE(0) ?? 0;
    found.push({
      destination: subnetOf(destination, body.readUInt8(1)),
      index: attributes.get(4)?.readUInt32LE(0) ?? 0,
      isMain: body.readUInt8(4) === TABLE_MAIN,
    });
  }
  return found;
}
