// Where the VXLAN link of a sandbox sends: the namespace that it was made in, whatever has come to that namespace's path
// since. A link that sends in another one than the tunnel of now is in reaches nobody, and must be made again.
// Source: Linux include/uapi/linux/{net_namespace,if_link}.h.
import { dumpLinks } from './link-messages.ts';
import type { Netd } from './netd.ts';
import { NETLINK_ROUTE, readNetlinkResult } from './netd-protocol.ts';
import { MessageWriter, NLM_F_ACK, readAttributes, readMessages } from './netlink.ts';
import { VXLAN_INDEX } from './overlay-messages.ts';
import { IFLA_LINK_NETNSID, RTM_GETNSID, RTM_NEWLINK, RTM_NEWNSID } from './rtnetlink.ts';

const NETNSA_NSID = 1;
const NETNSA_FD = 3;
const UNSPECIFIED = Buffer.alloc(4); // rtgenmsg and its padding

/** Whether the sandbox's VXLAN link was made in the namespace that is at `underlay` now. */
export async function sendsIn(netd: Netd, sandbox: string, underlay: string): Promise<boolean> {
  const doing = 'looking where a network between nodes sends';
  const [held] = await netd.do(doing, [{ do: 'hold-namespace', path: underlay }]);
  const descriptor = held?.bytes.readUInt32LE(0) ?? -1;
  try {
    const ask = async (messages: Buffer): Promise<Buffer> => {
      const [result] = await netd.do(doing, [{ do: 'netlink', family: NETLINK_ROUTE, where: sandbox, messages }]);
      return result ? readNetlinkResult(result.bytes).messages : Buffer.alloc(0);
    };
    // The kernel numbers a namespace when a link that leads there is first shown: so links come first.
    const made = madeIn(await ask(dumpLinks()));
    return made !== undefined && made === numberIn(await ask(askNumber(descriptor)));
  } finally {
    await netd.do('letting a namespace go', [{ do: 'drop-namespace', descriptor }]);
  }
}

export function askNumber(descriptor: number): Buffer {
  const writer = new MessageWriter();
  writer.message(RTM_GETNSID, NLM_F_ACK, UNSPECIFIED, () => writer.u32(NETNSA_FD, descriptor));
  return writer.finish();
}

/** The sandbox's number for where its VXLAN link was made; undefined: in the sandbox itself, or there is none. */
function madeIn(links: Buffer): number | undefined {
  for (const { type, body } of readMessages(links)) {
    if (type !== RTM_NEWLINK || body.readInt32LE(4) !== VXLAN_INDEX) continue;
    return readAttributes(body.subarray(16)).get(IFLA_LINK_NETNSID)?.readInt32LE(0);
  }
  return undefined;
}

function numberIn(answer: Buffer): number | undefined {
  for (const { type, body } of readMessages(answer)) {
    if (type === RTM_NEWNSID) return readAttributes(body.subarray(4)).get(NETNSA_NSID)?.readInt32LE(0);
  }
  return undefined;
}
