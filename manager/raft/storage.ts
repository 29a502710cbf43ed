// A member's directory: the file that names its format, the data key, the log and the snapshots; and the order in which
// they are written. Opened by one process at a time, which the daemon's lock on its data root sees to.
import type { Disk } from '../../base/disk.ts';
import { fail } from '../../base/errors.ts';
import { Mutex } from '../../base/mutex.ts';
import { asInteger, asObject, asString, parseJson } from '../../base/parse.ts';
import type { Random } from '../../base/random.ts';
import type { SnapshotChunk } from './contract.ts';
import { encodeChange } from './core/membership.ts';
import type { InitialState, MemberId, SnapshotMeta, Write } from './core/types.ts';
import type { LogRecord } from './records.ts';
import { KeyRing, newKeyRing, type NodeKeys, readKeyRing, writeKeyRing } from './data-keys.ts';
import { newDataKey } from './seal.ts';
import { replaceFile } from './small-file.ts';
import {
  type OpenedSnapshot,
  readSnapshot,
  SNAPSHOT_DIRECTORY,
  snapshotName,
  SnapshotWriter,
} from './snapshot-file.ts';
import { LOG_DIRECTORY, type LogDeps, type RecoveredLog, WriteAheadLog } from './write-ahead-log.ts';

export const FORMAT_FILE = 'format';
const OWNER_FILE = 'owner';
/** 2: the data keys may be sealed with a key of the node. */
const FORMAT_VERSION = 2;
const SEGMENT_BYTES_MAX = 16 * 1024 * 1024;

export interface StorageDeps {
  readonly disk: Disk;
  readonly random: Random;
  readonly clusterId: string;
  readonly nodeId: MemberId;
  readonly segmentBytesMax?: number;
  /** What the data keys are sealed with, the present one first; none: they lie open in a file of the owner's. */
  readonly nodeKeys?: NodeKeys | undefined;
  readonly space?: LogDeps['space'];
}

type Opened = StorageDeps & { readonly keys: KeyRing };

export class Storage {
  readonly #deps: Opened;
  readonly #log: WriteAheadLog;
  readonly #staged = new Map<string, SnapshotWriter>();
  #current: SnapshotMeta | undefined;
  #attempts = 0;
  readonly #mutex = new Mutex();
  #nodeKeys: NodeKeys;
  #owner: Owner;

  /** An empty directory for a first member (with its own membership as first entry) or one that is about to join. */
  static async create(deps: StorageDeps, first: { raftAddress: string } | undefined): Promise<void> {
    const files = await deps.disk.list('.');
    if (files.includes(FORMAT_FILE)) {
      fail('conflict', 'the directory already holds the consensus log of a cluster; leave that cluster first');
    }
    // Without the format file nothing here was ever vouched for: what is left of an attempt that a crash ended may go.
    for (const name of files.filter((file) => file.startsWith('data-key'))) await deps.disk.remove(name);
    for (const name of await deps.disk.list(LOG_DIRECTORY)) await deps.disk.remove(`${LOG_DIRECTORY}/${name}`);
    const keys = newKeyRing(deps.random);
    await writeKeyRing(deps.disk, keys, { ...deps, nodeKeys: deps.nodeKeys ?? [] });
    // Another one for each log ever made, so that one that was lost and begun anew is known as such.
    await writeOwner(deps, { epoch: 0, logId: Buffer.from(keys.current.id).toString('hex') });
    const { log } = await WriteAheadLog.open(logDeps({ ...deps, keys }));
    if (first) await log.append(bootstrapRecords(deps.nodeId, first.raftAddress));
    await log.close();
    await deps.disk.makeDirectory(SNAPSHOT_DIRECTORY);
    await replaceFile(deps.disk, FORMAT_FILE, `${FORMAT_VERSION}\n`);
  }

  /** What a directory holds, made ready for going on. */
  static async open(deps: StorageDeps): Promise<{ storage: Storage; initial: InitialState; recovered: RecoveredLog }> {
    await checkFormat(deps.disk);
    const owner = await checkOwner(deps);
    const nodeKeys = deps.nodeKeys ?? [];
    const { keys, isCurrent } = await readKeyRing(deps.disk, nodeKeys);
    if (!isCurrent) await sealAnew(deps, keys, nodeKeys);
    if ((await deps.disk.list(LOG_DIRECTORY)).length === 0) fail('internal', 'the consensus log is missing');
    const { log, recovered } = await WriteAheadLog.open(logDeps({ ...deps, keys }));
    try {
      const snapshot = recovered.snapshot && (await readSnapshot({ ...deps, keys }, recovered.snapshot)).meta;
      const storage = new Storage({ ...deps, keys }, log, { snapshot, owner });
      await storage.#removeOtherSnapshots();
      if (keys.all.length > 1) await storage.#finishRotation();
      const { base, entries, hardState } = recovered;
      return { storage, initial: { base, entries, hardState, snapshot }, recovered };
    } catch (error) {
      await log.abandon();
      throw error;
    }
  }

