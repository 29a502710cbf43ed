// The netlink steps that put a sandbox into a bridge network, and take it out. Pure.
import type { Bridge } from './bridges.ts';
import { type Ip, parseMac } from './addresses.ts';
import type { Endpoint } from './contract.ts';
import type { SubnetGateway } from './network-addresses.ts';
import type { SubnetGateway6 } from './network-addresses6.ts';
import {
  addAddress,
  addLinkRoute,
  changeLink,
  changePort,
  deleteAddress,
  deleteDefaultRoute,
  deleteLinkAt,
  setDefaultRoute,
} from './link-messages.ts';
import { NETLINK_ROUTE, type Step, type StepResult } from './netd-protocol.ts';
import { MessageWriter } from './netlink.ts';
import { insideIndex, type Sandbox } from './sandboxes.ts';

export interface Wiring {
  readonly sandbox: Sandbox;
  readonly bridge: Bridge;
  readonly bridgeIndex: number;
  readonly address: number;
  readonly place: SubnetGateway;
  readonly six?: { readonly address: bigint; readonly place: SubnetGateway6 };
  readonly mac: Uint8Array;
  /** The default route leads through it. */
  readonly leadsOut: boolean;
}

/** Outer end first: when the inner end comes up and announces its address, the bridge hears it. */
export function wireSteps(wiring: Wiring): Step[] {
  const { sandbox, bridge, bridgeIndex, mac } = wiring;
  const link = { mac, mtu: bridge.mtu };
  return [
    attachStep(sandbox.hostInterfaceName, bridge, bridgeIndex),
    ...insideSteps(wiring, link),
    ...besideSteps(wiring),
  ];
}

/** Other subnets of the network are on the same bridge: nobody needs to pass on what goes there. */
function besideSteps({ sandbox, bridge, place, six }: Wiring): Step[] {
  const others = [
    ...bridge.subnets.filter(({ subnet }) => subnet.base !== place.subnet.base),
    ...(six ? bridge.subnets6.filter(({ subnet }) => subnet.base !== six.place.subnet.base) : []),
  ];
  if (others.length === 0) return [];
  const writer = new MessageWriter();
  for (const { subnet } of others) addLinkRoute(writer, insideIndex(sandbox), subnet);
  return [{ do: 'netlink', family: NETLINK_ROUTE, where: sandbox.path, messages: writer.finish() }];
}

/** What is done in the container's namespace. `link`: what the interface does not have yet. */
export function insideSteps(
  { sandbox, bridge, address, place, six, leadsOut }: Omit<Wiring, 'mac' | 'bridgeIndex'>,
  link: { readonly mac?: Uint8Array; readonly mtu?: number },
): Step[] {
  const inside = new MessageWriter();
  const index = insideIndex(sandbox);
  addAddress(inside, { index, address, prefixLength: place.subnet.prefixLength });
  changeLink(inside, { index, ...link, up: true });
  if (six) addAddress(inside, { index, address: six.address, prefixLength: six.place.subnet.prefixLength });
  if (leadsOut && !bridge.internal) {
    setDefaultRoute(inside, place.gateway);
    if (six) setDefaultRoute(inside, six.place.gateway);
  }
  return [
    ...(six ? enableIpv6Steps(sandbox) : []),
    { do: 'netlink', family: NETLINK_ROUTE, where: sandbox.path, messages: inside.finish() },
  ];
}

/**
 * Addresses are ours to give: none is made up, none is waited for (duplicate address detection), and no neighbour may
 * call itself a router. Changes of the MAC address are announced, as those of IPv4.
 */
function enableIpv6Steps({ path, interfaceName }: Sandbox): Step[] {
  const settings = [
    ['all/accept_dad', '0'],
    [`${interfaceName}/accept_dad`, '0'],
    [`${interfaceName}/accept_ra`, '0'],
    [`${interfaceName}/ndisc_notify`, '1'],
    [`${interfaceName}/disable_ipv6`, '0'],
  ] as const;
  return settings.map(([name, value]) => ({ do: 'write-sysctl', where: path, name: `ipv6/conf/${name}`, value }));
}

export function attachStep(name: string, bridge: Bridge, bridgeIndex: number): Step {
  const writer = new MessageWriter();
  changeLink(writer, { name, master: bridgeIndex, mtu: bridge.mtu, up: true });
  changePort(writer, name, { hairpin: true, isolated: !bridge.talkInside });
  return { do: 'netlink', family: NETLINK_ROUTE, where: bridge.namespace ?? '', messages: writer.finish() };
}

/**
 * The namespace may live on for a while: in the kernel's clean-up, or in a process that is still inside. Without its
 * address it can not answer for the next owner of that address.
 */
export function unwireStep(
  { sandboxPath, interfaceName }: Endpoint,
  addresses: readonly { readonly address: Ip; readonly prefixLength: number }[],
): Step {
  const writer = new MessageWriter();
  for (const each of addresses) deleteAddress(writer, { index: insideIndex({ interfaceName }), ...each });
  return { do: 'netlink', family: NETLINK_ROUTE, where: sandboxPath, messages: writer.finish(), mayFail: true };
}

export const countStep = ({ sandboxPath }: Endpoint): Step => ({
  do: 'count-packets',
  where: sandboxPath,
  mayFail: true,
});

/**
 * No packet was ever received or sent in its namespace, so no tracked connection led here; but through a published port
 * some may have been on their way. A walk over the table of connections holds a processor for 9 ms: who waits for its
 * turn there, though another one idles, is late by that much.
 */
export const wasSilent = ({ published }: Endpoint, packets: StepResult | undefined): boolean =>
  published.length === 0 && packets?.errno === 0 && packets.bytes.toString() === '0';

/** Setting the MAC address that is there makes the kernel tell the neighbours once more (arp_notify). */
export function announceStep({ sandboxPath, interfaceName, macAddress }: Endpoint): Step {
  const writer = new MessageWriter();
  changeLink(writer, { index: insideIndex({ interfaceName }), mac: parseMac(macAddress) });
  return { do: 'netlink', family: NETLINK_ROUTE, where: sandboxPath, messages: writer.finish(), mayFail: true };
}

/** Takes an interface out of a namespace that stays. The kernel takes its time over it. */
export function unplugSteps(
  place: Pick<Endpoint, 'interfaceName'> & ({ readonly sandboxPath: string } | { readonly path: string }),
): Step[] {
  const writer = new MessageWriter();
  deleteLinkAt(writer, insideIndex(place));
  const where = 'path' in place ? place.path : place.sandboxPath;
  return [{ do: 'netlink', family: NETLINK_ROUTE, where, messages: writer.finish(), mayFail: true }];
}

/** Undefined: nothing leads outside any more. */
export function defaultRouteStep(where: string, family: 4 | 6, gateway: Ip | undefined): Step {
  const writer = new MessageWriter();
  if (gateway === undefined) deleteDefaultRoute(writer, family);
  else setDefaultRoute(writer, gateway);
  const messages = writer.finish();
  return { do: 'netlink', family: NETLINK_ROUTE, where, messages, mayFail: gateway === undefined };
}
