// rtnetlink for connections that nodes pass on to each other with their client's address: a tunnel to other nodes, and
// the route into it. Pure. Sources: Linux include/uapi/linux/{if_link,rtnetlink,fib_rules,neighbour}.h.
import { addressBytes, addressBytes6, formatAddress, parseMac, type Subnet6 } from './addresses.ts';
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
  IFLA_LINKINFO,
  IFLA_MTU,
  NDA_DST,
  NDA_LLADDR,
  NDA_PORT,
  RTM_DELRULE,
  RTM_GETNEIGH,
  RTM_GETROUTE,
  RTM_GETRULE,
  RTM_NEWLINK,
  RTM_NEWNEIGH,
  RTM_NEWROUTE,
  RTM_NEWRULE,
  VXLAN,
  PERMANENT,
  SELF,
} from './rtnetlink.ts';
import { askedMark, MARK_MASK } from './ruleset-ways.ts';
import { nodesAt } from './way-addresses.ts';

const RTA = { to: 1, link: 4, gateway: 5, table: 15 } as const;
const TABLE_MAIN = 254;
const BY_US = 3;
const UNICAST = 1;
const ON_LINK = 4;
const RULE = { priority: 6, mark: 10, table: 15, mask: 16 } as const;
const TO_TABLE = 1;

/** No network between nodes has this number. */
const WAY_VNI = 4096;
/** A node that is heard of again within that time is where it was; longer than the kernel remembers connections. */
const LEARNED_SECONDS = 7 * 24 * 3600;
const NODES_MAX = 65_536;
/** The rules of all daemons here stand together. */
const PRIORITY = 23_040;
const GATEWAY = 0xa9fe_4d01; // 169.254.77.1: nobody; frames get their MAC address last
const GATEWAY6 = 0xfe80_0000_0000_0000_0000_0000_0000_004dn;

/** Frames to the node with this address of four bytes; those back to one that passed on begin with 02:5b. */
const ASKED_NODE = '02:5a';
const macOfNode = (node: number): Uint8Array =>
  parseMac(`${ASKED_NODE}:${addressBytes(node).toString('hex').match(/../g)?.join(':')}`);

export function addWayLink(
  writer: MessageWriter,
  link: {
    readonly name: string;
    readonly port: number;
    readonly mtu: number;
    readonly mac: Uint8Array;
    readonly group: number;
  },
): void {
  writer.message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, Buffer.alloc(16), () => {
    writer.text(IFLA_IFNAME, link.name);
    writer.bytes(IFLA_ADDRESS, link.mac);
    writer.u32(IFLA_MTU, link.mtu);
    writer.u32(IFLA_GROUP, link.group);
    writer.nested(IFLA_LINKINFO, () => {
      writer.text(1, 'vxlan');
      writer.nested(2, () => {
        writer.u32(VXLAN.id, WAY_VNI);
        writer.u8(VXLAN.learning, 1); // who passes connections on is where its packets come from
        writer.u32(VXLAN.ageing, LEARNED_SECONDS);
        writer.u32(VXLAN.limit, NODES_MAX);
        writer.u8(VXLAN.udpChecksum, 1);
        writer.u16big(VXLAN.port, link.port);
      });
    });
  });
}

/** What is marked goes into the tunnel. Each is put in the place of an equal one. */
export function putRoute(writer: MessageWriter, index: number, table: number): void {
  neighbour(writer, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, { family: AF_INET, index, flags: 0 }, () => {
    writer.bytes(NDA_DST, addressBytes(GATEWAY));
    writer.bytes(NDA_LLADDR, macOfNode(0));
  });
  const route = Buffer.from([AF_INET, 0, 0, 0, 0, 3, 0, 1, ON_LINK, 0, 0, 0]);
  writer.message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK, route, () => {
    writer.u32(RTA.table, table);
    writer.u32(RTA.link, index);
    writer.bytes(RTA.gateway, addressBytes(GATEWAY));
  });
}

type Family = typeof AF_INET | typeof AF_INET6;

