// Options of local volumes: which go together, and the call of mount(2) that they mean. In Docker's words and meaning, so
// what mount's own programs would understand besides (LABEL=…, helpers such as mount.nfs) is not understood here either.
import { isIP } from 'node:net';
import { fail } from '../../base/errors.ts';

export type DriverOptions = Readonly<Record<string, string>>;

export interface MountCall {
  readonly device: string;
  readonly type: string;
  readonly flags: number; // MS_…
  readonly data: string;
}

const KNOWN: readonly string[] = ['type', 'o', 'device', 'size'];
const NEEDS: readonly (readonly [option: string, needed: readonly string[]])[] = [
  ['o', ['device', 'type']],
  ['type', ['device']],
  ['device', ['type']],
];
/** One page with its end; the kernel cuts off what is behind it without a word, and with that what it should have refused. */
const DATA_BYTES_MAX = 4095;
const SIZE = /^\d+(\.\d+)?\s?([kmgtp]i?)?b?$/i;

export function checkOptions(volume: string, options: DriverOptions): void {
  const refuse = (reason: string): never => fail('invalid', `create ${volume}: ${reason}`);
  const unknown = Object.keys(options).find((option) => !KNOWN.includes(option));
  if (unknown !== undefined) refuse(`invalid option: "${unknown}"`);
  const { size } = options;
  if (size !== undefined && !SIZE.test(size)) refuse(`invalid size: '${size}'`);
  if (size !== undefined && Number.parseFloat(size) > 0) refuse('quota size requested but no quota support');
  for (const [option, needed] of NEEDS) {
    if (options[option] === undefined) continue;
    const missing = needed.find((other) => options[other] === undefined);
    if (missing !== undefined) refuse(`missing required option: "${missing}"`);
  }
}

export const needsMount = ({ type = '', device = '' }: DriverOptions): boolean => type !== '' || device !== '';

/** The flag that a word of `o` sets, or takes back; other words are the file system's. */
const FLAGS: Readonly<Record<string, readonly [flag: number, sets: boolean]>> = {
  defaults: [0, true],
  ro: [0x1, true],
  rw: [0x1, false],
  nosuid: [0x2, true],
  suid: [0x2, false],
  nodev: [0x4, true],
  dev: [0x4, false],
  noexec: [0x8, true],
  exec: [0x8, false],
  sync: [0x10, true],
  async: [0x10, false],
  remount: [0x20, true],
  mand: [0x40, true],
  nomand: [0x40, false],
  dirsync: [0x80, true],
  noatime: [0x400, true],
  atime: [0x400, false],
  nodiratime: [0x800, true],
  diratime: [0x800, false],
  bind: [0x1000, true],
  rbind: [0x5000, true],
  unbindable: [0x20000, true],
  runbindable: [0x24000, true],
  private: [0x40000, true],
  rprivate: [0x44000, true],
  slave: [0x80000, true],
  rslave: [0x84000, true],
  shared: [0x100000, true],
  rshared: [0x104000, true],
  relatime: [0x200000, true],
  norelatime: [0x200000, false],
  strictatime: [0x1000000, true],
  nostrictatime: [0x1000000, false],
};

export type Resolve = (host: string) => Promise<string>;

/** The kernel knows addresses only: names of servers are asked for here. */
export async function mountCall(options: DriverOptions, resolve: Resolve): Promise<MountCall> {
  const { type = '', device = '', o = '' } = options;
  if (device === '') fail('internal', 'missing device in volume options');
  let flags = 0;
  const data: string[] = [];
  for (const word of o.split(',')) {
    const known = Object.hasOwn(FLAGS, word) ? FLAGS[word] : undefined;
    if (known === undefined) data.push(word);
    else flags = known[1] ? flags | known[0] : flags & ~known[0];
  }
  const call = { device, type, flags, data: data.join(',') };
  const bytes = Buffer.byteLength(call.data);
  if (bytes > DATA_BYTES_MAX)
    fail('invalid', `${bytes} bytes of options are more than the ${DATA_BYTES_MAX} that mount takes`);
  return type === 'nfs' || type === 'cifs' ? await withAddresses(call, resolve) : call;
}

async function withAddresses(call: MountCall, resolve: Resolve): Promise<MountCall> {
  const address = /(?:^|,)addr=([^,]*)/.exec(call.data)?.[1] ?? '';
  if (address !== '')
    return { ...call, data: call.data.replace(`addr=${address}`, `addr=${await found(address, resolve)}`) };
  const host = call.type === 'cifs' ? (/^\/\/([^/]+)\//.exec(call.device)?.[1] ?? '') : '';
  return host === '' ? call : { ...call, device: call.device.replace(host, await found(host, resolve)) };
}

async function found(host: string, resolve: Resolve): Promise<string> {
  if (isIP(host) !== 0) return host;
  try {
    return await resolve(host);
  } catch (cause) {
    return fail('internal', 'error resolving passed in network volume address', { cause });
  }
}

/** Of a sentence about a mount, which logs and clients get to see. */
export function withoutPassword(sentence: string, { o = '' }: DriverOptions): string {
  const password = /(?:^|,)password=([^,]*)/.exec(o)?.[1] ?? '';
  return password === '' ? sentence : sentence.replace(`password=${password}`, 'password=********');
}
