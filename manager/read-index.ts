// Reads on a manager that does not lead: the leader says up to which index its state counts now (ReadIndex), and this
// manager answers from its own store once it has applied that much. So every manager serves reads, and none serves old ones.
import type { NodeId } from '../proto/objects.ts';
import type { Channel } from '../proto/rpc.ts';
import { Managers } from '../proto/services.ts';
import type { ReadIndexReply } from '../proto/gen/shoal/dispatcher/v1/ReadIndexReply.ts';
import type { Consensus } from './raft/contract.ts';

const CALL_WITHIN_MS = 2_000;

interface Round {
  readonly channel: Channel;
  readonly reply: Promise<ReadIndexReply>;
}

export class FollowerReads {
  readonly #consensus: Pick<Consensus, 'applied'>;
  /** Its question is on the way: who comes now came too late for it. */
  #asked: Round | undefined;
  /** To be asked when the one before it has been answered. */
  #next: Round | undefined;
  #reachable: readonly NodeId[] = [];

  constructor(consensus: Pick<Consensus, 'applied'>) {
    this.#consensus = consensus;
  }

  /** The members that the leader heard when it was last asked. */
  get reachable(): readonly NodeId[] {
    return this.#reachable;
  }

  /** Resolves when this manager's own state holds everything that was committed before the call. */
  async barrier(channel: Channel, abort: AbortSignal): Promise<void> {
    const { index, reachable } = await orAborted(this.#round(channel).reply, abort);
    this.#reachable = reachable as NodeId[];
    await this.#consensus.applied(index, { abort });
  }

  /** All who ask while a question is on the way share the next one. */
  #round(channel: Channel): Round {
    if (!this.#asked) return this.#ask(channel);
    if (this.#asked.channel !== channel) return this.#ask(channel);
    this.#next ??= { channel, reply: this.#asked.reply.then(ignore, ignore).then(() => this.#ask(channel).reply) };
    return this.#next;
  }

  #ask(channel: Channel): Round {
    const round = { channel, reply: channel.call(Managers.ReadIndex, {}, { withinMs: CALL_WITHIN_MS }) };
    this.#asked = round;
    this.#next = undefined;
    const over = (): void => {
      if (this.#asked === round) this.#asked = undefined;
    };
    round.reply.then(over, over);
    return round;
  }
}

const ignore = (): void => undefined;

/** A question is shared, so it goes on when one of those who wait for it goes away. */
async function orAborted<T>(promise: Promise<T>, abort: AbortSignal): Promise<T> {
  abort.throwIfAborted();
  let onAbort = ignore;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(abort.reason as Error);
    abort.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    abort.removeEventListener('abort', onAbort);
  }
}
