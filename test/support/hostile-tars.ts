// Archives that mean harm or are broken, for everything that unpacks one: load, import, pull, put-archive.
// `outside` is a folder of the host with a file `canary`; nothing may change there, and no `escaped` may appear anywhere.
import { gzipSync } from 'node:zlib';
import { TAR_END, type TarEntry, tarHeader, tarPadding } from '../../runtime/image/tar-writer.ts';

/** applied: unpacked, within its own folder. refused: an error in words, and nothing is left. */
export type Outcome = 'applied' | 'refused';

export interface HostileTar {
  readonly name: string;
  /** As a layer, where whiteouts mean something. */
  readonly outcome: Outcome;
  readonly make: (outside: string) => Buffer;
}

type Piece = readonly [entry: string | (Partial<TarEntry> & { name: string }), content?: string | Buffer];

export const HOSTILE_TARS: readonly HostileTar[] = [
  // Names
  refused('climbs out by its name', () => [['../../../../../../../../escaped', 'x']]),
  refused('climbs out from inside', () => [['a/../../../../../../../../escaped', 'x']]),
  refused('names an absolute path', (outside) => [[`${outside}/escaped`, 'x']]),
  refused('overwrites a file by its absolute path', (outside) => [[`${outside}/canary`, 'harm']]),
  applied('is called .', () => [[folder('./')]]),
  refused('is called /', () => [[folder('/')]]),
  refused('is called ..', () => [['..', 'x']]),
  applied('has no name', () => [['', 'x']]),
  refused('has a component of 300 bytes', () => [[`a/${'n'.repeat(300)}`, 'x']]),
  refused('has a name of 5000 bytes', () => [['d/'.repeat(2_500) + 'f', 'x']]),
  applied('has control and direction marks in its name', () => [['a\u202e\u0007\nb', 'x']]),
  refusedRaw('has a NUL in its extended name', () => withPax('path', 'a\0/../../escaped')),

  // Symbolic links
  applied('replaces a link instead of writing through it', (outside) => [
    symlink('out', `${outside}/canary`),
    ['out', 'harm'],
  ]),
  refused('writes through a linked folder', (outside) => [symlink('out', outside), ['out/escaped', 'x']]),
  applied('writes through a link that climbs', () => [
    symlink('up', '../../../../../../../..'),
    ['up/escaped-inside', 'x'],
  ]),
  refused('writes through a chain of links', (outside) => [
    symlink('a', 'b'),
    symlink('b', outside),
    ['a/escaped', 'x'],
  ]),
  refused('writes through a link to itself', () => [symlink('a', 'a'), ['a/x', 'x']]),
  refused('writes through a loop of links', () => [symlink('a', 'b'), symlink('b', 'a'), ['a/x', 'x']]),
  refused('swaps a folder for a link', (outside) => [
    [folder('d/')],
    ['d/y', 'y'],
    symlink('d', outside),
    ['d/escaped', 'x'],
  ]),
  applied('swaps a link for a folder', (outside) => [symlink('d', outside), [folder('d/')], ['d/x', 'x']]),
  applied('changes the mode of what a link means', (outside) => [
    symlink('m', `${outside}/canary`),
    [{ name: 'm', mode: 0o777 }, 'x'],
  ]),
  refused('makes a folder below a link', (outside) => [symlink('out', outside), [folder('out/escaped/')]]),
  applied('links with an empty target', () => [[{ name: 'l', type: 'symlink', linkName: 'x' }]]),

  // Hard links
  refused('links a file of the host', (outside) => [hardlink('h', `${outside}/canary`), ['h', 'harm']]),
  refused('links a file of the host by climbing', (outside) => [
    hardlink('h', `../../../../../../../..${outside}/canary`),
  ]),
  refused('links a file through a link', (outside) => [symlink('out', outside), hardlink('h', 'out/canary')]),
  refused('links what is not there', () => [hardlink('h', 'nowhere')]),
  refused('links a folder', () => [[folder('d/')], hardlink('h', 'd')]),
  refused('links itself', () => [hardlink('h', 'h')]),

  // Whiteouts
  refused('hides a file of the host', (outside) => [[`../../../../../../../..${outside}/.wh.canary`, '']]),
  refused('hides through a link', (outside) => [symlink('out', outside), ['out/.wh.canary', '']]),
  refused('makes a linked folder opaque', (outside) => [symlink('out', outside), ['out/.wh..wh..opq', '']]),
  refused('hides its own folder', () => [[folder('d/')], ['d/.wh..', '']]),
  refused('hides the folder above', () => [[folder('d/')], ['d/.wh...', '']]),
  refused('hides nothing', () => [['d/.wh.', '']]),

  // Other kinds
  applied('brings a disk', () => [[{ name: 'sda', type: 'block-device', device: { major: 8, minor: 0 } }]]),
  applied('brings the memory', () => [[{ name: 'mem', type: 'character-device', device: { major: 1, minor: 1 } }]]),
  applied('writes to its own pipe', () => [[{ name: 'p', type: 'fifo' }], ['p', 'x']]),
  applied('writes to its own device', () => [
    [{ name: 'full', type: 'character-device', device: { major: 1, minor: 7 } }],
    ['full', 'x'],
  ]),
  applied('brings a program that runs as root', () => [[{ name: 'su', mode: 0o6777 }, 'x']]),
  refused('turns a file into a folder', () => [
    ['f', 'x'],
    ['f/x', 'x'],
  ]),
  refusedRaw('brings a file of an unknown kind', () => raw({ name: 'z' }, 'x', (header) => header.write('Z', 156))),
  refusedRaw('brings a sparse file of the old kind', () => raw({ name: 's' }, 'x', (header) => header.write('S', 156))),

  // Numbers
  refusedRaw('has a negative size', () => raw({ name: 'n' }, 'x', (header) => header.fill(0xff, 124, 136))),
  refusedRaw('has a size that nothing can have', () =>
    raw({ name: 'n' }, 'x', (header) => {
      header.fill(0x7f, 124, 136);
      header[124] = 0x80;
    }),
  ),
  refusedRaw('ends inside a file', () => raw({ name: 'n' }, 'x'.repeat(5_000)).subarray(0, 2_000)),
  refusedRaw('ends inside a header', () => raw({ name: 'n' }, 'x').subarray(0, 300)),
  refusedRaw('has a wrong checksum', () => {
    const bytes = raw({ name: 'n' }, 'x');
    bytes[0] = 0x41;
    return bytes;
  }),
  refusedRaw('is no tar at all', () => Buffer.alloc(4_096, 7)),
  refusedRaw('has an extended header of 3 MB', () => withPax('comment', 'x'.repeat(3_000_000))),
  refusedRaw('has an extended record without a length', () => paxOf('path=x\n')),
  refusedRaw('has an extended record that is longer than its header', () => paxOf('999 path=x\n')),
  refusedRaw('has a size in its extended header that is no number', () => withPax('size', '-1')),

  // Attributes
  appliedRaw('makes a folder show another by its attribute', () =>
    withPax('SCHILY.xattr.trusted.overlay.redirect', '/etc'),
  ),
  appliedRaw('makes a folder opaque by its attribute', () => withPax('SCHILY.xattr.trusted.overlay.opaque', 'y')),

  // Compression
  refusedRaw('is followed by garbage', () => Buffer.concat([raw({ name: 'g' }, 'x'), Buffer.alloc(1_024, 5)])),
  refusedRaw('is compressed and cut', () => gzipSync(raw({ name: 'g' }, 'x'.repeat(9_999))).subarray(0, 60)),
  refusedRaw('is compressed twice', () => gzipSync(gzipSync(raw({ name: 'g' }, 'x')))),
  refusedRaw('is compressed by xz and cut', () => Buffer.from('fd377a585a000004e6d6b446', 'hex')),
  refusedRaw('is compressed by xz, which names a dictionary of 4 GiB', () =>
    Buffer.from('fd377a585a000004e6d6b4460200210128000000e6a011b3', 'hex'),
  ),
];

