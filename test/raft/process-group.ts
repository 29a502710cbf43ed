// Managers of one cluster as processes, which can be killed and stopped like real ones.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CodedError, type ErrorCode } from '../../base/errors.ts';
import type { ConsensusOptions, ConsensusStatus } from '../../manager/raft/contract.ts';
import type { NodeId } from '../../proto/objects.ts';
import type { Answer, Order } from './manager-process.ts';
import { freePort, TestAuthority } from './support.ts';

const CLUSTER = 'testcluster';

export class ManagerProcess {
  readonly options: ConsensusOptions;
  #child: ChildProcess | undefined;
  #waiting = new Map<number, (answer: Answer) => void>();
  #last = 0;

  constructor(options: ConsensusOptions) {
    this.options = options;
  }

  get isUp(): boolean {
    return this.#child !== undefined;
  }

  async start(start: ConsensusOptions['start']): Promise<void> {
    const child = fork(join(import.meta.dirname, 'manager-process.js'), { serialization: 'advanced' });
    this.#child = child;
    child.on('message', (answer: Answer) => this.#waiting.get(answer.id)?.(answer));
    child.once('exit', () => this.#gone());
    await this.ask({ kind: 'start', options: { ...this.options, start } });
  }

  async ask(order: Order): Promise<unknown> {
    const child = this.#child;
    if (!child) throw new CodedError('unavailable', 'the process is down');
    this.#last += 1;
    const id = this.#last;
    const answer = await new Promise<Answer>((resolve) => {
      this.#waiting.set(id, resolve);
      child.send({ ...order, id });
    });
    this.#waiting.delete(id);
    if ('code' in answer) throw new CodedError(answer.code as ErrorCode, answer.message);
    return answer.value;
  }

  async status(): Promise<ConsensusStatus> {
    return (await this.ask({ kind: 'status' })) as ConsensusStatus;
  }

  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (!child) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  #gone(): void {
    this.#child = undefined;
    for (const [id, resolve] of this.#waiting) resolve({ id, code: 'unavailable', message: 'the process went away' });
  }
}

export class ProcessGroup implements AsyncDisposable {
  readonly managers: readonly ManagerProcess[];
  readonly #root: string;

  static async start(size: number): Promise<ProcessGroup> {
    const root = await mkdtemp(join(tmpdir(), 'shoal-raft-'));
    const authority = await TestAuthority.create();
    const managers: ManagerProcess[] = [];
    for (let number = 1; number <= size; number += 1)
      managers.push(new ManagerProcess(await optionsOf(root, authority, number)));
    const group = new ProcessGroup(root, managers);
    for (const [at, manager] of managers.entries()) {
      await manager.start(at === 0 ? 'bootstrap' : 'join');
      const { nodeId, listenAddress: raftAddress } = manager.options;
      if (at > 0) await managers[0]?.ask({ kind: 'add', nodeId, raftAddress });
    }
    return group;
  }

  private constructor(root: string, managers: readonly ManagerProcess[]) {
    this.#root = root;
    this.managers = managers;
  }

  async leader(among: readonly ManagerProcess[] = this.managers): Promise<ManagerProcess | undefined> {
    for (const manager of among) {
      if (manager.isUp && (await manager.status()).role === 'leader') return manager;
    }
    return undefined;
  }

  /** Tries one after the other until a write is accepted; the time that took. */
  async firstWriteMs(among: readonly ManagerProcess[], text: string): Promise<number> {
    const startMs = performance.now();
    for (;;) {
      for (const manager of among) {
        try {
          await manager.ask({ kind: 'propose', text });
          return performance.now() - startMs;
        } catch (error) {
          if (!(error instanceof CodedError) || error.code !== 'unavailable') throw error;
        }
      }
      if (performance.now() - startMs > 10_000) throw new Error('no write for 10 s');
      await new Promise((resolve) => void setTimeout(resolve, 10));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const manager of this.managers) {
      manager.signal('SIGCONT');
      await manager.kill();
    }
    await rm(this.#root, { recursive: true, force: true });
  }
}

async function optionsOf(root: string, authority: TestAuthority, number: number): Promise<ConsensusOptions> {
  const nodeId = `manager${number}` as NodeId;
  const address = `127.0.0.1:${await freePort()}`;
  return {
    nodeId,
    clusterId: CLUSTER,
    directory: join(root, nodeId),
    listenAddress: address,
    advertise: { raftAddress: address, joinAddress: '', controlAddress: '' },
    certificate: await authority.issue(nodeId, { clusterId: CLUSTER }),
    start: 'restart',
    timing: { tickMs: 50, heartbeatTicks: 2, electionTicksMin: 8, electionTicksMax: 15 },
    snapshotIntervalEntries: 10_000,
    logEntriesForSlowFollowers: 500,
  };
}
