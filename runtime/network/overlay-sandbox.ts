// How the sandbox of a network between nodes is made: a namespace with a bridge, and a VXLAN link on it. Pure: netd does it.
import type { Ip } from './addresses.ts';
import type { KernelView } from './bridges.ts';
import { addAddress, changeLink, changePort, LOOPBACK_INDEX } from './link-messages.ts';
import { NETLINK_ROUTE, type Step } from './netd-protocol.ts';
import { MessageWriter } from './netlink.ts';
import type { SubnetGateway } from './network-addresses.ts';
import type { SubnetGateway6 } from './network-addresses6.ts';
import { addSandboxBridge, addVxlan, BRIDGE_INDEX, BRIDGE_NAME, VXLAN_INDEX, VXLAN_NAME } from './overlay-messages.ts';
import type { Six } from './overlay-ruleset.ts';

export interface OverlayShape {
  readonly name: string;
  readonly vni: number;
  readonly port: number;
  /** The first one's gateway is whom a container that reaches itself is answered by. */
  readonly subnets: readonly SubnetGateway[];
  readonly gateway: number;
  /** With IPv6. */
  readonly six?: Six;
  readonly subnets6: readonly SubnetGateway6[];
  readonly mtu: number;
}

/** The namespace and its bridge. */
export function sandboxSteps({ gateway, mtu, six }: OverlayShape, path: string): Step[] {
  const bridge = new MessageWriter();
  changeLink(bridge, { index: LOOPBACK_INDEX, up: true });
  addSandboxBridge(bridge, { gateway, mtu });
  return [
    { do: 'create-namespace', path },
    ...SYSCTLS.map(([name, value]): Step => ({ do: 'write-sysctl', where: path, name, value, mayFail: true })),
    { do: 'netlink', family: NETLINK_ROUTE, where: path, messages: bridge.finish() },
    ...(six ? SYSCTLS6 : []).map(([name, value]): Step => ({ do: 'write-sysctl', where: path, name, value })),
  ];
}

/** Frames on the bridge pass the packet rules. The first one fails where the kernel can not do that. */
export function translationSteps(path: string): Step[] {
  return [
    { do: 'write-sysctl', where: path, name: 'bridge/bridge-nf-call-iptables', value: '1' },
    { do: 'write-sysctl', where: path, name: 'bridge/bridge-nf-call-ip6tables', value: '1', mayFail: true },
  ];
}

/** The link to other nodes: it sends in the namespace `where`, '' is the node's own. */
export function waySteps(
  { vni, port, mtu, six }: OverlayShape,
  to: { readonly where: string; readonly path: string; readonly sandboxFd: number; readonly group: number },
): Step[] {
  const { where, path, sandboxFd, group } = to;
  const link = new MessageWriter();
  addVxlan(link, { vni, port, mtu, sandboxFd, group, sealed: where !== '' });
  return [
    { do: 'netlink', family: NETLINK_ROUTE, where, messages: link.finish() },
    ...(six ? TUNNEL_SYSCTLS6 : []).map(([name, value]): Step => ({ do: 'write-sysctl', where: path, name, value })),
  ];
}

/** Puts the link on the bridge, which then has the gateways' addresses. */
export function joinSteps(shape: OverlayShape, path: string): Step[] {
  const writer = new MessageWriter();
  putOnBridge(writer);
  changeLink(writer, { index: BRIDGE_INDEX, up: true });
  for (const gateway of gatewaysOf(shape)) addAddress(writer, { index: BRIDGE_INDEX, ...gateway });
  return [{ do: 'netlink', family: NETLINK_ROUTE, where: path, messages: writer.finish() }];
}

interface BridgeAddress {
  readonly address: Ip;
  readonly prefixLength: number;
}

const gatewaysOf = ({ subnets, subnets6 }: OverlayShape): BridgeAddress[] =>
  [...subnets, ...subnets6].map(({ subnet, gateway }) => ({ address: gateway, prefixLength: subnet.prefixLength }));

/** The gateways' addresses that the bridge has not got. */
export function missingInSandbox(shape: OverlayShape, { addresses }: Pick<KernelView, 'addresses'>): BridgeAddress[] {
  const has = new Set(addresses.filter(({ index }) => index === BRIDGE_INDEX).map(({ address }) => address));
  return gatewaysOf(shape).filter(({ address }) => !has.has(address));
}

export function gatewayStep(path: string, gateway: BridgeAddress): Step {
  const writer = new MessageWriter();
  addAddress(writer, { index: BRIDGE_INDEX, ...gateway });
  return { do: 'netlink', family: NETLINK_ROUTE, where: path, messages: writer.finish() };
}

export function putOnBridge(writer: MessageWriter): void {
  changeLink(writer, { index: VXLAN_INDEX, master: BRIDGE_INDEX, up: true });
  changePort(writer, VXLAN_NAME, { hairpin: false, isolated: false });
}

/**
 * A frame whose destination was translated is looked up as if it were routed, which the kernel refuses without
 * forwarding; it then stays on the bridge. There is no other link that anything could be routed to.
 */
const SYSCTLS: readonly (readonly [name: string, value: string])[] = [
  ['ipv4/ip_forward', '1'],
  ['ipv4/conf/all/send_redirects', '0'],
  ['ipv4/conf/default/send_redirects', '0'],
  ['ipv4/conf/all/rp_filter', '0'],
  ['ipv4/conf/default/rp_filter', '0'],
  ['ipv6/conf/default/disable_ipv6', '1'],
];

/** After the bridge is made: addresses are what we say, at once, and nobody calls himself a router. */
const SYSCTLS6: readonly (readonly [name: string, value: string])[] = [
  ['ipv6/conf/all/forwarding', '1'],
  ['ipv6/conf/all/accept_dad', '0'],
  ['ipv6/conf/default/accept_dad', '0'],
  [`ipv6/conf/${BRIDGE_NAME}/accept_dad`, '0'],
  [`ipv6/conf/${BRIDGE_NAME}/accept_ra`, '0'],
  [`ipv6/conf/${BRIDGE_NAME}/disable_ipv6`, '0'],
];

/** The link has neighbours, and no address of its own. */
const TUNNEL_SYSCTLS6: typeof SYSCTLS6 = [
  [`ipv6/conf/${VXLAN_NAME}/addr_gen_mode`, '1'],
  [`ipv6/conf/${VXLAN_NAME}/disable_ipv6`, '0'],
];
