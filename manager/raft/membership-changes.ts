// Changing who the managers are, step by step, on the leader: a new one learns first and votes once it has caught up;
// one is taken out only if those who stay can still decide.
import { CodedError, codeOf, fail, sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { Mutex } from '../../base/mutex.ts';
import type { Conditions } from './conditions.ts';
import { type MembershipChange, memberOf, votersOf } from './core/membership.ts';
import { majorityOf } from './core/quorum.ts';
import type { MemberId } from './core/types.ts';
import type { Member } from './member.ts';
import { leadershipLost, refusalError, type Situation } from './reasons.ts';

export interface ChangeDeps {
  readonly member: Member;
  readonly conditions: Conditions;
  readonly situation: () => Situation;
  /** Hands leadership over to whoever is nearest, and says to whom. */
  readonly handOver: () => Promise<MemberId>;
  readonly log: Log;
}

const COMMIT_TIMEOUT_MS = 10_000;
const CATCH_UP_TIMEOUT_MS = 60_000;

export class MembershipChanges {
  readonly #deps: ChangeDeps;
  /** One at a time, as the core allows no more anyway. */
  readonly #mutex = new Mutex();

  constructor(deps: ChangeDeps) {
    this.#deps = deps;
  }

  add(id: MemberId, address: string): Promise<void> {
    return this.#mutex.run(async () => {
      const known = memberOf(this.#deps.member.raft.membership, id);
      if (known && !known.learner) return this.#setAddress(id, address, known.address);
      await this.#teach(id, address);
      await this.#change({ op: 'promote', id });
    });
  }

  /** One manager takes the place of another; the one who leaves must not be the leader. */
  replace(leaving: MemberId, id: MemberId, address: string): Promise<void> {
    return this.#mutex.run(async () => {
      const { member, conditions, situation } = this.#deps;
      const { raft } = member;
      if (!raft.leading) throw refusalError('not-leader', situation());
      if (!votersOf(raft.membership).includes(leaving)) throw refusalError('not-a-member', situation(), leaving);
      if (memberOf(raft.membership, id)?.learner === false) throw refusalError('already-member', situation(), id);
      if (leaving === raft.id) await this.#handOver(leaving);
      await this.#teach(id, address);
      await this.#change({ op: 'replace', id, replaces: leaving });
      const { term } = raft;
      const settled = (): boolean => {
        if (raft.membership.outgoing === undefined) return true;
        if (raft.term !== term || raft.role !== 'leader') throw leadershipLost(situation(), true);
        return false;
      };
      await conditions.until(settled, COMMIT_TIMEOUT_MS, `settling the replacement of ${leaving} by ${id}`);
    });
  }

  /** Makes it a learner, if it is not one, and waits until it has caught up. */
  async #teach(id: MemberId, address: string): Promise<void> {
    const { member, log } = this.#deps;
    const known = memberOf(member.raft.membership, id);
    if (!known) await this.#change({ op: 'add-learner', id, address });
    else await this.#setAddress(id, address, known.address);
    try {
      await this.#caughtUp(id);
    } catch (error) {
      log.warn('a new manager did not catch up', { nodeId: id, reason: sentenceOf(error) });
      if (member.raft.role === 'leader') await this.#change({ op: 'remove', id });
      throw new CodedError(codeOf(error), `manager ${id} at ${address} could not be added`, { cause: error });
    }
  }

  remove(id: MemberId, options: { force: boolean }): Promise<void> {
    return this.#mutex.run(async () => {
      const { member } = this.#deps;
      if (!member.raft.leading) throw refusalError('not-leader', this.#deps.situation());
      if (!options.force) this.#refuseLossOfQuorum(id);
      if (id === member.raft.id && votersOf(member.raft.membership).length > 1) await this.#handOver(id);
      await this.#change({ op: 'remove', id });
    });
  }

  /** A leader is not removed by itself: the next one does it. */
  async #handOver(id: MemberId): Promise<never> {
    const successor = await this.#deps.handOver();
    fail(
      'unavailable',
      `${id} was the leader and has handed leadership over to ${successor}; ask that one to take it out`,
    );
  }

  #refuseLossOfQuorum(id: MemberId): void {
    const { raft } = this.#deps.member;
    if (memberOf(raft.membership, id)?.learner !== false) return;
    const rest = votersOf(raft.membership).filter((voter) => voter !== id);
    const reachable = rest.filter((voter) => raft.leading?.reachable().includes(voter)).length;
    const needed = majorityOf(rest.length);
    if (rest.length > 0 && reachable < needed) {
      fail(
        'conflict',
        `removing ${id} would leave ${reachable} of ${rest.length} managers reachable, ${needed} needed`,
      );
    }
  }

  async #setAddress(id: MemberId, address: string, known: string): Promise<void> {
    if (address !== known) await this.#change({ op: 'set-address', id, address });
  }

  /** Proposes a change and waits until it is applied here. */
  async #change(change: MembershipChange): Promise<void> {
    const { member, situation } = this.#deps;
    const { raft } = member;
    await this.#deps.conditions.until(
      () => raft.leading?.isChanging !== true,
      COMMIT_TIMEOUT_MS,
      'waiting for another change of the managers',
    );
    const result = member.proposeChange(change);
    if ('refusal' in result) throw refusalError(result.refusal, situation(), change.id);
    const { index } = result;
    const term = raft.term;
    const applied = (): boolean => {
      if (raft.applied >= index && raft.log.termAt(index) === term) return true;
      if (raft.term !== term || raft.role !== 'leader') throw leadershipLost(situation(), true);
      return false;
    };
    await this.#deps.conditions.until(applied, COMMIT_TIMEOUT_MS, 'committing the change of the managers');
  }

  #caughtUp(id: MemberId): Promise<void> {
    const { member, conditions, situation } = this.#deps;
    const { term } = member.raft;
    const caughtUp = (): boolean => {
      const { leading } = member.raft;
      if (!leading || member.raft.term !== term) throw leadershipLost(situation(), false);
      return leading.isCaughtUp(id);
    };
    return conditions.until(caughtUp, CATCH_UP_TIMEOUT_MS, 'waiting until it has caught up with the log');
  }
}
