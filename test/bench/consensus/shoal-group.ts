// Three members of our raft group on the loopback interface, each a process, from this build or from a variant of it.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { ConsensusOptions } from '../../../manager/raft/contract.ts';
import type { NodeId } from '../../../proto/objects.ts';
import { freePort, TestAuthority } from '../../raft/support.ts';
import { type Group, leaderOf } from './group.ts';
import type { Answer, Order } from './member.ts';

const CLUSTER = 'benchcluster';
const HERE = resolve(import.meta.dirname, '../../../..');

export interface GroupOptions {
  readonly name?: string;
  /** A checkout-like directory whose dist the members run from. */
  readonly root?: string;
  /** Where others find a member's raft listener, given where it is: for whoever sits in between. */
  readonly reachedAt?: (position: number, listenAddress: string) => Promise<string>;
}

export class ShoalGroup implements Group {
  readonly name: string;
  readonly members: readonly ShoalMember[];
  readonly #directory: string;

  static async start(options: GroupOptions = {}): Promise<ShoalGroup> {
    const directory = await mkdtemp(join(tmpdir(), 'shoal-bench-raft-'));
    const authority = await TestAuthority.create();
    const members: ShoalMember[] = [];
    for (let position = 0; position < 3; position += 1) {
      const consensus = await consensusOptions(directory, authority, position, options);
      members.push(new ShoalMember(options, consensus, `127.0.0.1:${await freePort()}`));
    }
    const group = new ShoalGroup(options.name ?? 'Shoal', directory, members);
    for (const [position, member] of members.entries()) {
      await member.run(position === 0 ? 'bootstrap' : 'join');
      const { nodeId, advertise } = member.options;
      if (position > 0) await members[0]?.ask({ kind: 'add', nodeId, raftAddress: advertise.raftAddress });
    }
    await leaderOf(group);
    return group;
  }

  private constructor(name: string, directory: string, members: readonly ShoalMember[]) {
    this.name = name;
    this.#directory = directory;
    this.members = members;
  }

  get clientAddresses(): string[] {
    return this.members.map(({ clientAddress }) => clientAddress);
  }

  async kill(position: number): Promise<void> {
    await this.members[position]?.kill();
  }

  async run(position: number): Promise<void> {
    await this.members[position]?.run('restart');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
    await rm(this.#directory, { recursive: true, force: true });
  }
}

export class ShoalMember {
  readonly options: ConsensusOptions;
  readonly clientAddress: string;
  readonly #group: GroupOptions;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #child: ChildProcess | undefined;
  #last = 0;

  constructor(group: GroupOptions, options: ConsensusOptions, clientAddress: string) {
    this.#group = group;
    this.options = options;
    this.clientAddress = clientAddress;
  }

  async run(start: ConsensusOptions['start']): Promise<void> {
    const program = join(this.#group.root ?? HERE, 'dist/test/bench/consensus/member.js');
    const child = fork(program, { serialization: 'advanced' });
    this.#child = child;
    child.on('message', (answer: Answer) => this.#waiting.get(answer.id)?.(answer));
    child.once('exit', () => {
      for (const [id, resolve] of this.#waiting) resolve({ id, error: 'the member is gone' });
    });
    await this.ask({ kind: 'start', options: { ...this.options, start }, clientAddress: this.clientAddress });
  }

  async ask(order: Order): Promise<unknown> {
    this.#last += 1;
    const id = this.#last;
    const answer = await new Promise<Answer>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#child?.send({ ...order, id });
    });
    this.#waiting.delete(id);
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.value;
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}

async function consensusOptions(
  directory: string,
  authority: TestAuthority,
  position: number,
  { reachedAt }: GroupOptions,
): Promise<ConsensusOptions> {
  const nodeId = `member${position + 1}` as NodeId;
  const listenAddress = `127.0.0.1:${await freePort()}`;
  const raftAddress = (await reachedAt?.(position, listenAddress)) ?? listenAddress;
  return {
    nodeId,
    clusterId: CLUSTER,
    directory: join(directory, nodeId),
    listenAddress,
    advertise: { raftAddress, joinAddress: '', controlAddress: '' },
    certificate: await authority.issue(nodeId, { clusterId: CLUSTER }),
    start: 'restart',
    timing: { tickMs: 50, heartbeatTicks: 2, electionTicksMin: 8, electionTicksMax: 15 },
    snapshotIntervalEntries: 10_000,
    logEntriesForSlowFollowers: 500,
  };
}
