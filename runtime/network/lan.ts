// Networks whose containers stand in the network of one of the machine's links (macvlan, ipvlan), each with an own
// address there. Without a parent, and when internal: on a veth pair of our own that
// leads nowhere, so among themselves. (An empty bridge loses its carrier, and with it theirs.)
import { constants } from 'node:os';
import { CodedError } from '../../base/errors.ts';
import type { Bridge } from './bridges.ts';
import { OPTION } from './bridges.ts';
import type { Instance } from './instance.ts';
import { addLanLink, addVlan, IPVLAN_FLAG, type LanLink, MACVLAN_MODE } from './lan-messages.ts';
import { addVeth, changeLink, deleteLink, dumpLinks, type Link, readLinks } from './link-messages.ts';
import { type Netd, StepError } from './netd.ts';
import { NETLINK_ROUTE } from './netd-protocol.ts';
import { MessageWriter } from './netlink.ts';
import type { LanRecord, NetworkRecord } from './registry.ts';
import { insideIndex, type Sandbox, withoutIpv6 } from './sandboxes.ts';

const VLAN = /^(.+)\.(\d{1,4})$/;
const VLAN_MAX = 4094;

export const isLanDriver = (driver: string): driver is LanRecord['kind'] => ['macvlan', 'ipvlan'].includes(driver);

/** What the options ask for. A parent that is not there is looked for when the network is made. */
export function planLan(
  kind: LanRecord['kind'],
  request: { readonly options: NetworkRecord['options']; readonly internal: boolean },
  id: string,
): { readonly parent: string; readonly lan: LanRecord; readonly internal: boolean } {
  const { options } = request;
  const asked = request.internal ? '' : (options['parent'] ?? '');
  const lan = { kind, mode: checkedMode(kind, options), made: asked === '' ? 'pair' : '' } as const;
  return { parent: asked === '' ? `dm-${id.slice(0, 12)}` : asked, lan, internal: asked === '' };
}

function checkedMode(kind: LanRecord['kind'], options: NetworkRecord['options']): string {
  if (kind === 'macvlan') return oneOf(options, 'macvlan_mode', 'bridge', Object.keys(MACVLAN_MODE));
  const layer = oneOf(options, 'ipvlan_mode', 'l2', ['l2', 'l3', 'l3s']);
  if (layer !== 'l2') throw new CodedError('not-implemented', `ipvlan_mode ${layer} is not available yet: use l2`);
  return oneOf(options, 'ipvlan_flag', 'bridge', Object.keys(IPVLAN_FLAG));
}

function oneOf(options: NetworkRecord['options'], name: string, usual: string, all: readonly string[]): string {
  const value = options[name] ?? usual;
  if (all.includes(value)) return value;
  throw new CodedError('invalid', `option ${name} must be one of ${all.join(', ')}, not '${value}'`);
}

const linkOf = ({ kind, mode }: LanRecord): LanLink =>
  kind === 'macvlan'
    ? { kind, mode: mode as keyof typeof MACVLAN_MODE }
    : { kind, flag: mode as keyof typeof IPVLAN_FLAG };

/** The parent's index, and what we made for it: a pair, a VLAN of a link that is there, or nothing. */
export async function ensureParent(
  netd: Netd,
  { name }: Bridge,
  lan: LanRecord,
  instance: Instance,
): Promise<{ readonly index: number; readonly made: LanRecord['made'] }> {
  const links = await linksOf(netd);
  const found = links.find((link) => link.name === name);
  const made = found ? lan.made : await makeParent(netd, name, lan, links, instance);
  const index = (found ?? (await linksOf(netd)).find((link) => link.name === name))?.index;
  if (index === undefined) throw new CodedError('internal', `link ${name} is gone as soon as it was made`);
  if (made !== '' && !found?.up) {
    const writer = new MessageWriter();
    changeLink(writer, { index, up: true });
    if (made === 'pair') changeLink(writer, { name: peerOf(name), up: true });
    await netd.exchange(`setting ${name} up`, NETLINK_ROUTE, writer.finish());
  }
  return { index, made };
}

const peerOf = (name: string): string => name.replace(/^dm/, 'dp');

const linksOf = async (netd: Netd): Promise<Link[]> => readLinks(await netd.dump('listing links', dumpLinks()));

