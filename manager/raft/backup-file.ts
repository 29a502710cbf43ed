// A backup of the cluster's state: a line of JSON that says what it is, then the state as sealed, checksummed frames. The
// key of the frames is in the first line, sealed with the unlock key where managers lock themselves, open otherwise: the
// file is then as secret as a manager's disk.
import { createHash } from 'node:crypto';
import { fail } from '../../base/errors.ts';
import { asArray, asInteger, asObject, asString, type Json, parseJson } from '../../base/parse.ts';
import type { Random } from '../../base/random.ts';
import { openBox, parseSealedBox, sealBox } from '../../base/sealed-box.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import type { SnapshotChunk } from './contract.ts';
import { KeyRing } from './data-keys.ts';
import { type FileIdentity, FrameWriter, openFrames } from './frames.ts';
import { dataKeyOf, newDataKey, SALT_BYTES } from './seal.ts';

export interface BackupMeta {
  readonly clusterId: string;
  readonly index: number;
  readonly term: number;
  readonly epoch: number;
  readonly members: readonly string[];
  readonly createdAtMs: number;
}

const KIND = 'shoal swarm backup';
const FORMAT = 1;
const PURPOSE = 'backup';
const HEADER_BYTES_MAX = 64 * 1024;
const identityOf = ({ clusterId, index }: Pick<BackupMeta, 'clusterId' | 'index'>): FileIdentity => ({
  magic: 'SHOALBAK',
  number: index,
  owner: `${clusterId}/backup`,
});

export async function* writeBackup(
  meta: BackupMeta,
  chunks: AsyncIterable<SnapshotChunk>,
  { unlockKey, random }: { unlockKey: Uint8Array | undefined; random: Random },
): AsyncGenerator<Uint8Array> {
  const key = newDataKey(random);
  const stored = unlockKey
    ? { sealedKey: sealBox(unlockKey, PURPOSE, key.bytes, random) }
    : { key: Buffer.from(key.bytes).toString('base64') };
  yield Buffer.from(`${JSON.stringify({ kind: KIND, format: FORMAT, ...meta, ...stored })}\n`);
  const frames = new FrameWriter(key, identityOf(meta), { flags: 0, salt: random.bytes(SALT_BYTES) });
  yield frames.header;
  const digest = createHash('sha256');
  let count = 0;
  for await (const { kind, bytes } of chunks) {
    count += 1;
    digest.update(kind).update('\0').update(bytes);
    yield frames.frame(new ByteWriter(bytes.length + kind.length + 8).text(kind).raw(bytes).take());
  }
  const end = { ...meta, count, sha256: digest.digest('hex') };
  yield frames.frame(Buffer.from(JSON.stringify(end)));
}

export interface OpenedBackup {
  readonly meta: BackupMeta;
  readonly chunks: readonly SnapshotChunk[];
}

/** Checks every byte. `unauthenticated`: it wants the unlock key, or another one. */
export function readBackup(file: Uint8Array, unlockKey: Uint8Array | undefined): OpenedBackup {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const end = bytes.subarray(0, HEADER_BYTES_MAX).indexOf(0x0a);
  if (end < 0) fail('invalid', 'this is not a backup of a swarm');
  const json = headerOf(bytes.subarray(0, end).toString('utf8'));
  const keys = new KeyRing([dataKeyOf(keyOf(json, unlockKey))]);
  const stated = metaOf(json);
  const { frames, torn } = openFrames(bytes.subarray(end + 1), keys, identityOf(stated), 'the backup');
  const last = frames.at(-1);
  if (torn || !last) fail('invalid', 'the backup is damaged: it is not complete');
  // The sealed copy counts: the first line could have been changed.
  const sealed = asObject(parseJson(last.plain.toString('utf8'), 'the end of the backup'), 'the end of the backup');
  const chunks = frames.slice(0, -1).map(({ plain }) => chunkOf(plain));
  const digest = createHash('sha256');
  for (const { kind, bytes: content } of chunks) digest.update(kind).update('\0').update(content);
  if (sealed['count'] !== chunks.length || sealed['sha256'] !== digest.digest('hex'))
    fail('invalid', 'the backup is damaged: its digest is wrong');
  return { meta: metaOf(sealed), chunks };
}

function headerOf(line: string): Json {
  let json: Json;
  try {
    json = asObject(parseJson(line, 'the first line'), 'the first line');
  } catch (cause) {
    return fail('invalid', 'this is not a backup of a swarm', { cause });
  }
  if (json['kind'] !== KIND) fail('invalid', 'this is not a backup of a swarm');
  if (json['format'] !== FORMAT)
    fail('invalid', `the backup has format ${String(json['format'])}; this version reads ${FORMAT}`);
  return json;
}

function keyOf(json: Json, unlockKey: Uint8Array | undefined): Uint8Array {
  if (json['sealedKey'] === undefined) return Buffer.from(asString(json['key'], 'key'), 'base64');
  if (!unlockKey) fail('unauthenticated', 'the backup is sealed: it opens with the unlock key that the swarm had then');
  try {
    return openBox(unlockKey, PURPOSE, parseSealedBox(json['sealedKey'], 'sealedKey'));
  } catch {
    return fail('unauthenticated', 'the backup could not be opened: invalid key provided');
  }
}

function metaOf(json: Json): BackupMeta {
  return {
    clusterId: asString(json['clusterId'], 'clusterId'),
    index: asInteger(json['index'], 'index', { min: 0 }),
    term: asInteger(json['term'], 'term', { min: 0 }),
    epoch: asInteger(json['epoch'], 'epoch', { min: 0 }),
    members: asArray(json['members'], 'members', asString),
    createdAtMs: asInteger(json['createdAtMs'], 'createdAtMs', { min: 0 }),
  };
}

function chunkOf(plain: Buffer): SnapshotChunk {
  const reader = new ByteReader(plain);
  return { kind: reader.text(), bytes: reader.raw(reader.left) };
}
