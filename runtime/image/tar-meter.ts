// Counts what a tar stream holds without keeping any of it: entries, and bytes of regular files (the image's size).
// Notes the folders that a layer marks as opaque: overlayfs keeps that in an attribute which Node can not read.
// Bounds: entries and the length of extended headers; a stream that is not tar is refused at its first header.
import { fail } from '../../base/errors.ts';

const BLOCK = 512;
const ENTRIES_MAX = 2_000_000;
const EXTENDED_HEADER_MAX = 1024 * 1024;
const OPAQUE = '.wh..wh..opq';
const OPAQUE_MAX = 10_000;
const REGULAR = new Set(['0', '\0', '7']);

export class TarMeter {
  contentBytes = 0;
  entries = 0;
  readonly opaqueFolders: string[] = [];
  #header = Buffer.alloc(BLOCK);
  #headerLength = 0;
  #skip = 0;
  #extended: Buffer[] | undefined; // body of a PAX header that is being read
  #extendedLeft = 0;
  #extendedIsName = false; // GNU's long name instead of PAX records
  #sizeOfNext: number | undefined;
  #nameOfNext: string | undefined;

  write(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#extendedLeft > 0) at += this.#takeExtended(chunk.subarray(at));
      else if (this.#skip > 0) {
        const step = Math.min(this.#skip, chunk.length - at);
        this.#skip -= step;
        at += step;
      } else at += this.#takeHeader(chunk.subarray(at));
    }
  }

  end(): void {
    if (this.#skip > 0 || this.#extendedLeft > 0 || this.#headerLength > 0) fail('invalid', 'unexpected EOF');
  }

  #takeHeader(chunk: Buffer): number {
    const step = Math.min(BLOCK - this.#headerLength, chunk.length);
    chunk.copy(this.#header, this.#headerLength, 0, step);
    this.#headerLength += step;
    if (this.#headerLength === BLOCK) {
      this.#headerLength = 0;
      this.#readHeader(this.#header);
    }
    return step;
  }

  #readHeader(header: Buffer): void {
    if (header.every((byte) => byte === 0)) return; // end marker, or padding after it
    if (!checksumFits(header)) fail('invalid', 'archive/tar: invalid tar header');
    if (++this.entries > ENTRIES_MAX) fail('invalid', `the archive has more than ${ENTRIES_MAX} entries`);
    const type = String.fromCharCode(header[156] ?? 0);
    const size = numberAt(header, 124, 12);
    if (type === 'x' || type === 'L') return this.#startExtended(size, type === 'L');
    const actual = this.#sizeOfNext ?? size;
    if (type !== 'K' && type !== 'g') {
      this.#noteOpaque(this.#nameOfNext ?? nameAt(header));
      this.#sizeOfNext = undefined;
      this.#nameOfNext = undefined;
    }
    if (REGULAR.has(type)) this.contentBytes += actual;
    this.#skip = hasBody(type) ? padded(actual) : 0;
  }

  #noteOpaque(name: string): void {
    if (!name.endsWith(OPAQUE)) return;
    if (this.opaqueFolders.length >= OPAQUE_MAX) fail('invalid', `a layer has more than ${OPAQUE_MAX} opaque folders`);
    const parts = name.slice(0, -OPAQUE.length).split('/');
    this.opaqueFolders.push(parts.filter((part) => part !== '' && part !== '.').join('/'));
  }

  #startExtended(size: number, isName: boolean): void {
    this.#extendedIsName = isName;
    if (size > EXTENDED_HEADER_MAX) fail('invalid', 'archive/tar: extended header is too long');
    this.#extended = [];
    this.#extendedLeft = padded(size);
  }

  #readExtended(bytes: Buffer): void {
    if (this.#extendedIsName) {
      this.#nameOfNext = bytes.toString('utf8').replace(/\0.*$/s, '');
      return;
    }
    for (const [key, value] of recordsOf(bytes)) {
      if (key === 'size' && /^\d+$/.test(value)) this.#sizeOfNext = Number(value);
      if (key === 'path') this.#nameOfNext = value;
    }
  }

  #takeExtended(chunk: Buffer): number {
    const part = chunk.subarray(0, this.#extendedLeft);
    this.#extended?.push(Buffer.from(part));
    this.#extendedLeft -= part.length;
    if (this.#extendedLeft === 0) {
      this.#readExtended(Buffer.concat(this.#extended ?? []));
      this.#extended = undefined;
    }
    return part.length;
  }
}

/**
 * "LENGTH KEY=VALUE\n", where LENGTH counts all of it: a value may hold what looks like a record, and the helper, which reads
 * by length, must not see other files than are counted here. What is no record is the helper's to refuse.
 */
function* recordsOf(bytes: Buffer): Generator<readonly [key: string, value: string]> {
  for (let at = 0; at < bytes.length; ) {
    const digits = /^\d{1,7} /.exec(bytes.toString('latin1', at, at + 8))?.[0] ?? '';
    const end = at + Number(digits);
    const equals = bytes.indexOf('=', at);
    if (digits === '' || equals < at + digits.length || equals >= end || bytes[end - 1] !== 0x0a) return;
    yield [bytes.toString('utf8', at + digits.length, equals), bytes.toString('utf8', equals + 1, end - 1)];
    at = end;
  }
}

const nameAt = (header: Buffer): string => {
  const text = (start: number, length: number): string =>
    header.toString('utf8', start, start + length).replace(/\0.*$/s, '');
  const prefix = header.toString('latin1', 257, 263) === 'ustar\0' ? text(345, 155) : '';
  return prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`;
};

const padded = (size: number): number => Math.ceil(size / BLOCK) * BLOCK;

/** Links, devices, folders and pipes have no body, whatever their size field says. */
const hasBody = (type: string): boolean => !/[1-6]/.test(type);

function checksumFits(header: Buffer): boolean {
  let sum = 0;
  for (let index = 0; index < BLOCK; index += 1) sum += index >= 148 && index < 156 ? 32 : (header[index] ?? 0);
  return sum === numberAt(header, 148, 8);
}

/** Octal text, or base-256 when the first bit is set. */
function numberAt(header: Buffer, offset: number, length: number): number {
  const first = header[offset] ?? 0;
  if (first & 0x80) {
    let value = first & 0x7f;
    for (let index = 1; index < length; index += 1) value = value * 256 + (header[offset + index] ?? 0);
    return Number.isSafeInteger(value) ? value : fail('invalid', 'archive/tar: invalid tar header');
  }
  const text = header
    .toString('latin1', offset, offset + length)
    .replace(/\0.*$/s, '')
    .trim();
  return text === '' ? 0 : /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : -1;
}
