// What a manager that begins anew as the only one settles first, and what a backup is made of and read into.
import type { Clock } from '../base/clock.ts';
import { CodedError, fail } from '../base/errors.ts';
import type { Disk } from '../base/disk.ts';
import { silentLog } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { Cluster, ManagerAddresses, Node, NodeId } from '../proto/objects.ts';
import { parseUnlockKey } from '../proto/unlock-key.ts';
import { type OpenedBackup, readBackup, writeBackup } from './raft/backup-file.ts';
import type { Consensus, SnapshotChunk } from './raft/contract.ts';
import { seedDirectory, seizeDirectory } from './raft/take-over.ts';
import type { Draft, ReplicatedStore, Store } from './store/contract.ts';
import { createStore } from './store/store.ts';

const LEADING_WITHIN_MS = 15_000;

/** Waits until this manager leads, and takes all others for lost: they are managers no more, and may be removed or come back. */
export async function takeOverCluster(
  { store, consensus, clock }: { store: Store; consensus: Consensus; clock: Clock },
  self: { nodeId: NodeId; addresses: ManagerAddresses; node?: Draft<Node> | undefined },
): Promise<void> {
  await leading(consensus, clock);
  await store.update((tx) => {
    for (const node of tx.nodes.all()) {
      if (node.id === self.nodeId || (!node.manager && node.role === 'worker')) continue;
      const { manager: _manager, ...rest } = node;
      tx.nodes.put({ ...rest, role: 'worker', spec: { ...rest.spec, role: 'worker' } });
    }
    const node = self.node ?? tx.nodes.get(self.nodeId) ?? fail('internal', 'the cluster does not know this manager');
    tx.nodes.put({
      ...node,
      role: 'manager',
      spec: { ...node.spec, role: 'manager' },
      manager: self.addresses,
      raftLogId: consensus.logId,
    });
  });
}

async function leading(consensus: Consensus, clock: Clock): Promise<void> {
  using deadline = clock.deadline(undefined, LEADING_WITHIN_MS);
  await new Promise<void>((resolve, reject) => {
    const look = (): void => {
      if (consensus.status().role !== 'leader') return;
      listening[Symbol.dispose]();
      resolve();
    };
    const listening = consensus.onStatus(look);
    deadline.signal.addEventListener('abort', () => {
      listening[Symbol.dispose]();
      reject(new CodedError('deadline', 'this manager did not become the leader of its own cluster'));
    });
    look();
  });
}

/** The state as this manager has applied it; on the leader everything that was acknowledged before the call. */
export async function* backupOf(
  { store, consensus }: { store: ReplicatedStore; consensus: Consensus },
  { clock, random, abort }: { clock: Clock; random: Random; abort: AbortSignal },
): AsyncGenerator<Uint8Array> {
  if (consensus.status().role === 'leader') await consensus.readBarrier({ abort });
  const { appliedIndex, term, members } = consensus.status();
  const chunks = store.snapshot(); // taken in the same turn as the index that it is of
  const cluster = clusterOf(store);
  const meta = {
    clusterId: cluster.id,
    index: appliedIndex,
    term,
    epoch: consensus.epoch,
    members: members.map(({ nodeId }) => nodeId),
    createdAtMs: clock.nowMs(),
  };
  const unlockKey = cluster.unlockKey === undefined ? undefined : parseUnlockKey(cluster.unlockKey);
  yield* writeBackup(meta, chunks, { unlockKey, random });
}

export interface ReadBackup extends OpenedBackup {
  readonly cluster: Cluster;
}

/** Reads a backup into a store of its own, which proves that it is one, and finds the cluster in it. */
export async function openBackup(
  file: Uint8Array,
  { unlockKey, clock }: { unlockKey: string; clock: Clock },
): Promise<ReadBackup> {
  const opened = readBackup(file, unlockKey === '' ? undefined : parseUnlockKey(unlockKey));
  const proposer = { propose: () => fail('internal', 'a backup takes no writes') };
  const store = createStore({ proposer, clock, log: silentLog });
  await store.restore(opened.meta.index, each(opened.chunks));
  return { ...opened, cluster: clusterOf(store) };
}

/** Indexes of the new cluster are beyond any that the old one may have reached after the backup: nodes keep what is newer. */
const INDEX_GAP = 1_000_000_000;
const TERM_GAP = 1_000;

interface RaftDirectory {
  readonly disk: Disk;
  readonly random: Random;
  readonly clusterId: string;
  readonly nodeId: NodeId;
  readonly nodeKeys: readonly Uint8Array[];
}

export function seedFromBackup(directory: RaftDirectory, backup: ReadBackup, raftAddress: string): Promise<void> {
  const { index, term, epoch, members } = backup.meta;
  return seedDirectory(directory, {
    raftAddress,
    index: index + INDEX_GAP,
    term: term + TERM_GAP,
    epoch: epoch + 1,
    former: members,
    chunks: backup.chunks,
  });
}

export const seizeLog = (directory: RaftDirectory, raftAddress: string): Promise<void> =>
  seizeDirectory(directory, { raftAddress });

function clusterOf(store: Store): Cluster {
  const [cluster] = store.view().clusters.all();
  return cluster ?? fail('unavailable', 'this manager has not received the cluster yet');
}

async function* each(chunks: readonly SnapshotChunk[]): AsyncGenerator<SnapshotChunk> {
  yield* chunks;
}
