// The node's own sysctls that containers need. What they were before is remembered, durable, and put back at the end.
import { readFile, readlink } from 'node:fs/promises';
import type { Netd } from './netd.ts';
import { NETLINK_NETFILTER, type Step, type StepResult } from './netd-protocol.ts';
import { listTables } from './nft-read.ts';
import { dumpLinks, readLinks } from './link-messages.ts';
import { CodedError } from '../../base/errors.ts';
import type { HostRecord } from './registry.ts';

/** Forwarding between bridge and uplink; loopback clients of published ports leave through a bridge or the uplink. */
const WANTED: Readonly<Record<string, string>> = {
  'ipv4/ip_forward': '1',
  'ipv4/conf/all/route_localnet': '1',
};

/** What to store before anything is changed: the earlier record if it is of this very namespace, else what holds now. */
export async function recordHostSettings(netd: Netd, earlier: HostRecord | undefined): Promise<HostRecord> {
  const namespace = await namespaceName(netd);
  return earlier?.namespace === namespace ? earlier : { namespace, sysctls: await read(netd) };
}

export async function applyHostSettings(netd: Netd): Promise<void> {
  await write(netd, WANTED, await read(netd));
}

const LINKS = 'ipv6/conf/';
const FORWARDING6 = 'ipv6/conf/all/forwarding';
const LISTENS = '1';
const LISTENS_ALWAYS = '2';

/**
 * For networks with IPv6. Forwarding makes a machine deaf to the routers' advertisements that its own default route may
 * come from, unless the link says that it listens always: such links are remembered as well.
 */
export async function recordIpv6Settings(netd: Netd, record: HostRecord): Promise<HostRecord> {
  if (record.sysctls[FORWARDING6] !== undefined) return record;
  const [forwarding] = await netd.run([{ do: 'read-sysctl', where: '', name: FORWARDING6 }]);
  if (forwarding?.errno !== 0) {
    throw new CodedError('unavailable', 'the kernel of this machine has no IPv6: networks can not have it');
  }
  const before = { [FORWARDING6]: textOf(forwarding) };
  if (before[FORWARDING6] === '1') return { ...record, sysctls: { ...record.sysctls, ...before } };
  const links = readLinks(await netd.dump('listing links', dumpLinks()));
  const names = links.map(({ name }) => `ipv6/conf/${name}/accept_ra`);
  const values = await netd.run(names.map((name): Step => ({ do: 'read-sysctl', where: '', name, mayFail: true })));
  const listening = names.filter((_, index) => textOf(values[index]) === LISTENS).map((name) => [name, LISTENS]);
  return { ...record, sysctls: { ...record.sysctls, ...before, ...Object.fromEntries(listening) } };
}

export async function applyIpv6Settings(netd: Netd, { sysctls }: HostRecord): Promise<void> {
  const listening = Object.keys(sysctls).filter((name) => name.endsWith('/accept_ra'));
  const steps = listening.map(
    (name): Step => ({ do: 'write-sysctl', where: '', name, value: LISTENS_ALWAYS, mayFail: true }),
  );
  steps.push({ do: 'write-sysctl', where: '', name: FORWARDING6, value: '1' });
  await netd.do('letting IPv6 pass between networks', steps);
}

const textOf = (result: StepResult | undefined): string => (result?.errno === 0 ? result.bytes.toString().trim() : '');

/** Puts the settings back, unless another daemon here still needs them. */
export async function restoreHostSettings(netd: Netd, record: HostRecord, ownTable: string): Promise<void> {
  if (record.namespace !== (await namespaceName(netd))) return;
  const tables = await netd.exchange('listing nf_tables', NETLINK_NETFILTER, listTables.request());
  if (listTables.read(tables).some((name) => name.startsWith('shoal_') && name !== ownTable)) return;
  await write(netd, record.sysctls, await read(netd));
}

async function read(netd: Netd): Promise<Record<string, string>> {
  const names = Object.keys(WANTED);
  const results = await netd.do(
    'reading the settings of the host',
    names.map((name) => ({ do: 'read-sysctl', where: '', name })),
  );
  return Object.fromEntries(names.map((name, index) => [name, results[index]?.bytes.toString().trim() ?? '']));
}

async function write(
  netd: Netd,
  to: Readonly<Record<string, string>>,
  from: Readonly<Record<string, string>>,
): Promise<void> {
  const changed = Object.entries(to).filter(([name, value]) => from[name] !== value);
  if (changed.length === 0) return;
  await netd.do(
    'changing the settings of the host',
    // A link may be gone since.
    changed.map(([name, value]) => ({ do: 'write-sysctl', where: '', name, value, mayFail: name.startsWith(LINKS) })),
  );
}

/** A namespace of this boot: another boot may use the same number again. */
async function namespaceName(netd: Netd): Promise<string> {
  const bootId = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
  return `${bootId.trim()} ${await readlink(`/proc/${netd.hello.pid}/ns/net`)}`;
}
