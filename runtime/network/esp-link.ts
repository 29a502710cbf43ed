// The link of an encrypted network that the kernel carries: there, up, with its address and the room that it needs.
import { espLinkEnd, type EspPlace, espLinkName, espLinkSteps } from './esp-plan.ts';
import { type Helper, isLinkAtHome, lookAtLink } from './esp-kernel.ts';
import { insideAddress } from './kernel-pairs.ts';

export interface EspLink {
  readonly id: string; // the network's
  readonly nodeId: string; // this node's
  readonly interfaceId: number;
  readonly mtu: number;
}

/** A part of a sentence; undefined: nothing is wrong with it. */
export async function espLinkFault(helper: Helper, link: EspLink, place: EspPlace): Promise<string | undefined> {
  const found = await lookAtLink(helper, place, insideAddress(link.id, link.nodeId));
  if (!found.link) return 'lacked its link of ESP';
  if (!found.link.up) return 'had its link of ESP down';
  if (!found.hasAddress) return 'had a link of ESP without its address';
  return found.link.mtu === link.mtu ? undefined : 'had a link of ESP with another MTU';
}

/** Takes what is right, and makes anew what is not: states and policies are none of the link's and stay. */
export async function bringEspLink(helper: Helper, link: EspLink, place: EspPlace): Promise<void> {
  const doing = `making the link ${espLinkName(link.interfaceId)}`;
  const fault = await espLinkFault(helper, link, place);
  if (fault === undefined) return;
  const { link: there } = await lookAtLink(helper, place, 0);
  if (there) await helper.do(doing, espLinkEnd(place));
  if (await isLinkAtHome(helper, place, link.interfaceId)) {
    await helper.do(doing, espLinkEnd({ ...place, namespacePath: '' }));
  }
  const [held] = await helper.do(doing, [{ do: 'hold-namespace', path: place.namespacePath }]);
  const namespaceFd = held?.bytes.readUInt32LE(0) ?? -1;
  try {
    await helper.do(doing, espLinkSteps(link, { id: link.nodeId }, { ...place, namespaceFd, mtu: link.mtu }));
  } finally {
    await helper.run([{ do: 'drop-namespace', descriptor: namespaceFd, mayFail: true }]);
  }
}