async function makeParent(
  netd: Netd,
  name: string,
  lan: LanRecord,
  links: readonly Link[],
  instance: Instance,
): Promise<LanRecord['made']> {
  const writer = new MessageWriter();
  const group = instance.linkGroup;
  const vlan = lan.made === 'pair' ? undefined : vlanOf(name, links);
  if (vlan) addVlan(writer, { name, group, ...vlan });
  else if (lan.made === 'pair')
    addVeth(writer, { inside: name, outside: peerOf(name), homeFd: netd.hello.homeFd, group });
  else throw new CodedError('not-found', `there is no network link ${name} on this machine to be the parent`);
  try {
    await netd.do(`making link ${name}`, [
      { do: 'netlink', family: NETLINK_ROUTE, where: '', messages: writer.finish() },
      ...(vlan ? [name] : [name, peerOf(name)]).map(withoutIpv6),
    ]);
  } catch (error) {
    throw isUnknownKind(error) ? missing('802.1q VLAN', '8021q', error) : error;
  }
  return vlan ? 'vlan' : 'pair';
}

function vlanOf(name: string, links: readonly Link[]): { parent: number; number: number } | undefined {
  const [, parentName, text] = VLAN.exec(name) ?? [];
  const parent = links.find((link) => link.name === parentName)?.index;
  const number = Number(text);
  return parent !== undefined && number >= 1 && number <= VLAN_MAX ? { parent, number } : undefined;
}

/** Can the kernel do it, and with this parent? Asked when the network is made, not with its first container. */
export async function probeLan(netd: Netd, parent: Bridge, index: number, lan: LanRecord): Promise<void> {
  const name = `${lan.kind.slice(0, 2)}${parent.subnet.base.toString(16)}p`;
  const [making, removing] = [new MessageWriter(), new MessageWriter()];
  addLanLink(making, { ...linkOf(lan), name, parent: index });
  deleteLink(removing, name);
  try {
    await netd.exchange(`trying ${lan.kind} on ${parent.name}`, NETLINK_ROUTE, making.finish());
  } catch (error) {
    throw explained(error, parent.name, lan);
  }
  await netd.doAside('removing a link', {
    do: 'netlink',
    family: NETLINK_ROUTE,
    where: '',
    messages: removing.finish(),
  });
}

function explained(error: unknown, parent: string, { kind }: LanRecord): unknown {
  if (isUnknownKind(error)) return missing(kind, kind, error);
  const errno = error instanceof StepError ? error.errno : 0;
  if (errno === constants.errno.EBUSY || errno === constants.errno.EINVAL) {
    const sentence = `link ${parent} can not be the parent of a ${kind} network: it is used in another way, for example by a bridge`;
    return new CodedError('conflict', sentence, { cause: error });
  }
  return error;
}

const isUnknownKind = (error: unknown): boolean =>
  error instanceof StepError && error.errno === constants.errno.EOPNOTSUPP;

const missing = (what: string, module: string, cause: unknown): CodedError =>
  new CodedError('not-implemented', `the kernel of this machine has no ${what} links: load the module ${module}`, {
    cause,
  });

/** The container's link, in its namespace. */
export async function makeLanLink(
  netd: Netd,
  lan: LanRecord,
  parentIndex: number,
  sandbox: Sandbox,
  mac: Uint8Array | undefined,
): Promise<void> {
  const [held] = await netd.do('holding a namespace', [{ do: 'hold-namespace', path: sandbox.path }]);
  const insideFd = held?.bytes.readUInt32LE(0) ?? -1;
  const writer = new MessageWriter();
  const [name, index] = [sandbox.interfaceName, insideIndex(sandbox)];
  const own = lan.kind === 'macvlan' && mac ? { mac } : {};
  addLanLink(writer, { ...linkOf(lan), name, parent: parentIndex, index, insideFd, ...own });
  try {
    await netd.exchange(`making a ${lan.kind} link for a container`, NETLINK_ROUTE, writer.finish());
  } finally {
    await netd.do('letting a namespace go', [{ do: 'drop-namespace', descriptor: insideFd }]);
  }
}

/** The parent, if it is ours. */
export async function removeParent(netd: Netd, { name }: Bridge, { made }: LanRecord): Promise<void> {
  if (made === '') return;
  const writer = new MessageWriter();
  deleteLink(writer, name);
  try {
    await netd.exchange(`removing link ${name}`, NETLINK_ROUTE, writer.finish());
  } catch (error) {
    if (!(error instanceof StepError) || error.errno !== constants.errno.ENODEV) throw error;
  }
}

/** Absent: that of the parent. */
export const lanMtu = (options: NetworkRecord['options'], { mtu }: Bridge): number | undefined =>
  options[OPTION.mtu] === undefined ? undefined : mtu;
