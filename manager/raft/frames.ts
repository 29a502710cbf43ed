// Files of sealed, numbered, checksummed frames: what log segments and snapshots have in common.
// header: magic 8 · format u8 · checksum u8 · seal u8 · flags u8 · number u64 · salt 32 · key id 8 · crc u32
// frame:  magic u32 · sealed length u32 · number u64 · durable up to u64 · crc u32 · sealed bytes
import { crc32 } from 'node:zlib';
import { fail } from '../../base/errors.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import type { KeyRing } from './data-keys.ts';
import { type DataKey, KEY_ID_BYTES, SALT_BYTES, SEAL_AES_256_GCM, type Seal, sealFor } from './seal.ts';

const FILE_FORMAT = 1;
const CHECKSUM_CRC32 = 1;
const HEADER_BYTES = 8 + 4 + 8 + SALT_BYTES + KEY_ID_BYTES + 4;
const FRAME_MAGIC = Buffer.from('Sfr1', 'latin1');
const FRAME_HEADER_BYTES = 4 + 4 + 8 + 8 + 4;

export interface FileIdentity {
  readonly magic: 'SHOALWAL' | 'SHOALSNP' | 'SHOALBAK';
  readonly number: number;
  /** Cluster, node and kind of file: sealed with every frame, so that files can not be swapped between them. */
  readonly owner: string;
}

export interface FileHeader {
  readonly flags: number;
  readonly salt: Uint8Array;
}

export class FrameWriter {
  readonly header: Buffer;
  readonly #seal: Seal;
  readonly #owner: Buffer;
  #number = 0;

  constructor(key: DataKey, identity: FileIdentity, header: FileHeader) {
    this.#owner = Buffer.from(identity.owner);
    this.#seal = sealFor(key, { salt: header.salt, purpose: `shoal ${identity.magic}` });
    const head = new ByteWriter(HEADER_BYTES)
      .raw(Buffer.from(identity.magic, 'latin1'))
      .u8(FILE_FORMAT)
      .u8(CHECKSUM_CRC32)
      .u8(SEAL_AES_256_GCM)
      .u8(header.flags)
      .u64(identity.number)
      .raw(header.salt)
      .raw(key.id);
    this.header = head.u32(crc32(head.take())).take();
  }

  /** The next frame. All frames before it are durable by the time it is written. */
  frame(plain: Uint8Array): Buffer {
    this.#number += 1;
    const number = this.#number;
    const sealed = this.#seal.seal(number, contextOf(this.#owner, number), plain);
    const head = frameHead(sealed.length, number);
    return Buffer.concat([head, new ByteWriter(4).u32(crc32(sealed, crc32(head))).take(), sealed]);
  }
}

function frameHead(length: number, number: number): Buffer {
  return new ByteWriter(FRAME_HEADER_BYTES)
    .raw(FRAME_MAGIC)
    .u32(length)
    .u64(number)
    .u64(number - 1)
    .take();
}

function contextOf(owner: Buffer, number: number): Buffer {
  return Buffer.concat([new ByteWriter(8).u64(number).take(), owner]);
}

export interface OpenedFrame {
  readonly number: number;
  readonly offset: number;
  readonly plain: Buffer;
}

export interface OpenedFile {
  readonly flags: number;
  /** Of the data key that it is sealed with. */
  readonly keyId: Uint8Array;
  readonly frames: readonly OpenedFrame[];
  /** Where the valid frames end. */
  readonly end: number;
  /** The file goes on after `end` with something that is not a frame, and nothing shows that it ever was a durable one. */
  readonly torn: boolean;
}

/** Reads a file of frames. Damage to something that was durable throws and names the place. */
export function openFrames(file: Uint8Array, keys: KeyRing, identity: FileIdentity, name: string): OpenedFile {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const header = openHeader(bytes, keys, identity, name);
  const seal = sealFor(header.key, { salt: header.salt, purpose: `shoal ${identity.magic}` });
  const owner = Buffer.from(identity.owner);
  const frames: OpenedFrame[] = [];
  let offset = HEADER_BYTES;
  while (offset < bytes.length) {
    const number = frames.length + 1;
    const sealed = sealedAt(bytes, offset, number);
    if (!sealed) break;
    frames.push({ number, offset, plain: unseal(seal, owner, sealed, number, `${name} at byte ${offset}`) });
    offset += FRAME_HEADER_BYTES + sealed.length;
  }
  const torn = offset < bytes.length;
  if (torn) refuseIfDamaged(bytes, offset, frames.length + 1, name);
  return { flags: header.flags, keyId: header.key.id, frames, end: offset, torn };
}

