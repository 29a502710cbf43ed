// Three members of Debian's etcd-server on the loopback interface, with its default timing and plain connections.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../raft/support.ts';
import { type Group, leaderOf } from './group.ts';

/** What `etcd --version` says, or undefined where it is not installed. */
export function etcdVersion(): string | undefined {
  try {
    return /etcd Version: (\S+)/.exec(execFileSync('etcd', ['--version'], { encoding: 'utf8' }))?.[1];
  } catch {
    return undefined; // it is not there: the bench says so and goes on without
  }
}

interface Member {
  readonly name: string;
  readonly client: string;
  readonly peer: string;
}

export class EtcdGroup implements Group {
  readonly name = 'etcd';
  readonly clientAddresses: readonly string[];
  readonly #directory: string;
  readonly #members: readonly Member[];
  readonly #children: ChildProcess[] = [];

  static async start(): Promise<EtcdGroup> {
    const directory = await mkdtemp(join(tmpdir(), 'shoal-bench-etcd-'));
    const members: Member[] = [];
    for (let number = 1; number <= 3; number += 1) {
      const [client, peer] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
      members.push({ name: `m${number}`, client, peer });
    }
    const group = new EtcdGroup(directory, members);
    for (const position of members.keys()) group.run(position);
    await leaderOf(group);
    return group;
  }

  private constructor(directory: string, members: readonly Member[]) {
    this.#directory = directory;
    this.#members = members;
    this.clientAddresses = members.map(({ client }) => client);
  }

  run(position: number): void {
    const member = this.#members[position];
    if (!member) throw new Error('no such member');
    const cluster = this.#members.map(({ name, peer }) => `${name}=http://${peer}`).join(',');
    const args = ['--name', member.name, '--data-dir', join(this.#directory, member.name), '--log-level', 'error'];
    const clients = [
      '--listen-client-urls',
      `http://${member.client}`,
      '--advertise-client-urls',
      `http://${member.client}`,
    ];
    const peers = [
      '--listen-peer-urls',
      `http://${member.peer}`,
      '--initial-advertise-peer-urls',
      `http://${member.peer}`,
    ];
    const others = ['--initial-cluster', cluster, '--initial-cluster-state', 'new'];
    this.#children[position] = spawn('etcd', [...args, ...clients, ...peers, ...others], { stdio: 'ignore' });
  }

  async kill(position: number): Promise<void> {
    const child = this.#children[position];
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#children.keys()].map((position) => this.kill(position)));
    await rm(this.#directory, { recursive: true, force: true });
  }
}