function applied(name: string, pieces: (outside: string) => readonly Piece[]): HostileTar {
  return { name, outcome: 'applied', make: (outside) => archiveOf(pieces(outside)) };
}

function refused(name: string, pieces: (outside: string) => readonly Piece[]): HostileTar {
  return { name, outcome: 'refused', make: (outside) => archiveOf(pieces(outside)) };
}

function refusedRaw(name: string, make: () => Buffer): HostileTar {
  return { name, outcome: 'refused', make };
}

function appliedRaw(name: string, make: () => Buffer): HostileTar {
  return { name, outcome: 'applied', make };
}

function archiveOf(pieces: readonly Piece[]): Buffer {
  const parts = pieces.flatMap(([entry, content]) => {
    const given = typeof entry === 'string' ? { name: entry } : entry;
    const bytes = Buffer.from(content ?? '');
    return [
      tarHeader({ type: 'file', mode: 0o644, sizeBytes: bytes.length, ...given }),
      bytes,
      tarPadding(bytes.length),
    ];
  });
  return Buffer.concat([...parts, TAR_END]);
}

const folder = (name: string) => ({ name, type: 'directory', mode: 0o755 }) as const;
const symlink = (name: string, linkName: string): Piece => [{ name, type: 'symlink', linkName }];
const hardlink = (name: string, linkName: string): Piece => [{ name, type: 'link', linkName }];

/** One entry whose header is spoilt, with a checksum that fits all the same. */
function raw(entry: { name: string }, content: string, spoil: (header: Buffer) => unknown = () => undefined): Buffer {
  const header = tarHeader({ type: 'file', mode: 0o644, sizeBytes: Buffer.byteLength(content), ...entry });
  spoil(header);
  sign(header);
  return Buffer.concat([header, Buffer.from(content), tarPadding(Buffer.byteLength(content)), TAR_END]);
}

function sign(header: Buffer): void {
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
}

function withPax(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (rest + String(length).length !== length) length += 1;
  return paxOf(`${length} ${key}=${value}\n`);
}

function paxOf(records: string): Buffer {
  const body = Buffer.from(records);
  const header = tarHeader({ name: 'PaxHeader', type: 'file', mode: 0o644, sizeBytes: body.length });
  header.write('x', 156);
  sign(header);
  return Buffer.concat([header, body, tarPadding(body.length), archiveOf([[folder('after/')], ['after/x', 'x']])]);
}
