// How long writes pause: when the leader is killed, when it hands over in order, and what a busy main thread does to the
// heartbeats that followers wait for.
import { connect, createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../raft/support.ts';
import type { EtcdGroup } from './etcd-group.ts';
import { type Group, leaderOf } from './group.ts';
import { KvClient } from './kv-service.ts';
import { ShoalGroup } from './shoal-group.ts';

const TRY_WITHIN_MS = 400;
const GIVE_UP_AFTER_MS = 20_000;

/** Milliseconds from kill -9 of the leader to the first accepted write elsewhere, once for each kill. */
export async function leaderKills(group: EtcdGroup | ShoalGroup, kills: number): Promise<number[]> {
  const timesMs: number[] = [];
  for (let kill = 0; kill < kills; kill += 1) {
    const leader = await leaderOf(group);
    const survivors = group.clientAddresses.filter((_, position) => position !== leader);
    const gone = group.kill(leader);
    timesMs.push(await firstWriteMs(survivors));
    await gone;
    await group.run(leader);
    await settled(group, leader);
  }
  return timesMs;
}

/** The longest time between two accepted writes while leadership is handed over, once for each time. */
export async function handOvers(group: ShoalGroup, times: number): Promise<number[]> {
  const gapsMs: number[] = [];
  for (let time = 0; time < times; time += 1) {
    const leader = await leaderOf(group);
    const acceptedMs: number[] = [];
    let isOver = false;
    const writing = keepWriting(group.clientAddresses, leader, acceptedMs, () => isOver);
    await sleep(300);
    await group.members[leader]?.ask({ kind: 'hand-over' });
    await sleep(300);
    isOver = true;
    await writing;
    gapsMs.push(Math.max(...acceptedMs.slice(1).map((atMs, index) => atMs - (acceptedMs[index] ?? atMs))));
  }
  return gapsMs;
}

async function firstWriteMs(addresses: readonly string[]): Promise<number> {
  const startMs = performance.now();
  const clients = addresses.map((address) => new KvClient(address));
  try {
    while (performance.now() - startMs < GIVE_UP_AFTER_MS) {
      for (const client of clients) {
        if (await accepted(client)) return performance.now() - startMs;
      }
      await sleep(2);
    }
  } finally {
    for (const client of clients) client[Symbol.dispose]();
  }
  throw new Error(`no write within ${GIVE_UP_AFTER_MS} ms`);
}

async function accepted(client: KvClient): Promise<boolean> {
  try {
    await client.put('key', Buffer.alloc(16), TRY_WITHIN_MS);
    return true;
  } catch {
    return false; // not the leader, or not yet
  }
}

async function keepWriting(
  addresses: readonly string[],
  leader: number,
  acceptedMs: number[],
  isOver: () => boolean,
): Promise<void> {
  const clients = addresses.map((address) => new KvClient(address));
  for (let at = leader; !isOver(); ) {
    const client = clients[at % clients.length];
    if (client && (await accepted(client))) acceptedMs.push(performance.now());
    else at += 1;
  }
  for (const client of clients) client[Symbol.dispose]();
}

/** The member that came back answers writes' followers again: three in a row are accepted while all are up. */
async function settled(group: Group, position: number): Promise<void> {
  const client = new KvClient(group.clientAddresses[position] ?? '');
  const endMs = performance.now() + GIVE_UP_AFTER_MS;
  try {
    while (performance.now() < endMs) {
      const status = await client.status(TRY_WITHIN_MS).catch(() => undefined);
      if (status && status.leader !== '0') return await sleep(300);
      await sleep(20);
    }
  } finally {
    client[Symbol.dispose]();
  }
  throw new Error('a member that came back found no leader');
}

export interface HeartbeatGaps {
  readonly idleMs: number;
  readonly busyMs: number;
  readonly leaderStayed: boolean;
}

/** The longest time that a follower heard nothing of its leader: idle, and with the leader's main thread busy all the time. */
export async function heartbeatGaps(forMs: number, sliceMs: number): Promise<HeartbeatGaps> {
  const ears: Ear[] = [];
  await using group = await ShoalGroup.start({
    reachedAt: async (_position, listenAddress) => {
      const ear = await Ear.open(listenAddress);
      ears.push(ear);
      return ear.address;
    },
  });
  const leader = await leaderOf(group);
  const longest = async (work: Promise<unknown>): Promise<number> => {
    for (const ear of ears) ear.reset();
    await work;
    return Math.max(...ears.flatMap((ear, position) => (position === leader ? [] : [ear.longestGapMs()])));
  };
  const idleMs = await longest(sleep(forMs));
  const busyMs = await longest(group.members[leader]?.ask({ kind: 'work', forMs, sliceMs }) ?? sleep(0));
  const leaderStayed = (await leaderOf(group)) === leader;
  for (const ear of ears) ear.close();
  return { idleMs, busyMs, leaderStayed };
}

/** Stands before a member's listener and hears when something comes, without understanding it. */
class Ear {
  readonly address: string;
  readonly #server: Server;
  /** When something came, by connection. */
  readonly #heardMs: number[][] = [];

  static async open(target: string): Promise<Ear> {
    const port = await freePort();
    const ear = new Ear(target, port);
    await new Promise<void>((resolve) => ear.#server.listen(port, '127.0.0.1', resolve));
    return ear;
  }

  private constructor(target: string, port: number) {
    this.address = `127.0.0.1:${port}`;
    const [host = '', targetPort = ''] = target.split(':');
    this.#server = createServer((from) => {
      const heard: number[] = [];
      this.#heardMs.push(heard);
      const to = connect(Number(targetPort), host);
      from.on('data', () => heard.push(performance.now()));
      from.pipe(to).pipe(from);
      for (const socket of [from, to]) {
        socket.setNoDelay(true);
        socket.on('error', () => {
          from.destroy();
          to.destroy();
        });
      }
    });
  }

  reset(): void {
    for (const heard of this.#heardMs) heard.length = 0;
  }

  /** On the connection on which most was heard: that of the leader. */
  longestGapMs(): number {
    const [busiest = []] = this.#heardMs.toSorted((a, b) => b.length - a.length);
    return Math.max(...busiest.slice(1).map((atMs, index) => atMs - (busiest[index] ?? atMs)));
  }

  close(): void {
    this.#server.close();
  }
}