function openHeader(bytes: Buffer, keys: KeyRing, identity: FileIdentity, name: string): FileHeader & { key: DataKey } {
  if (bytes.length < HEADER_BYTES) fail('internal', damaged(`${name}: its header is cut off`));
  const reader = new ByteReader(bytes);
  const magic = reader.raw(8).toString('latin1');
  if (magic !== identity.magic) fail('internal', damaged(`${name}: it does not begin with ${identity.magic}`));
  if (crc32(bytes.subarray(0, HEADER_BYTES - 4)) !== bytes.readUInt32BE(HEADER_BYTES - 4)) {
    fail('internal', damaged(`${name}: the checksum of its header is wrong`));
  }
  const [format, checksum, sealing, flags] = [reader.u8(), reader.u8(), reader.u8(), reader.u8()];
  if (format > FILE_FORMAT) fail('internal', `${name} has format ${format}; this version reads up to ${FILE_FORMAT}`);
  if (checksum !== CHECKSUM_CRC32)
    fail('internal', `${name} uses checksum ${checksum}, which this version does not know`);
  if (sealing !== SEAL_AES_256_GCM) fail('internal', `${name} uses seal ${sealing}, which this version does not know`);
  if (reader.u64() !== identity.number) fail('internal', damaged(`${name}: its number is not that of its name`));
  const salt = reader.raw(SALT_BYTES);
  const key = keys.byId(reader.raw(KEY_ID_BYTES)) ?? fail('internal', `${name} is sealed with another data key`);
  return { flags, salt, key };
}

/** The sealed bytes of the frame at `offset` if it is whole and has this number. */
function sealedAt(bytes: Buffer, offset: number, number: number): Buffer | undefined {
  if (bytes.length - offset < FRAME_HEADER_BYTES) return undefined;
  if (!bytes.subarray(offset, offset + 4).equals(FRAME_MAGIC)) return undefined;
  const length = bytes.readUInt32BE(offset + 4);
  const from = offset + FRAME_HEADER_BYTES;
  if (length > bytes.length - from) return undefined;
  const sealed = bytes.subarray(from, from + length);
  const head = bytes.subarray(offset, from - 4);
  if (crc32(sealed, crc32(head)) !== bytes.readUInt32BE(from - 4)) return undefined;
  return bytes.readUInt32BE(offset + 8) * 2 ** 32 + bytes.readUInt32BE(offset + 12) === number ? sealed : undefined;
}

function unseal(seal: Seal, owner: Buffer, sealed: Buffer, number: number, place: string): Buffer {
  try {
    return seal.open(number, contextOf(owner, number), sealed);
  } catch (cause) {
    return fail('internal', damaged(`${place}: the seal is broken`), { cause });
  }
}

/** A bad frame is a torn end unless a later whole frame says that it had been durable. */
function refuseIfDamaged(bytes: Buffer, offset: number, number: number, name: string): void {
  for (let at = bytes.indexOf(FRAME_MAGIC, offset + 1); at >= 0; at = bytes.indexOf(FRAME_MAGIC, at + 1)) {
    if (bytes.length - at < FRAME_HEADER_BYTES) return;
    const durableUpTo = bytes.readUInt32BE(at + 16) * 2 ** 32 + bytes.readUInt32BE(at + 20);
    const later = bytes.readUInt32BE(at + 8) * 2 ** 32 + bytes.readUInt32BE(at + 12);
    if (durableUpTo >= number && sealedAt(bytes, at, later)) {
      fail('internal', damaged(`${name} at byte ${offset}: a batch is unreadable although a later one is whole`));
    }
  }
}

function damaged(what: string): string {
  return `the consensus log is damaged: ${what}; remove this manager from the cluster and join it again`;
}
