// The netlink steps that put a sandbox into a bridge network, and take it out. Pure.
import type { Bridge } from './bridges.ts';
import { parseMac } from './addresses.ts';
import type { Endpoint } from './contract.ts';
import type { SubnetGateway } from './network-addresses.ts';
import {
  addAddress,
  changeLink,
  changePort,
  deleteAddress,
  deleteDefaultRoute,
  deleteLinkAt,
  setDefaultRoute,
} from './link-messages.ts';
import { NETLINK_ROUTE, type Step } from './netd-protocol.ts';
import { MessageWriter } from './netlink.ts';
import { insideIndex, type Sandbox } from './sandboxes.ts';

export interface Wiring {
  readonly sandbox: Sandbox;
  readonly bridge: Bridge;
  readonly bridgeIndex: number;
  readonly address: number;
  readonly place: SubnetGateway;
  readonly mac: Uint8Array;
  /** The default route leads through it. */
  readonly leadsOut: boolean;
}

/** Outer end first: when the inner end comes up and announces its address, the bridge hears it. */
export function wireSteps(wiring: Wiring): Step[] {
  const { sandbox, bridge, bridgeIndex, address, place, mac, leadsOut } = wiring;
  const inside = new MessageWriter();
  const index = insideIndex(sandbox);
  addAddress(inside, { index, address, prefixLength: place.subnet.prefixLength });
  changeLink(inside, { index, mac, mtu: bridge.mtu, up: true });
  if (leadsOut && !bridge.internal) setDefaultRoute(inside, place.gateway);
  return [
    attachStep(sandbox.hostInterfaceName, bridge, bridgeIndex),
    { do: 'netlink', family: NETLINK_ROUTE, where: sandbox.path, messages: inside.finish() },
  ];
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
export function unwireStep({ sandboxPath, interfaceName }: Endpoint, address: number, prefixLength: number): Step {
  const writer = new MessageWriter();
  deleteAddress(writer, { index: insideIndex({ interfaceName }), address, prefixLength });
  return { do: 'netlink', family: NETLINK_ROUTE, where: sandboxPath, messages: writer.finish(), mayFail: true };
}

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
export function defaultRouteStep(where: string, gateway: number | undefined): Step {
  const writer = new MessageWriter();
  if (gateway === undefined) deleteDefaultRoute(writer);
  else setDefaultRoute(writer, gateway);
  const messages = writer.finish();
  return { do: 'netlink', family: NETLINK_ROUTE, where, messages, mayFail: gateway === undefined };
}