  private constructor(
    deps: Opened,
    log: WriteAheadLog,
    { snapshot, owner }: { snapshot: SnapshotMeta | undefined; owner: Owner },
  ) {
    this.#owner = owner;
    this.#deps = deps;
    this.#log = log;
    this.#current = snapshot;
    this.#nodeKeys = deps.nodeKeys ?? [];
  }

  /** Raised when a cluster begins anew without the majority that it had; 0 for one that never did. */
  get epoch(): number {
    return this.#owner.epoch;
  }

  /** Of this log and no other; '' for one of the first format. */
  get logId(): string {
    return this.#owner.logId;
  }

  setEpoch(epoch: number): Promise<void> {
    return this.#mutex.run(async () => {
      await writeOwner(this.#deps, { epoch, logId: this.#owner.logId });
      this.#owner = { ...this.#owner, epoch };
    });
  }

  get snapshot(): SnapshotMeta | undefined {
    return this.#current;
  }

  /** Makes what the core asks for durable. A snapshot in it must have been staged. */
  save(write: Write): Promise<void> {
    return this.#mutex.run(() => this.#save(write));
  }

  async #save(write: Write): Promise<void> {
    const records: LogRecord[] = [];
    const { snapshot } = write;
    if (snapshot) {
      await this.#publish(snapshot);
      records.push({ type: 'restore', index: snapshot.index, term: snapshot.term });
    }
    for (const entry of write.entries) records.push({ type: 'entry', entry });
    records.push({ type: 'hard-state', hardState: write.hardState });
    await this.#log.append(records);
    if (!snapshot) return;
    this.#current = snapshot;
    await this.#removeOtherSnapshots();
    await this.#log.forgetUpTo(snapshot.index);
    if (this.#deps.keys.all.length > 1) await this.#finishRotation();
  }

  /** Begins a snapshot that was received or is being made here; `stage` it when finished, or `discard` it. */
  beginSnapshot(meta: SnapshotMeta): Promise<SnapshotWriter> {
    this.#attempts += 1;
    return SnapshotWriter.create({ ...this.#deps }, meta, this.#attempts);
  }

  /** Keeps a finished snapshot at hand until the core has said whether it wants it. */
  async stage(writer: SnapshotWriter): Promise<void> {
    await this.unstage(writer.meta);
    this.#staged.set(snapshotName(writer.meta), writer);
  }

  async unstage(meta: SnapshotMeta): Promise<void> {
    const writer = this.#staged.get(snapshotName(meta));
    this.#staged.delete(snapshotName(meta));
    await writer?.discard();
  }

  /** Our own state at an applied index: published and marked. False if a newer one has come meanwhile. */
  publishOwn(writer: SnapshotWriter): Promise<boolean> {
    return this.#mutex.run(async () => {
      const { meta } = writer;
      if (this.#current && this.#current.index >= meta.index) {
        await writer.discard();
        return false;
      }
      await writer.publish();
      await this.#log.append([{ type: 'snapshot', index: meta.index, term: meta.term }]);
      this.#current = meta;
      await this.#removeOtherSnapshots();
      if (this.#deps.keys.all.length > 1) await this.#finishRotation();
      return true;
    });
  }

  /**
   * Seals the data keys with the first of `nodeKeys` from now on. With `rotate`, there is a new data key as well, and
   * log and snapshot are written anew with it. A crash in between is taken up by the next start.
   */
  rekey({ nodeKeys, rotate }: { nodeKeys: NodeKeys; rotate: boolean }): Promise<void> {
    return this.#mutex.run(async () => {
      const { keys, random } = this.#deps;
      const next = rotate ? new KeyRing([newDataKey(random), ...keys.all]) : keys;
      await sealAnew(this.#deps, next, nodeKeys);
      this.#nodeKeys = nodeKeys;
      keys.replace([next.current, ...next.all.slice(1)]);
      if (rotate) await this.#finishRotation();
    });
  }

  /** Log and snapshot are written anew with the current key where need be; then the former keys go. */
  async #finishRotation(): Promise<void> {
    const { keys } = this.#deps;
    if (!this.#log.isSealedWith(keys.current)) await this.#log.rewrite();
    const opened = await this.readCurrent();
    if (opened && Buffer.compare(opened.keyId, keys.current.id) !== 0) await this.#sealSnapshotAnew(opened);
    // A snapshot that is just being received or made was begun with a former key.
    const unfinished = (await this.#deps.disk.list(SNAPSHOT_DIRECTORY)).some((name) => name.endsWith('.tmp'));
    if (unfinished) return;
    const only = new KeyRing([keys.current]);
    await sealAnew(this.#deps, only, this.#nodeKeys);
    keys.replace([only.current]);
  }

  async #sealSnapshotAnew({ meta, chunks }: OpenedSnapshot): Promise<void> {
    const writer = await this.beginSnapshot(meta);
    try {
      for (const chunk of chunks) await writer.write(chunk);
      await writer.finish();
    } catch (error) {
      await writer.discard();
      throw error;
    }
    await writer.publish();
  }

  forgetUpTo(index: number): Promise<void> {
    return this.#log.forgetUpTo(index);
  }

  /** The current snapshot, verified. */
  async readCurrent(): Promise<OpenedSnapshot | undefined> {
    return this.#current && (await readSnapshot(this.#deps, this.#current));
  }

  async readChunks(meta: SnapshotMeta): Promise<readonly SnapshotChunk[]> {
    return (await readSnapshot(this.#deps, meta)).chunks;
  }

  close(): Promise<void> {
    return this.#mutex.run(async () => {
      for (const writer of this.#staged.values()) await writer.discard();
      await this.#log.close();
    });
  }

  async #publish(meta: SnapshotMeta): Promise<void> {
    const writer =
      this.#staged.get(snapshotName(meta)) ?? fail('internal', 'the snapshot to be installed was not received');
    this.#staged.delete(snapshotName(meta));
    await writer.publish();
  }

  async #removeOtherSnapshots(): Promise<void> {
    const current = this.#current && snapshotName(this.#current);
    for (const name of await this.#deps.disk.list(SNAPSHOT_DIRECTORY)) {
      const path = `${SNAPSHOT_DIRECTORY}/${name}`;
      // Temporary files may be snapshots being written, but not before the first was begun.
      const isFinished = path.endsWith('.snap') || this.#attempts === 0;
      if (isFinished && path !== current) await this.#deps.disk.remove(path);
    }
    await this.#deps.disk.syncDirectory(SNAPSHOT_DIRECTORY);
  }
}

