// Bridges in the node's namespace: made, found again, removed. One for each bridge network.
import { macOfAddress } from '../../base/ipv4.ts';
import { constants } from 'node:os';
import { CodedError } from '../../base/errors.ts';
import {
  formatAddress,
  type Ip,
  isSix,
  parseAddress,
  parseAddress6,
  parseMac,
  parseSubnet,
  parseSubnet6,
  type Subnet,
} from './addresses.ts';
import type { Instance } from './instance.ts';
import {
  addAddress,
  addBridge,
  changeLink,
  deleteLink,
  dumpAddresses,
  dumpAddresses6,
  dumpLinks,
  dumpRoutes,
  type Link,
  type LinkAddress,
  readLinkAddresses,
  readLinkAt,
  readLinks,
  readRoutes,
} from './link-messages.ts';
import { type Netd, StepError } from './netd.ts';
import { NETLINK_ROUTE, type Step } from './netd-protocol.ts';
import { MessageWriter } from './netlink.ts';
import type { SubnetGateway } from './network-addresses.ts';
import type { SubnetGateway6 } from './network-addresses6.ts';
import { type NetworkRecord, poolsOf } from './registry.ts';
import { withoutIpv6 } from './sandboxes.ts';

const MTU_DEFAULT = 1500;
const NAME_LENGTH_MAX = 15;

export interface Bridge {
  readonly name: string;
  /** Where it is; absent: in the node's namespace. */
  readonly namespace?: string;
  readonly subnet: Subnet;
  readonly gateway: number;
  /** All subnets, the one above first. */
  readonly subnets: readonly SubnetGateway[];
  readonly subnets6: readonly SubnetGateway6[]; // none: without IPv6
  readonly mtu: number;
  readonly internal: boolean;
  readonly masquerade: boolean;
  readonly talkInside: boolean; // containers of this network reach each other
  readonly publishOn: number; // the host address of ports published without one; 0: any
}

/** Docker's names for what can be set for a network. */
export const OPTION = {
  bridgeName: 'com.docker.network.bridge.name',
  masquerade: 'com.docker.network.bridge.enable_ip_masquerade',
  talkInside: 'com.docker.network.bridge.enable_icc',
  publishOn: 'com.docker.network.bridge.host_binding_ipv4',
  mtu: 'com.docker.network.driver.mtu',
} as const;

export function bridgeOf(record: NetworkRecord, mtuDefault: number): Bridge | undefined {
  if (!record.bridge) return undefined;
  const { options } = record;
  return {
    name: record.bridge.name,
    subnet: parseSubnet(record.bridge.subnet),
    gateway: parseAddress(record.bridge.gateway),
    subnets: poolsOf(record).map(({ subnet, gateway }) => ({
      subnet: parseSubnet(subnet),
      gateway: parseAddress(gateway),
    })),
    subnets6: (record.pools6 ?? []).map(({ subnet, gateway }) => ({
      subnet: parseSubnet6(subnet),
      gateway: parseAddress6(gateway),
    })),
    mtu: readMtu(options[OPTION.mtu]) ?? mtuDefault,
    internal: record.internal,
    masquerade: readSwitch(options, OPTION.masquerade),
    talkInside: readSwitch(options, OPTION.talkInside),
    publishOn: parseAddress(options[OPTION.publishOn] ?? '0.0.0.0', OPTION.publishOn),
  };
}

/** On unless said otherwise. Values are those of Go's ParseBool, as Docker takes them. */
function readSwitch(options: NetworkRecord['options'], name: string): boolean {
  const text = options[name] ?? 'true';
  if (/^(1|t|true)$/i.test(text)) return true;
  if (/^(0|f|false)$/i.test(text)) return false;
  throw new CodedError('invalid', `option ${name} must be true or false, not '${text}'`);
}

function readMtu(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const mtu = Number(text);
  if (Number.isInteger(mtu) && mtu >= 68 && mtu <= 65_535) return mtu;
  throw new CodedError('invalid', `invalid MTU ${text}`);
}

export function checkBridgeName(name: string): string {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name) && name.length <= NAME_LENGTH_MAX) return name;
  throw new CodedError(
    'invalid',
    `bridge name '${name}' must be 1 to ${NAME_LENGTH_MAX} letters, digits, '_', '.' or '-'`,
  );
}

export interface KernelView {
  readonly links: readonly Link[];
  readonly addresses: readonly LinkAddress[];
}

/** `where`: the namespace; '' is the node's own. */
export async function viewKernel(netd: Netd, where = ''): Promise<KernelView> {
  const [links, addresses, addresses6] = await Promise.all([
    netd.dump('listing links', dumpLinks(), where),
    netd.dump('listing addresses', dumpAddresses(), where),
    netd.dump('listing IPv6 addresses', dumpAddresses6(), where),
  ]);
  return { links: readLinks(links), addresses: [addresses, addresses6].flatMap(readLinkAddresses) };
}

/** Subnets that something in this namespace has a route to. */
export async function routedSubnets(netd: Netd): Promise<Subnet[]> {
  const routes = readRoutes(await netd.dump('listing routes', dumpRoutes()));
  return routes.map((route) => route.destination).filter((subnet) => subnet.prefixLength > 0);
}

