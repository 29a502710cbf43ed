// Getting something done by the leader, from any manager: here, or over the connection to whoever leads, waiting out an
// election. Everything ends within two seconds, with a result or with a sentence that says what is missing.
import type { Clock, Timer } from '../base/clock.ts';
import { CodedError, codeOf } from '../base/errors.ts';
import type { NodeId } from '../proto/objects.ts';
import { type Channel, type LeaderLink, type LeaderWork, RemoteError } from '../proto/rpc.ts';
import type { Consensus, ConsensusStatus } from './raft/contract.ts';

export interface LeaderLinkDeps {
  readonly nodeId: NodeId;
  readonly consensus: Pick<Consensus, 'status' | 'onStatus'>;
  readonly clock: Clock;
  /** The connection to a manager; undefined while its address is not known. */
  readonly channelTo: (nodeId: NodeId) => Channel | undefined;
}

/** Less than the two seconds promised: the answer has to travel, too. */
const TOTAL_MS = 1_900;
/** A leader may refuse because it is not sure any more; it is asked again after this, or as soon as another leads. */
const AGAIN_MS = 25;
const LAST_ANSWER_MS = 50;

export class LeaderCalls implements LeaderLink {
  readonly #deps: LeaderLinkDeps;

  constructor(deps: LeaderLinkDeps) {
    this.#deps = deps;
  }

  async run<T>(work: LeaderWork<T>): Promise<T> {
    const { clock } = this.#deps;
    const endMs = clock.monotonicMs() + TOTAL_MS;
    using deadline = clock.deadline(work.abort, TOTAL_MS);
    let last: unknown;
    while (!deadline.signal.aborted) {
      const leaderId = this.#deps.consensus.status().leaderId;
      try {
        if (leaderId === this.#deps.nodeId) return await work.local(deadline.signal);
        const channel = leaderId && this.#deps.channelTo(leaderId);
        if (channel) return await this.#remote(work, leaderId, channel, endMs, deadline.signal);
      } catch (error) {
        last = error;
        if (deadline.signal.aborted && isInterrupted(error)) break;
        if (!isPassing(error)) throw error;
      }
      await this.#anotherChance(leaderId, deadline.signal);
    }
    if (work.abort?.aborted) throw new CodedError('aborted', 'the caller went away');
    throw new CodedError('unavailable', noLeaderSentence(this.#deps.consensus.status()), { cause: last });
  }

  async #remote<T>(
    work: LeaderWork<T>,
    leaderId: NodeId,
    channel: Channel,
    endMs: number,
    abort: AbortSignal,
  ): Promise<T> {
    using leads = this.#whileLeads(leaderId, abort);
    await connected(channel, endMs - this.#deps.clock.monotonicMs(), leads.signal);
    try {
      return await work.remote(channel, leads.signal);
    } catch (error) {
      if (error instanceof RemoteError || work.abort?.aborted) throw error;
      if (work.repeatable) throw new CodedError('unavailable', `the leader ${leaderId} was lost`, { cause: error });
      const text = 'the leader was lost before it answered; the change may or may not have been made';
      throw new CodedError('unknown-outcome', text, { cause: error });
    }
  }

  /**
   * Aborted when nothing is heard of the leader any more, and a moment after a new term began: the last answer of a
   * leader that hands over may be on its way.
   */
  #whileLeads(leaderId: NodeId, abort: AbortSignal): Disposable & { readonly signal: AbortSignal } {
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(abort.reason);
    if (abort.aborted) onAbort();
    abort.addEventListener('abort', onAbort, { once: true });
    let grace: Timer | undefined;
    const { term } = this.#deps.consensus.status();
    const giveUp = (): void => controller.abort(new CodedError('unavailable', 'the leader was lost'));
    const listening = this.#deps.consensus.onStatus((status) => {
      if (status.leaderId === leaderId) return;
      if (status.term === term) giveUp();
      else grace ??= this.#deps.clock.after(LAST_ANSWER_MS, giveUp);
    });
    return {
      signal: controller.signal,
      [Symbol.dispose]() {
        grace?.cancel();
        listening[Symbol.dispose]();
        abort.removeEventListener('abort', onAbort);
      },
    };
  }

  async #anotherChance(triedId: NodeId | undefined, abort: AbortSignal): Promise<void> {
    const again = new AbortController();
    using _listening = this.#deps.consensus.onStatus((status) => {
      if (status.leaderId !== undefined && status.leaderId !== triedId) again.abort();
    });
    const waitMs = triedId === undefined ? TOTAL_MS : AGAIN_MS;
    const signal = AbortSignal.any([abort, again.signal]);
    await this.#deps.clock.sleep(waitMs, { abort: signal }).catch(() => undefined);
  }
}

async function connected(channel: Channel, withinMs: number, abort: AbortSignal): Promise<void> {
  try {
    await channel.ready(Math.max(0, withinMs), abort);
  } catch (cause) {
    throw new CodedError('unavailable', `the leader at ${channel.address} can not be reached`, { cause });
  }
}

const isInterrupted = (error: unknown): boolean => ['aborted', 'deadline'].includes(codeOf(error));

/** Nothing was written, and the next leader may do it. */
const isPassing = (error: unknown): boolean => codeOf(error) === 'unavailable';

/** Docker's sentence, and the arithmetic behind it. */
export function noLeaderSentence({ members, reachable, role }: ConsensusStatus): string {
  const voters = members.filter((member) => !member.learner).length;
  const needed = Math.floor(voters / 2) + 1;
  const heard = role === 'leader' ? `${reachable.length} of ${voters} managers reachable` : `${voters} managers`;
  return (
    "The swarm does not have a leader. It's possible that too few managers are online. " +
    `Make sure more than half of the managers are online (${heard}, ${needed} needed).`
  );
}
