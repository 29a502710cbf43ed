// Looking into a member's directory without changing it, while no daemon uses it: what it holds, and whether all of it is whole.
import type { Disk } from '../../base/disk.ts';
import type { Entry, HardState, SnapshotMeta } from './core/types.ts';
import { type NodeKeys, readKeyRing } from './data-keys.ts';
import { type OpenedSnapshot, readSnapshot } from './snapshot-file.ts';
import { checkFormat, readOwner } from './storage.ts';
import { LOG_DIRECTORY, readLog } from './write-ahead-log.ts';

export interface Inspection {
  readonly clusterId: string;
  readonly nodeId: string;
  readonly epoch: number;
  readonly segments: readonly string[];
  readonly hardState: HardState;
  readonly base: { readonly index: number; readonly term: number };
  readonly entries: readonly Entry[];
  readonly snapshot: SnapshotMeta | undefined;
  readonly snapshotChunks: readonly { readonly kind: string; readonly bytes: number }[];
  /** Bytes of an unfinished last batch, which the next start will cut off. */
  readonly tornBytes: number;
}

type ReadOnlyDisk = Pick<Disk, 'read' | 'list'>;

/** Reads and checks everything. Throws, naming the place, when anything that was durable is not whole. */
export async function inspectDirectory(readOnly: ReadOnlyDisk, nodeKeys: NodeKeys = []): Promise<Inspection> {
  const disk = refusingWrites(readOnly);
  await checkFormat(disk);
  const owner = await readOwner(disk);
  const { keys } = await readKeyRing(disk, nodeKeys);
  const names = await disk.list(LOG_DIRECTORY);
  const log = await readLog({ disk, keys, ...owner }, names);
  const snapshot: OpenedSnapshot | undefined =
    log.snapshot && (await readSnapshot({ disk, keys, ...owner }, log.snapshot));
  const { hardState, base, entries, tornBytes } = log;
  return {
    ...owner,
    segments: names,
    hardState,
    base,
    entries,
    tornBytes,
    snapshot: snapshot?.meta,
    snapshotChunks: (snapshot?.chunks ?? []).map(({ kind, bytes }) => ({ kind, bytes: bytes.length })),
  };
}

function refusingWrites(disk: ReadOnlyDisk): Disk {
  const refuse = (): never => {
    throw new Error('an inspection writes nothing');
  };
  return {
    read: (path) => disk.read(path),
    list: (directory) => disk.list(directory),
    create: refuse,
    makeDirectory: refuse,
    rename: refuse,
    remove: refuse,
    syncDirectory: refuse,
  };
}
