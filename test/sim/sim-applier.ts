// A simulated node's state machine side: applies in order and some time later, answers what waited for that, makes
// snapshots and takes those of others.
import { CodedError } from '../../base/errors.ts';
import type { SnapshotChunk } from '../../manager/raft/contract.ts';
import type { SnapshotMeta } from '../../manager/raft/core/types.ts';
import type { CommittedBatch, Machine, Member } from '../../manager/raft/member.ts';
import { isDiskFault } from './faults.ts';
import { Violation } from './oracle.ts';
import { SimMachine } from './sim-machine.ts';
import type { World } from './world.ts';

export interface ApplierDeps {
  readonly world: World;
  readonly id: string;
  readonly machine: SimMachine;
  readonly member: () => Member | undefined;
  /** Does it after what was asked for earlier, in this life of the process only. */
  readonly inOrder: (then: () => void) => void;
  readonly isAlive: () => boolean;
}

export class SimApplier implements Machine {
  readonly #deps: ApplierDeps;
  #reads: { ids: readonly number[]; index: number }[] = [];

  constructor(deps: ApplierDeps) {
    this.#deps = deps;
  }

  apply(batch: CommittedBatch): void {
    this.#deps.inOrder(() => this.#apply(batch));
  }

  restore(meta: SnapshotMeta, chunks: readonly SnapshotChunk[]): void {
    this.#deps.inOrder(() => void this.restoreNow(meta, chunks));
  }

  readsConfirmed(ids: readonly number[], index: number): void {
    this.#reads.push({ ids, index });
    this.#deps.inOrder(() => this.#answerReads());
  }

  requestSnapshot(): void {
    this.#deps.inOrder(() => void this.#makeSnapshot());
  }

  failed(ids: readonly number[], reason: Parameters<Machine['failed']>[1]): void {
    const isKnown = reason.kind === 'refused' || !reason.appended;
    const why = reason.kind === 'refused' ? reason.refusal : reason.kind;
    this.#deps.world.refused(ids, why, () => new CodedError(isKnown ? 'unavailable' : 'unknown-outcome', why));
  }

  async restoreNow(meta: SnapshotMeta, chunks: readonly SnapshotChunk[]): Promise<void> {
    const { world, id, machine, member, isAlive } = this.#deps;
    try {
      await machine.restore(meta.index, chunks);
      if (!isAlive()) return;
      world.oracle.restored(id, meta, machine.applied);
      world.count('snapshot restored');
      member()?.appliedUpTo(meta.index);
    } catch (error) {
      world.fail(error);
    }
  }

  #apply({ entries, proposals }: CommittedBatch): void {
    const { world, id, machine, member } = this.#deps;
    for (const { index, kind, bytes } of entries) {
      if (index !== machine.index + 1) throw new Violation('applied in order', `${id} ${index} after ${machine.index}`);
      machine.index = index;
      if (kind !== 'data') continue;
      const text = machine.apply(index, bytes);
      world.oracle.applied(id, { index, text });
      const proposal = proposals.get(index);
      if (proposal !== undefined) world.answered(proposal, text, index);
    }
    this.#answerReads();
    member()?.appliedUpTo(machine.index);
  }

  #answerReads(): void {
    const { world, machine } = this.#deps;
    const { index } = machine;
    for (const read of this.#reads) {
      if (read.index > index) continue;
      for (const id of read.ids) world.readAnswered(id, index);
    }
    this.#reads = this.#reads.filter((read) => read.index > index);
  }

  async #makeSnapshot(): Promise<void> {
    const { world, machine, member, isAlive } = this.#deps;
    try {
      const { index } = machine;
      await member()?.snapshotMade(index, flow(await machine.snapshot()));
      world.count('snapshot made');
    } catch (error) {
      if (isAlive() && !isDiskFault(error)) world.fail(error);
    }
  }
}

export class BrokenStream extends Error {}

/** Chunks one after the other; `breaksAt` one of them the stream breaks. */
export async function* flow(chunks: readonly SnapshotChunk[], breaksAt = -1): AsyncGenerator<SnapshotChunk> {
  for (const [at, chunk] of chunks.entries()) {
    if (at === breaksAt) throw new BrokenStream('the stream broke');
    yield chunk;
  }
}
