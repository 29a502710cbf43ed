// The loops that run on the leader only. They start when this manager leads and has applied everything that was
// committed before, and have ended before it can lead again. Each rebuilds itself from a scan of the store, and every
// timer is a stored deadline, so there is nothing else to take over; what must be done first is given as steps.
import { backoffMs } from '../base/backoff.ts';
import { Background } from '../base/background.ts';
import type { Clock, Loop } from '../base/clock.ts';
import { codeOf, fail } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { runAllocator } from './allocator/allocator.ts';
import { runNetworkKeys } from './network-keys.ts';
import { runConstraintEnforcer } from './orchestrator/constraint-enforcer.ts';
import { runLostNodes } from './orchestrator/lost-nodes.ts';
import { runOrchestrator } from './orchestrator/orchestrator.ts';
import { runTaskReaper } from './orchestrator/task-reaper.ts';
import type { Consensus } from './raft/contract.ts';
import { runScheduler } from './scheduler/scheduler.ts';
import type { Store } from './store/contract.ts';

export interface LeaderLoopOptions extends Loop {
  readonly log: Log;
  readonly random: Random;
}

/** Runs until aborted; anything else that ends it is a fault, after which it is started again. */
export interface LeaderLoop {
  readonly name: string;
  run(store: Store, options: LeaderLoopOptions): Promise<void>;
}

export const CLUSTER_LOOPS: readonly LeaderLoop[] = [
  { name: 'orchestrator', run: runOrchestrator },
  { name: 'allocator', run: runAllocator },
  { name: 'scheduler', run: runScheduler },
  { name: 'network-keys', run: runNetworkKeys },
  { name: 'task-reaper', run: runTaskReaper },
  { name: 'lost-nodes', run: runLostNodes },
  { name: 'constraint-enforcer', run: runConstraintEnforcer },
];

const RESTART = { baseMs: 100, maxMs: 10_000 };

export interface LeaderLoopsOptions {
  readonly store: Store;
  readonly consensus: Pick<Consensus, 'status' | 'onStatus' | 'readBarrier'>;
  readonly loops: readonly LeaderLoop[];
  /** Done once, in order, before the loops start: what a new leader must settle first. */
  readonly takeOver?: readonly LeaderLoop[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export class LeaderLoops implements AsyncDisposable {
  readonly #options: LeaderLoopsOptions;
  readonly #listening: Disposable;
  #reign: { readonly term: number; readonly loops: Background } | undefined;
  /** Changes of leadership are carried out one after the other. */
  #turn: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: LeaderLoopsOptions) {
    this.#options = options;
    this.#listening = options.consensus.onStatus(() => this.#turnTo());
    this.#turnTo();
  }

  /** The term in which the loops run here, or undefined. */
  get term(): number | undefined {
    return this.#reign?.term;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#listening[Symbol.dispose]();
    this.#turnTo();
    await this.#turn;
  }

  #turnTo(): void {
    this.#turn = this.#turn.then(() => this.#follow());
  }

  async #follow(): Promise<void> {
    const { consensus, log } = this.#options;
    const { role, term } = consensus.status();
    const wanted = role === 'leader' && !this.#closed ? term : undefined;
    if (this.#reign?.term === wanted) return;
    const ended = this.#reign;
    this.#reign = undefined;
    if (ended) {
      await ended.loops.stop();
      log.info('leader loops stopped', { term: ended.term });
    }
    if (wanted !== undefined) this.#start(wanted);
  }

  #start(term: number): void {
    const { log } = this.#options;
    const loops = new Background({ onFailure: (name, error) => log.error('leader loops failed', { name, error }) });
    this.#reign = { term, loops };
    loops.run('reign', (abort) => this.#rule(term, abort));
  }

  async #rule(term: number, abort: AbortSignal): Promise<void> {
    const { consensus, loops, takeOver = [], log } = this.#options;
    await this.#persist('read-barrier', abort, async () => void (await consensus.readBarrier({ abort })));
    for (const step of takeOver) await this.#persist(step.name, abort, () => this.#run(step, abort));
    log.info('leader loops started', { term });
    await Promise.all(loops.map((loop) => this.#keep(loop, abort)));
  }

  #run(loop: LeaderLoop, abort: AbortSignal): Promise<void> {
    const { store, clock, random, log } = this.#options;
    return loop.run(store, { clock, random, abort, log: log.child({ part: loop.name }) });
  }

  /** A loop that fails is a bug or a passing fault; without it the cluster stands still, so it is started again. */
  #keep(loop: LeaderLoop, abort: AbortSignal): Promise<void> {
    return this.#persist(loop.name, abort, async () => {
      await this.#run(loop, abort);
      if (!abort.aborted) fail('internal', `the loop ${loop.name} ended by itself`);
    });
  }

  /** Tries until it succeeds or leadership is over. */
  async #persist(name: string, abort: AbortSignal, work: () => Promise<void>): Promise<void> {
    const { clock, random, log } = this.#options;
    for (let attempt = 0; !abort.aborted; attempt += 1) {
      try {
        return await work();
      } catch (error) {
        if (abort.aborted) return;
        log.error('a leader loop failed and is tried again', { name, error, code: codeOf(error) });
        await clock.sleep(backoffMs(attempt, RESTART, random), { abort }).catch(() => undefined);
      }
    }
  }
}
