// Cores without disks or networks, for tests of single rules: messages wait in a pool until a test lets them go.
import { seededRandom } from '../../base/random.ts';
import type { Membership } from '../../manager/raft/core/membership.ts';
import { Raft } from '../../manager/raft/core/raft.ts';
import {
  DEFAULT_LIMITS,
  type Entry,
  type HardState,
  type InitialState,
  type Message,
  type RaftLimits,
  type Ready,
} from '../../manager/raft/core/types.ts';

export const EMPTY: HardState = { term: 0, vote: undefined, commit: 0 };

export function voters(...ids: string[]): Membership {
  return { members: ids.map((id) => ({ id, address: id, learner: false })), removed: [] };
}

export function entriesOf(terms: readonly number[], from = 1): Entry[] {
  return terms.map((term, at) => ({
    index: from + at,
    term,
    kind: 'data',
    bytes: Buffer.from(`${from + at}/${term}`),
  }));
}

/** A core whose membership comes from a snapshot at index 1 of term 1, and that holds entries of these terms after it. */
export function coreOf(
  id: string,
  membership: Membership,
  options: { terms?: readonly number[]; hardState?: Partial<HardState>; limits?: Partial<RaftLimits> } = {},
): Raft {
  const initial: InitialState = {
    hardState: { term: options.terms?.at(-1) ?? 1, vote: undefined, commit: 1, ...options.hardState },
    snapshot: { index: 1, term: 1, membership },
    base: { index: 1, term: 1 },
    entries: entriesOf(options.terms ?? [], 2),
  };
  const seed = Buffer.from(id).reduce((sum, byte) => sum * 31 + byte, 7);
  return new Raft({ id, limits: { ...DEFAULT_LIMITS, ...options.limits }, random: seededRandom(seed), initial });
}

/** Takes what a core wants and does it at once, as if its disk took no time. */
export function settle(raft: Raft): { messages: Message[]; committed: Entry[]; reads: Ready['reads'][number][] } {
  const done = { messages: [] as Message[], committed: [] as Entry[], reads: [] as Ready['reads'][number][] };
  for (let ready = raft.ready(); ready; ready = raft.ready()) {
    done.messages.push(...ready.messages, ...ready.messagesAfterWrite);
    done.committed.push(...ready.committed);
    done.reads.push(...ready.reads);
    raft.advance(ready);
  }
  return done;
}

/** Cores that talk to each other, except over links that are cut. */
export class CoreGroup {
  readonly cores = new Map<string, Raft>();
  readonly committed = new Map<string, Entry[]>();
  readonly reads: { id: string; token: number; index: number }[] = [];
  readonly cut = new Set<string>();
  readonly delivered: Message[] = [];

  constructor(cores: readonly Raft[]) {
    for (const core of cores) {
      this.cores.set(core.id, core);
      this.committed.set(core.id, []);
    }
  }

  static of(...ids: string[]): CoreGroup {
    return new CoreGroup(ids.map((id) => coreOf(id, voters(...ids))));
  }

  core(id: string): Raft {
    const core = this.cores.get(id);
    if (!core) throw new Error(`no core ${id}`);
    return core;
  }

  /** Delivers until nothing is under way. */
  run(): void {
    for (let rounds = 0; rounds < 1_000; rounds += 1) {
      const messages = [...this.cores.values()].flatMap((core) => this.#settle(core));
      if (messages.length === 0) return;
      for (const message of messages) {
        if (this.cut.has(message.from) || this.cut.has(message.to)) continue;
        this.delivered.push(message);
        this.cores.get(message.to)?.step(message);
      }
    }
    throw new Error('it never comes to rest');
  }

  /** Delivers round by round until `holds`. */
  runUntil(holds: () => boolean): void {
    for (let rounds = 0; rounds < 1_000; rounds += 1) {
      for (const message of [...this.cores.values()].flatMap((core) => this.#settle(core))) {
        if (this.cut.has(message.from) || this.cut.has(message.to)) continue;
        this.cores.get(message.to)?.step(message);
      }
      if (holds()) return;
    }
    throw new Error('it never holds');
  }

  tick(id: string, times = 1): void {
    for (let time = 0; time < times; time += 1) this.core(id).tick();
  }

  /** Makes `id` leader by letting only its time pass. */
  elect(id: string): Raft {
    for (const core of this.cores.values()) if (core.id !== id) this.tick(core.id, DEFAULT_LIMITS.electionTicksMin - 1);
    this.run();
    for (let time = 0; time < 100 && this.core(id).role !== 'leader'; time += 1) {
      for (const core of this.cores.values())
        if (core.id !== id && core.role !== 'leader') core.suspectLeader(core.leaderId ?? '');
      this.tick(id);
      this.run();
    }
    if (this.core(id).role !== 'leader') throw new Error(`${id} is not elected`);
    return this.core(id);
  }

  dataOf(id: string): string[] {
    return (this.committed.get(id) ?? [])
      .filter(({ kind }) => kind === 'data')
      .map(({ bytes }) => Buffer.from(bytes).toString());
  }

  #settle(core: Raft): Message[] {
    const { messages, committed, reads } = settle(core);
    this.committed.get(core.id)?.push(...committed);
    this.reads.push(...reads.map((read) => ({ id: core.id, ...read })));
    return messages;
  }
}