function logDeps(deps: Opened) {
  return { ...deps, segmentBytesMax: deps.segmentBytesMax ?? SEGMENT_BYTES_MAX };
}

/** A cluster begins with one entry, already committed, that makes its first manager the only voter. */
function bootstrapRecords(id: MemberId, address: string): LogRecord[] {
  const bytes = encodeChange({ op: 'bootstrap', id, address });
  return [
    { type: 'entry', entry: { index: 1, term: 1, kind: 'membership', bytes } },
    { type: 'hard-state', hardState: { term: 1, vote: undefined, commit: 1 } },
  ];
}

/** Writes the keys; the directory is first marked as one that versions of the first format can not read. */
async function sealAnew(deps: StorageDeps, keys: KeyRing, nodeKeys: NodeKeys): Promise<void> {
  await replaceFile(deps.disk, FORMAT_FILE, `${FORMAT_VERSION}\n`);
  await writeKeyRing(deps.disk, keys, { ...deps, nodeKeys });
}

function writeOwner(
  { disk, clusterId, nodeId }: StorageDeps,
  { epoch, logId }: Pick<Owner, 'epoch' | 'logId'>,
): Promise<void> {
  return replaceFile(disk, OWNER_FILE, `${JSON.stringify({ clusterId, nodeId, epoch, logId })}\n`);
}

export interface Owner extends Pick<StorageDeps, 'clusterId' | 'nodeId'> {
  readonly epoch: number;
  readonly logId: string;
}

/** Which member of which cluster a directory belongs to. */
export async function readOwner(disk: Disk): Promise<Owner> {
  const bytes = await disk.read(OWNER_FILE);
  try {
    const json = asObject(parseJson(Buffer.from(bytes).toString('utf8'), OWNER_FILE), OWNER_FILE);
    return {
      clusterId: asString(json['clusterId'], 'clusterId'),
      nodeId: asString(json['nodeId'], 'nodeId'),
      epoch: asInteger(json['epoch'] ?? 0, 'epoch', { min: 0 }),
      logId: asString(json['logId'] ?? '', 'logId'),
    };
  } catch (cause) {
    return fail('internal', `the file that says whose the consensus log is (${OWNER_FILE}) is damaged`, { cause });
  }
}

async function checkOwner({ disk, clusterId, nodeId }: StorageDeps): Promise<Owner> {
  const owner = await readOwner(disk);
  if (owner.clusterId === clusterId && owner.nodeId === nodeId) return owner;
  return fail('conflict', `the consensus log is that of node ${owner.nodeId} in cluster ${owner.clusterId}`);
}

export async function checkFormat(disk: Disk): Promise<void> {
  if (!(await disk.list('.')).includes(FORMAT_FILE)) fail('not-found', 'the directory holds no consensus log');
  const version = Number(
    Buffer.from(await disk.read(FORMAT_FILE))
      .toString('utf8')
      .trim(),
  );
  if (!Number.isInteger(version) || version < 1)
    fail('internal', 'the format file of the consensus log holds no number');
  if (version > FORMAT_VERSION) {
    fail(
      'invalid',
      `the consensus log was written by a newer version (format ${version}; this one reads up to ${FORMAT_VERSION})`,
    );
  }
}