/** What is marked goes by the table of the mark's own number. */
function ruleMessage(writer: MessageWriter, type: number, flags: number, mark: number, family: Family): void {
  writer.message(type, flags | NLM_F_ACK, Buffer.from([family, 0, 0, 0, 0, 0, 0, TO_TABLE, 0, 0, 0, 0]), () => {
    writer.u32(RULE.priority, PRIORITY);
    writer.u32(RULE.mark, (askedMark(mark) & MARK_MASK) >>> 0);
    writer.u32(RULE.mask, MARK_MASK);
    writer.u32(RULE.table, mark);
  });
}

export const addMarkRule = (writer: MessageWriter, mark: number, family: Family = AF_INET): void =>
  ruleMessage(writer, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, mark, family);
export const deleteMarkRule = (writer: MessageWriter, mark: number, family: Family = AF_INET): void =>
  ruleMessage(writer, RTM_DELRULE, 0, mark, family);

export function dumpRules(family: Family = AF_INET): Buffer {
  const writer = new MessageWriter();
  writer.message(RTM_GETRULE, NLM_F_DUMP, Buffer.from([family, ...new Array<number>(11).fill(0)]));
  return writer.finish();
}

export const hasMarkRule = (dump: Buffer, mark: number): boolean =>
  [...readMessages(dump)].some(({ type, body }) => {
    const attributes = readAttributes(body.subarray(12));
    return type === RTM_NEWRULE && attributes.get(RULE.table)?.readUInt32LE(0) === mark;
  });

/** Where answers go by IPv6, and all nodes whose link is heard at one of these ports; in place of equal ones. */
export function putRoutes6(writer: MessageWriter, index: number, table: number, ports: Iterable<number>): void {
  neighbour(writer, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, { family: AF_INET6, index, flags: 0 }, () => {
    writer.bytes(NDA_DST, addressBytes6(GATEWAY6));
    writer.bytes(NDA_LLADDR, macOfNode(0));
  });
  const put = (to: Subnet6, inTable: number): void => {
    const route = Buffer.from([AF_INET6, to.prefixLength, 0, 0, 0, BY_US, 0, UNICAST, 0, 0, 0, 0]);
    writer.message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK, route, () => {
      if (to.prefixLength > 0) writer.bytes(RTA.to, addressBytes6(to.base));
      writer.u32(RTA.table, inTable);
      writer.u32(RTA.link, index);
      writer.bytes(RTA.gateway, addressBytes6(GATEWAY6));
    });
  };
  put({ base: 0n, prefixLength: 0 }, table);
  for (const port of ports) put(nodesAt(port), TABLE_MAIN);
}

export const dumpRoutes6 = (): Buffer => dump(RTM_GETROUTE);

export interface Routes6 {
  /** Of answers, by the mark's table. */
  readonly answers: boolean;
  readonly ports: ReadonlySet<number>;
}

/** Those of a dump that lead into the link, by its gateway. */
export function readRoutes6(dump: Buffer, index: number, mark: number, ports: Iterable<number>): Routes6 {
  const found = [...readMessages(dump)].flatMap(({ type, body }) => {
    const attributes = readAttributes(body.subarray(12));
    if (type !== RTM_NEWROUTE || attributes.get(RTA.link)?.readInt32LE(0) !== index) return [];
    if (attributes.get(RTA.gateway)?.equals(addressBytes6(GATEWAY6)) !== true) return [];
    return [
      { table: attributes.get(RTA.table)?.readUInt32LE(0), to: attributes.get(RTA.to), length: body.readUInt8(1) },
    ];
  });
  const leadsTo = (port: number): boolean =>
    found.some(({ table, to }) => table === TABLE_MAIN && to?.equals(addressBytes6(nodesAt(port).base)) === true);
  return {
    answers: found.some(({ table, length }) => table === mark && length === 0),
    ports: new Set([...ports].filter(leadsTo)),
  };
}

/** Those of a dump that lead onto a link itself: nobody passes it on. */
export function readLinkRoutes6(dump: Buffer): { readonly to: bigint; readonly index: number }[] {
  return [...readMessages(dump)].flatMap(({ type, body }) => {
    const attributes = readAttributes(body.subarray(12));
    const [to, link] = [attributes.get(RTA.to), attributes.get(RTA.link)];
    if (type !== RTM_NEWROUTE || to?.length !== 16 || !link || attributes.has(RTA.gateway)) return [];
    return [{ to: BigInt(`0x${to.toString('hex')}`), index: link.readInt32LE(0) }];
  });
}

