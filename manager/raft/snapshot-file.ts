// Snapshots on disk: a sealed file of (kind, bytes) chunks between a first chunk that says what it is and a last one that
// counts and digests the rest. A snapshot is written under a temporary name and gets its real one when it is durable.
import { createHash, type Hash } from 'node:crypto';
import type { Disk, DiskFile } from '../../base/disk.ts';
import { CodedError, fail } from '../../base/errors.ts';
import { asArray, asBoolean, asInteger, asObject, asString, parseJson } from '../../base/parse.ts';
import type { Random } from '../../base/random.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import type { SnapshotChunk } from './contract.ts';
import type { Membership } from './core/membership.ts';
import type { SnapshotMeta } from './core/types.ts';
import { FrameWriter, openFrames } from './frames.ts';
import type { KeyRing } from './data-keys.ts';
import { SALT_BYTES } from './seal.ts';

export const SNAPSHOT_DIRECTORY = 'snapshots';
const META_KIND = 'shoal.snapshot.meta';
const END_KIND = 'shoal.snapshot.end';

export interface SnapshotDeps {
  readonly disk: Disk;
  readonly keys: KeyRing;
  readonly random: Random;
  readonly clusterId: string;
  readonly nodeId: string;
}

type Position = Pick<SnapshotMeta, 'index' | 'term'>;
const digits = (number: number): string => String(number).padStart(16, '0');
export const snapshotName = ({ index, term }: Position): string =>
  `${SNAPSHOT_DIRECTORY}/${digits(term)}-${digits(index)}.snap`;
const identityOf = (deps: Pick<SnapshotDeps, 'clusterId' | 'nodeId'>, { index, term }: Position) =>
  ({ magic: 'SHOALSNP', number: index, owner: `${deps.clusterId}/${deps.nodeId}/snapshot/${term}` }) as const;

/** A snapshot being written. Nothing sees it before `publish`. */
export class SnapshotWriter {
  readonly #deps: SnapshotDeps;
  readonly #meta: SnapshotMeta;
  readonly #file: DiskFile;
  readonly #frames: FrameWriter;
  readonly #temporary: string;
  readonly #digest: Hash = createHash('sha256');
  #chunks = 0;

  static async create(deps: SnapshotDeps, meta: SnapshotMeta, attempt: number): Promise<SnapshotWriter> {
    const salt = deps.random.bytes(SALT_BYTES);
    const frames = new FrameWriter(deps.keys.current, identityOf(deps, meta), { flags: 0, salt });
    const temporary = `${snapshotName(meta)}.${attempt}.tmp`;
    const file = await deps.disk.create(temporary);
    const writer = new SnapshotWriter(deps, meta, { file, frames, temporary });
    await file.append(frames.header);
    await writer.#append({ kind: META_KIND, bytes: Buffer.from(JSON.stringify(meta)) });
    return writer;
  }

  private constructor(
    deps: SnapshotDeps,
    meta: SnapshotMeta,
    made: { file: DiskFile; frames: FrameWriter; temporary: string },
  ) {
    this.#deps = deps;
    this.#meta = meta;
    this.#file = made.file;
    this.#frames = made.frames;
    this.#temporary = made.temporary;
  }

  get meta(): SnapshotMeta {
    return this.#meta;
  }

  async write(chunk: SnapshotChunk): Promise<void> {
    this.#chunks += 1;
    this.#digest.update(chunk.kind).update('\0').update(chunk.bytes);
    await this.#append(chunk);
  }