/** The MTU of the link that the default route leaves by: larger packets of containers would only be cut there. */
export async function uplinkMtu(netd: Netd): Promise<number> {
  const routes = readRoutes(await netd.dump('listing routes', dumpRoutes()));
  // The route into the link to other nodes is a default route, too, of a table of its own.
  const uplink = routes.find((route) => route.isMain && route.destination.prefixLength === 0)?.index;
  if (uplink === undefined) return MTU_DEFAULT;
  return readLinkAt(await netd.dump('listing links', dumpLinks()), uplink)?.mtu ?? MTU_DEFAULT;
}

/** A link that is there belongs to somebody, even if it is a bridge. */
export async function checkNameIsFree(netd: Netd, name: string): Promise<void> {
  const links = readLinks(await netd.dump('listing links', dumpLinks()));
  if (links.some((link) => link.name === name)) {
    throw new CodedError(
      'conflict',
      `there is already a network link ${name} on this machine: choose another bridge name`,
    );
  }
}

/** Makes the bridge or completes the one that is there; answers its index. */
export async function ensureBridge(netd: Netd, bridge: Bridge, instance: Instance): Promise<number> {
  const view = await viewKernel(netd);
  const found = view.links.find((link) => link.name === bridge.name);
  if (found && found.kind !== 'bridge') {
    throw new CodedError('conflict', `there is already a network link ${bridge.name}, and it is not a bridge`);
  }
  if (!found) await makeBridge(netd, bridge, instance);
  const index = found?.index ?? (await indexOf(netd, bridge.name));
  const writer = new MessageWriter();
  const missing = missingGateways(bridge, index, view);
  changeLink(writer, { index, up: true, mtu: bridge.mtu });
  for (const entry of missing) addAddress(writer, { index, ...entry });
  await netd.do(`giving bridge ${bridge.name} the address ${formatAddress(bridge.gateway)}`, [
    ...(missing.some(({ address }) => isSix(address)) ? withIpv6(bridge.name) : []),
    { do: 'netlink', family: NETLINK_ROUTE, where: '', messages: writer.finish() },
  ]);
  return index;
}

/** Neighbours are asked from it; an own one, as the kernel's would have to wait for the first container. */
const LINK_LOCAL = { address: parseAddress6('fe80::1'), prefixLength: 64 };

interface GatewayAddress {
  readonly address: Ip;
  readonly prefixLength: number;
}

export function missingGateways(bridge: Bridge, index: number, { addresses }: KernelView): GatewayAddress[] {
  const has = new Set(addresses.filter((entry) => entry.index === index).map((entry) => entry.address));
  const wanted = [...bridge.subnets, ...bridge.subnets6].map(
    ({ subnet, gateway }): GatewayAddress => ({ address: gateway, prefixLength: subnet.prefixLength }),
  );
  if (bridge.subnets6.length > 0) wanted.push(LINK_LOCAL);
  return wanted.filter(({ address }) => !has.has(address));
}

/** With the addresses that we give it, and none besides. */
export function withIpv6(name: string): Step[] {
  const settings = { addr_gen_mode: '1', accept_ra: '0', disable_ipv6: '0' };
  return Object.entries(settings).map(([setting, value]) => ({
    do: 'write-sysctl',
    where: '',
    name: `ipv6/conf/${name}/${setting}`,
    value,
  }));
}

async function makeBridge(netd: Netd, bridge: Bridge, instance: Instance): Promise<void> {
  const writer = new MessageWriter();
  // An own MAC address: otherwise the bridge changes it with the lowest of its ports.
  const mac = parseMac(macOfAddress(bridge.gateway));
  addBridge(writer, { name: bridge.name, mac, mtu: bridge.mtu, group: instance.linkGroup });
  await netd.do(`making bridge ${bridge.name}`, [
    { do: 'netlink', family: NETLINK_ROUTE, where: '', messages: writer.finish() },
    withoutIpv6(bridge.name),
  ]);
}

async function indexOf(netd: Netd, name: string): Promise<number> {
  const links = readLinks(await netd.dump('listing links', dumpLinks()));
  const found = links.find((link) => link.name === name);
  if (!found) throw new CodedError('internal', `bridge ${name} is gone as soon as it was made`);
  return found.index;
}

export async function removeBridge(netd: Netd, name: string): Promise<void> {
  const writer = new MessageWriter();
  deleteLink(writer, name);
  try {
    await netd.exchange(`removing bridge ${name}`, NETLINK_ROUTE, writer.finish());
  } catch (error) {
    if (!(error instanceof StepError) || error.errno !== constants.errno.ENODEV) throw error;
  }
}

/** Leaves a bridge alone that somebody else made. */
export async function removeOwnBridge(netd: Netd, name: string, instance: Instance): Promise<void> {
  const links = readLinks(await netd.dump('listing links', dumpLinks()));
  const isOwn = links.some((link) => link.name === name && link.group === instance.linkGroup);
  if (isOwn) await removeBridge(netd, name);
}
