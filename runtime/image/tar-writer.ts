// Writes tar entries: ustar headers, and a PAX header before an entry whose name, link, size or owner does not fit.
export interface TarEntry {
  readonly name: string; // folders end in '/'
  readonly type: 'file' | 'directory' | 'symlink' | 'link' | 'character-device' | 'block-device' | 'fifo';
  readonly mode: number;
  readonly sizeBytes?: number;
  readonly linkName?: string;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtimeMs?: number;
  readonly device?: { readonly major: number; readonly minor: number };
}

const BLOCK = 512;
const TYPE = {
  file: '0',
  link: '1',
  symlink: '2',
  'character-device': '3',
  'block-device': '4',
  directory: '5',
  fifo: '6',
} as const;
const NAME_MAX = 100;
const SIZE_MAX = 8 ** 11 - 1;
const OWNER_MAX = 8 ** 7 - 1;

/** Everything before the entry's content. */
export function tarHeader(entry: TarEntry): Buffer {
  const extra = paxRecords(entry);
  const header = ustar(entry, TYPE[entry.type], entry.sizeBytes ?? 0);
  if (extra === '') return header;
  const body = Buffer.from(extra);
  const pax = ustar({ ...entry, name: 'PaxHeader', mode: 0o644, linkName: '' }, 'x', body.length);
  return Buffer.concat([pax, body, tarPadding(body.length), header]);
}

/** Zeroes after `sizeBytes` of content. */
export const tarPadding = (sizeBytes: number): Buffer => Buffer.alloc((BLOCK - (sizeBytes % BLOCK)) % BLOCK);

export const TAR_END = Buffer.alloc(2 * BLOCK);

export const tarFile = (name: string, bytes: Buffer): Buffer =>
  Buffer.concat([
    tarHeader({ name, type: 'file', mode: 0o644, sizeBytes: bytes.length }),
    bytes,
    tarPadding(bytes.length),
  ]);

function paxRecords(entry: TarEntry): string {
  const { name, linkName = '', sizeBytes = 0, uid = 0, gid = 0 } = entry;
  const fits = (text: string): boolean => Buffer.byteLength(text) <= NAME_MAX && /^[\x20-\x7e]*$/.test(text);
  return [
    fits(name) ? '' : paxRecord('path', name),
    fits(linkName) ? '' : paxRecord('linkpath', linkName),
    sizeBytes <= SIZE_MAX ? '' : paxRecord('size', String(sizeBytes)),
    uid <= OWNER_MAX ? '' : paxRecord('uid', String(uid)),
    gid <= OWNER_MAX ? '' : paxRecord('gid', String(gid)),
  ].join('');
}

/** `LENGTH key=value\n`, where LENGTH counts its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (rest + String(length).length !== length) length += 1;
  return `${length} ${key}=${value}\n`;
}

function ustar(entry: TarEntry, type: string, size: number): Buffer {
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, length: number, max: number): void => {
    header.write(
      `${Math.min(value, max)
        .toString(8)
        .padStart(length - 1, '0')}\0`,
      at,
      'latin1',
    );
  };
  header.write(entry.name, 0, NAME_MAX);
  octal(entry.mode & 0o7777, 100, 8, OWNER_MAX);
  octal(entry.uid ?? 0, 108, 8, OWNER_MAX);
  octal(entry.gid ?? 0, 116, 8, OWNER_MAX);
  octal(size, 124, 12, SIZE_MAX);
  octal(Math.max(0, Math.floor((entry.mtimeMs ?? 0) / 1000)), 136, 12, SIZE_MAX);
  header.fill(' ', 148, 156);
  header.write(type, 156, 'latin1');
  header.write(entry.linkName ?? '', 157, NAME_MAX);
  header.write('ustar\x0000', 257, 'latin1');
  octal(entry.device?.major ?? 0, 329, 8, OWNER_MAX);
  octal(entry.device?.minor ?? 0, 337, 8, OWNER_MAX);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}