/** Of a dump of IPv6 neighbours: is the one there that stands for all nodes? */
export const hasGateway6 = (dump: Buffer, index: number): boolean =>
  [...readMessages(dump)].some(
    ({ type, body }) =>
      type === RTM_NEWNEIGH &&
      body.readInt32LE(4) === index &&
      readAttributes(body.subarray(12)).get(NDA_DST)?.equals(addressBytes6(GATEWAY6)) === true,
  );

function dump(type: number): Buffer {
  const writer = new MessageWriter();
  writer.message(type, NLM_F_DUMP, Buffer.from([AF_INET6, ...new Array<number>(11).fill(0)]));
  return writer.finish();
}

/** Of dumps of routes and of neighbours: does the table's route lead into the link, and to somebody? */
export function hasRoute(routes: Buffer, neighbours: Buffer, index: number, mark: number): boolean {
  const isRoute = [...readMessages(routes)].some(({ type, body }) => {
    const attributes = readAttributes(body.subarray(12));
    const table = attributes.get(RTA.table)?.readUInt32LE(0);
    return type === RTM_NEWROUTE && table === mark && attributes.get(RTA.link)?.readInt32LE(0) === index;
  });
  const isNeighbour = [...readMessages(neighbours)].some(({ type, body }) => {
    const address = readAttributes(body.subarray(12)).get(NDA_DST);
    return type === RTM_NEWNEIGH && body.readInt32LE(4) === index && address?.readUInt32BE(0) === GATEWAY;
  });
  return isRoute && isNeighbour;
}

/** Behind which port of its address a node takes connections that are passed on to it. */
export interface WayNode {
  readonly address: number;
  readonly port: number;
}

export const wayKey = ({ address, port }: WayNode): string => `${formatAddress(address)}:${port}`;

export function putNode(writer: MessageWriter, index: number, node: WayNode): void {
  neighbour(writer, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, { family: AF_BRIDGE, index, flags: SELF }, () => {
    writer.bytes(NDA_LLADDR, macOfNode(node.address));
    writer.bytes(NDA_DST, addressBytes(node.address));
    writer.u16big(NDA_PORT, node.port);
  });
}

function neighbour(
  writer: MessageWriter,
  type: number,
  flags: number,
  { family, index, flags: own }: { readonly family: number; readonly index: number; readonly flags: number },
  body: () => void,
): void {
  const header = Buffer.alloc(12);
  header.writeUInt8(family, 0);
  header.writeInt32LE(index, 4);
  header.writeUInt16LE(PERMANENT, 8);
  header.writeUInt8(own, 10);
  writer.message(type, flags | NLM_F_ACK, header, body);
}

export function dumpNodes(): Buffer {
  const writer = new MessageWriter();
  writer.message(RTM_GETNEIGH, NLM_F_DUMP, Buffer.from([AF_BRIDGE, ...new Array<number>(11).fill(0)]));
  return writer.finish();
}

/** Those that were put, not those that were learned. `usualPort`: that of the link, which the kernel leaves out. */
export function readNodes(dump: Buffer, index: number, usualPort: number): WayNode[] {
  return [...readMessages(dump)].flatMap(({ type, body }): WayNode[] => {
    const isOurs = type === RTM_NEWNEIGH && body.readUInt8(0) === AF_BRIDGE && body.readInt32LE(4) === index;
    if (!isOurs || (body.readUInt16LE(8) & PERMANENT) === 0) return [];
    const attributes = readAttributes(body.subarray(12));
    const [mac, address] = [attributes.get(NDA_LLADDR), attributes.get(NDA_DST)];
    if (mac?.toString('hex', 0, 2) !== ASKED_NODE.replace(':', '') || address?.length !== 4) return [];
    return [{ address: address.readUInt32BE(0), port: attributes.get(NDA_PORT)?.readUInt16BE(0) ?? usualPort }];
  });
}
