// The netlink steps that put a sandbox into a bridge network, and take it out. Pure.
import type { Bridge } from './bridges.ts';
import { addAddress, addDefaultRoute, changeLink, changePort, deleteAddress, INSIDE_INDEX } from './link-messages.ts';
import { NETLINK_ROUTE, type Step } from './netd-protocol.ts';
import { MessageWriter } from './netlink.ts';
import type { Sandbox } from './sandboxes.ts';

export interface Wiring {
  readonly sandbox: Sandbox;
  readonly bridge: Bridge;
  readonly bridgeIndex: number;
  readonly address: number;
  readonly mac: Uint8Array;
}

/** Outer end first: when the inner end comes up and announces its address, the bridge hears it. */
export function wireSteps(wiring: Wiring): Step[] {
  const { sandbox, bridge, bridgeIndex, address, mac } = wiring;
  const inside = new MessageWriter();
  addAddress(inside, { index: INSIDE_INDEX, address, prefixLength: bridge.subnet.prefixLength });
  changeLink(inside, { index: INSIDE_INDEX, mac, mtu: bridge.mtu, up: true });
  if (!bridge.internal) addDefaultRoute(inside, bridge.gateway);
  return [
    attachStep(sandbox.hostInterfaceName, bridge, bridgeIndex),
    { do: 'netlink', family: NETLINK_ROUTE, where: sandbox.path, messages: inside.finish() },
  ];
}

export function attachStep(name: string, bridge: Bridge, bridgeIndex: number): Step {
  const writer = new MessageWriter();
  changeLink(writer, { name, master: bridgeIndex, mtu: bridge.mtu, up: true });
  changePort(writer, name, { hairpin: true, isolated: !bridge.talkInside });
  return { do: 'netlink', family: NETLINK_ROUTE, where: '', messages: writer.finish() };
}

/**
 * The namespace may live on for a while: in the kernel's clean-up, or in a process that is still inside. Without its
 * address it can not answer for the next owner of that address.
 */
export function unwireStep(sandboxPath: string, address: number, prefixLength: number): Step {
  const writer = new MessageWriter();
  deleteAddress(writer, { index: INSIDE_INDEX, address, prefixLength });
  return { do: 'netlink', family: NETLINK_ROUTE, where: sandboxPath, messages: writer.finish(), mayFail: true };
}
