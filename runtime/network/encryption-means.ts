// By which means this machine could encrypt what goes to other nodes: asked of the kernel itself, in a namespace that is
// made for it and removed again. Asking may load the kernel's module, as using it would.
import { randomUUID } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { sentenceOf } from '../../base/errors.ts';
import { parseAddress } from './addresses.ts';
import type { EncryptionMeans, MeansName } from './contract.ts';
import { failureText, type Netd } from './netd.ts';
import { NETLINK_ROUTE, NETLINK_XFRM, readNetlinkResult } from './netd-protocol.ts';
import { MessageWriter } from './netlink.ts';
import { addWireguardLink } from './wireguard-messages.ts';
import { addEspLink, addEspState, putEspPolicy } from './xfrm-messages.ts';

const INTERFACE_ID = 1;
const TUN = '/dev/net/tun';
const USED = 'the kernel has it; used between nodes that both do';

/** `namespacePath`: where a namespace may be made for this. One that an earlier look left behind is replaced. */
export function findMeans(netd: Netd, namespacePath: string): Promise<EncryptionMeans[]> {
  return inNamespace(netd, namespacePath, async () => {
    const [esp, wireguard] = await Promise.all([
      refusalOfEsp(netd, namespacePath),
      refusal(netd, namespacePath, NETLINK_ROUTE, askForWireguard()),
    ]);
    return [tunnel(), kernels('esp', esp), kernels('wireguard', wireguard)];
  });
}

/** Why the kernel has no ESP, all that a pair takes; undefined: it has. */
export const lackOfEsp = (netd: Netd, namespacePath: string): Promise<string | undefined> =>
  inNamespace(netd, namespacePath, () => refusalOfEsp(netd, namespacePath));

/** Why the kernel has no WireGuard; undefined: it has. */
export const lackOfWireguard = (netd: Netd, namespacePath: string): Promise<string | undefined> =>
  inNamespace(netd, namespacePath, () => refusal(netd, namespacePath, NETLINK_ROUTE, askForWireguard()));

/** Of this boot of the kernel. Where it can not be read each is another one, so that nothing is taken up. */
export async function bootId(): Promise<string> {
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  } catch {
    return randomUUID();
  }
}

async function inNamespace<T>(netd: Netd, path: string, look: () => Promise<T>): Promise<T> {
  const remove = { do: 'remove-namespace', path } as const;
  await netd.run([{ ...remove, mayFail: true }]);
  await netd.do('making a namespace to look at means of encryption', [{ do: 'create-namespace', path }]);
  try {
    return await look();
  } finally {
    await netd.doAside('removing a network namespace', remove);
  }
}

async function refusalOfEsp(netd: Netd, where: string): Promise<string | undefined> {
  const [state, link] = await Promise.all([
    refusal(netd, where, NETLINK_XFRM, askForEsp()),
    refusal(netd, where, NETLINK_ROUTE, askForEspLink()),
  ]);
  return state ?? link;
}

/** What other nodes are told: that which is used where both have it. */
export const offeredMeans = (): MeansName[] => [tunnel()].flatMap(({ means, isUsed }) => (isUsed ? [means] : []));

function tunnel(): EncryptionMeans {
  try {
    accessSync(TUN, constants.R_OK | constants.W_OK);
    return { means: 'tunnel', isThere: true, isUsed: true, reason: 'a process of ours seals every packet' };
  } catch (error) {
    return { means: 'tunnel', isThere: false, isUsed: false, reason: sentenceOf(error) };
  }
}

function kernels(means: 'esp' | 'wireguard', refused: string | undefined): EncryptionMeans {
  const isThere = refused === undefined;
  return { means, isThere, isUsed: isThere, reason: refused ?? USED };
}

/** Why the kernel does not take the messages; undefined: it does. */
async function refusal(netd: Netd, where: string, family: number, messages: Buffer): Promise<string | undefined> {
  const [result] = await netd.run([{ do: 'netlink', family, where, messages, mayFail: true }]);
  if (!result) return 'the kernel was not asked';
  if (result.errno !== 0) return `the kernel has no such interface: ${result.bytes.toString()}`;
  const [failure] = readNetlinkResult(result.bytes).failures;
  return failure && failureText(failure);
}

/** All that a pair takes (esp-plan.ts). */
function askForEsp(): Buffer {
  const writer = new MessageWriter();
  const [source, destination] = [parseAddress('192.0.2.1'), parseAddress('192.0.2.2')];
  const pair = { source, destination, spi: 0x1000, interfaceId: INTERFACE_ID };
  addEspState(writer, { ...pair, bytesMax: 2n ** 40n, key: Buffer.alloc(20) });
  putEspPolicy(writer, { ...pair, direction: 'out', from: source, to: destination });
  return writer.finish();
}

function askForEspLink(): Buffer {
  const writer = new MessageWriter();
  addEspLink(writer, { name: 'esp0', interfaceId: INTERFACE_ID });
  return writer.finish();
}

function askForWireguard(): Buffer {
  const writer = new MessageWriter();
  addWireguardLink(writer, { name: 'wg0' });
  return writer.finish();
}