  /** All chunks are written: makes the content durable and reads it back. */
  async finish(): Promise<void> {
    const end = { chunks: this.#chunks, sha256: this.#digest.digest('hex') };
    await this.#append({ kind: END_KIND, bytes: Buffer.from(JSON.stringify(end)) });
    await this.#file.sync();
    await this.#file.close();
    openSnapshot(await this.#deps.disk.read(this.#temporary), this.#deps, this.#meta, this.#temporary);
  }

  /** Gives the finished snapshot its name, durably. */
  async publish(): Promise<void> {
    await this.#deps.disk.rename(this.#temporary, snapshotName(this.#meta));
    await this.#deps.disk.syncDirectory(SNAPSHOT_DIRECTORY);
  }

  /** Gives it up, finished or not. */
  async discard(): Promise<void> {
    await this.#file.close().catch(() => undefined); // it may be closed already
    await this.#deps.disk.remove(this.#temporary);
  }

  async #append(chunk: SnapshotChunk): Promise<void> {
    const plain = new ByteWriter(chunk.bytes.length + chunk.kind.length + 8).text(chunk.kind).raw(chunk.bytes).take();
    await this.#file.append(this.#frames.frame(plain));
  }
}

export interface OpenedSnapshot {
  readonly meta: SnapshotMeta;
  readonly chunks: readonly SnapshotChunk[];
  /** Of the data key that it is sealed with. */
  readonly keyId: Uint8Array;
}

/** Reads a published snapshot and checks every byte of it. */
export async function readSnapshot(deps: Omit<SnapshotDeps, 'random'>, at: Position): Promise<OpenedSnapshot> {
  let file: Uint8Array;
  try {
    file = await deps.disk.read(snapshotName(at));
  } catch (cause) {
    throw new CodedError('internal', `reading the snapshot ${snapshotName(at)} that the log builds on`, { cause });
  }
  return openSnapshot(file, deps, at, snapshotName(at));
}

function openSnapshot(
  file: Uint8Array,
  deps: Pick<SnapshotDeps, 'keys' | 'clusterId' | 'nodeId'>,
  at: Position,
  name: string,
): OpenedSnapshot {
  const opened = openFrames(file, deps.keys, identityOf(deps, at), name);
  const all = opened.frames.map(({ plain }) => chunkOf(plain));
  const [first, last] = [all[0], all.at(-1)];
  if (opened.torn || first?.kind !== META_KIND || last?.kind !== END_KIND) {
    fail('internal', `the snapshot ${name} is damaged: it is not complete`);
  }
  const chunks = all.slice(1, -1);
  const digest = createHash('sha256');
  for (const { kind, bytes } of chunks) digest.update(kind).update('\0').update(bytes);
  const end = asObject(parseJson(Buffer.from(last.bytes).toString('utf8'), name), name);
  if (end['chunks'] !== chunks.length || end['sha256'] !== digest.digest('hex')) {
    fail('internal', `the snapshot ${name} is damaged: its digest is wrong`);
  }
  const meta = parseSnapshotMeta(parseJson(Buffer.from(first.bytes).toString('utf8'), name), name);
  if (meta.index !== at.index || meta.term !== at.term)
    fail('internal', `the snapshot ${name} is that of another index`);
  return { meta, chunks, keyId: opened.keyId };
}

function chunkOf(plain: Buffer): SnapshotChunk {
  const reader = new ByteReader(plain);
  return { kind: reader.text(), bytes: reader.raw(reader.left) };
}

export function parseSnapshotMeta(value: unknown, path: string): SnapshotMeta {
  const json = asObject(value, path);
  return {
    index: asInteger(json['index'], `${path}.index`, { min: 1 }),
    term: asInteger(json['term'], `${path}.term`, { min: 0 }),
    membership: parseMembership(json['membership'], `${path}.membership`),
  };
}

export function parseMembership(value: unknown, path: string): Membership {
  const json = asObject(value, path);
  return {
    members: asArray(json['members'], `${path}.members`, (item, at) => {
      const member = asObject(item, at);
      return {
        id: asString(member['id'], `${at}.id`),
        address: asString(member['address'], `${at}.address`),
        learner: asBoolean(member['learner'], `${at}.learner`),
      };
    }),
    removed: asArray(json['removed'], `${path}.removed`, (item, at) => asString(item, at)),
    ...outgoingOf(json['outgoing'], `${path}.outgoing`),
  };
}

/** Only there while one member replaces another. */
function outgoingOf(value: unknown, path: string): Pick<Membership, 'outgoing'> {
  const ids = value === undefined ? [] : asArray(value, path, (item, at) => asString(item, at));
  return ids.length > 0 ? { outgoing: ids } : {};
}
