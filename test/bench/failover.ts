// `npm run bench -- --failover`: what losing a leader costs, with services being created all the time. Prints, for each
// way to lose it, the gap in accepted writes and the time until its tasks run elsewhere, and checks what may never be:
// an acknowledged service lost, a container restarted, a slot run twice, a write taken by a leader that is cut off.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { callEngine } from '../../deploy/engine.ts';
import { type TaskJson, TestCluster } from '../support/cluster.ts';

const NODES = [1, 2, 3] as const;
const TASKS = 9;
const FREEZE_MS = 10_000;

interface Way {
  readonly name: string;
  readonly rounds: number;
  /** Whether the node's tasks have to move; otherwise its containers must stay as they are. */
  readonly moves: boolean;
  lose(cluster: TestCluster, leader: number): void;
  /** Brings the lost node back. */
  heal(cluster: TestCluster, leader: number): Promise<void>;
}

const WAYS: readonly Way[] = [
  {
    name: 'kill -9 of the daemon',
    rounds: 20,
    moves: false,
    lose: (cluster, leader) => process.kill(cluster.pid(leader), 'SIGKILL'),
    heal: async (cluster) => void (await cluster.start()),
  },
  {
    name: 'link down, whole node killed',
    rounds: 5,
    moves: true,
    lose: (cluster, leader) => {
      cluster.inNode(leader, 'ip', 'link', 'set', 'eth0', 'down');
      for (const pid of processesBelow(cluster.cgroup(leader))) process.kill(pid, 'SIGKILL');
    },
    heal: async (cluster, leader) => {
      cluster.inNode(leader, 'ip', 'link', 'set', 'eth0', 'up');
      await cluster.start();
    },
  },
  {
    name: 'link down',
    rounds: 5,
    moves: true,
    lose: (cluster, leader) => void cluster.inNode(leader, 'ip', 'link', 'set', 'eth0', 'down'),
    heal: async (cluster, leader) => void cluster.inNode(leader, 'ip', 'link', 'set', 'eth0', 'up'),
  },
  {
    name: `SIGSTOP for ${FREEZE_MS / 1000} s`,
    rounds: 5,
    moves: true,
    lose: (cluster, leader) => process.kill(cluster.pid(leader), 'SIGSTOP'),
    heal: async (cluster, leader) => void process.kill(cluster.pid(leader), 'SIGCONT'),
  },
];

export async function failoverBench(rounds: number | undefined, only: string): Promise<void> {
  await using cluster = new TestCluster(`b${randomBytes(2).toString('hex')}`);
  await cluster.start();
  await cluster.docker(1, 'service', 'scale', '-d', `demo_web=${TASKS}`);
  await cluster.running(1, 'demo_web', TASKS);
  const lines: string[] = [];
  for (const way of WAYS.filter(({ name }) => name.includes(only))) {
    const results: Outcome[] = [];
    for (let round = 0; round < (rounds ?? way.rounds); round++) results.push(await once(cluster, way));
    const gaps = results.map(({ gapMs }) => gapMs);
    const moves = results.flatMap(({ movedMs }) => movedMs ?? []);
    const kept = results.reduce((sum, { acknowledged }) => sum + acknowledged, 0);
    lines.push(`| ${way.name} | ${results.length} | ${summary(gaps)} | ${summary(moves)} | ${kept} |`);
    console.log(lines.at(-1));
  }
  console.log(
    `\nload average ${loadavg()[0]?.toFixed(1)}, Node ${process.versions.node}, three managers on one machine\n`,
  );
  console.log(
    '| the leader is lost by | rounds | gap in accepted writes, ms | tasks elsewhere, ms | services acknowledged, none lost |',
  );
  console.log('|---|---|---|---|---|');
  for (const line of lines) console.log(line);
}

interface Outcome {
  readonly gapMs: number;
  readonly movedMs: number | undefined;
  readonly acknowledged: number;
}

async function once(cluster: TestCluster, way: Way): Promise<Outcome> {
  const leader = await cluster.leader();
  const survivor = NODES.find((node) => node !== leader) ?? 1;
  const lostId = await nodeId(cluster, survivor, leader);
  const before = await spread(cluster, survivor, lostId);
  const loop = createLoop(cluster.socket(survivor));
  await loop.accepted();
  way.lose(cluster, leader);
  const lostAtMs = performance.now();
  const probe = way.name.startsWith('kill') ? undefined : oldLeaderWrites(cluster, leader, way);
  const moved = way.moves ? await movedFrom(cluster, survivor, lostId, lostAtMs) : undefined;
  await loop.accepted();
  const gapMs = loop.gapMs(lostAtMs);
  await probe;
  if (way.name.startsWith('SIGSTOP')) await sleep(Math.max(0, lostAtMs + FREEZE_MS - performance.now()));
  await way.heal(cluster, leader);
  await settled(cluster, leader);
  const names = await loop.stop();
  await expectAll(cluster, leader, names);
  const after = await cluster.running(leader, 'demo_web', TASKS);
  if (!way.moves) assert.deepEqual(pids(after), pids(before), 'a container was restarted');
  assert.equal(new Set(after.map(({ Slot }) => Slot)).size, TASKS, 'a slot is missing or twice');
  await cluster.until(async () => (await containers(cluster)) === TASKS, {
    withinMs: 20_000,
    what: 'one container for each slot',
  });
  await removeAll(cluster, leader, names);
  return { gapMs, movedMs: moved, acknowledged: names.length };
}

// ---- The loop of writes ----

interface Loop {
  /** Resolves with the next accepted write. */
  accepted(): Promise<void>;
  /** From `sinceMs` to the first write that was asked for and accepted after it. */
  gapMs(sinceMs: number): number;
  /** Ends the loop; the names of all acknowledged services. */
  stop(): Promise<string[]>;
}

function createLoop(socketPath: string): Loop {
  const names: string[] = [];
  const times: { askedMs: number; doneMs: number }[] = [];
  let waiting: (() => void)[] = [];
  let stopped = false;
  const loop = (async () => {
    for (let count = 0; !stopped; count++) {
      const askedMs = performance.now();
      const name = `loop-${count}-${randomBytes(4).toString('hex')}`;
      const status = await create(socketPath, name);
      if (status !== 201) continue;
      names.push(name);
      times.push({ askedMs, doneMs: performance.now() });
      for (const wake of waiting) wake();
      waiting = [];
      await sleep(5);
    }
  })();
  return {
    accepted: () => new Promise((resolve) => waiting.push(resolve)),
    gapMs: (sinceMs) => (times.find(({ doneMs }) => doneMs > sinceMs)?.doneMs ?? Number.NaN) - sinceMs,
    stop: async () => {
      stopped = true;
      await loop;
      return names;
    },
  };
}

/** The status of the answer; 0 for none. */
async function create(socketPath: string, name: string, timeoutMs = 5_000): Promise<number> {
  const json = {
    Name: name,
    TaskTemplate: { ContainerSpec: { Image: 'shoal-demo:v1' } },
    Mode: { Replicated: { Replicas: 0 } },
  };
  try {
    return (await callEngine(socketPath, 'POST', '/services/create', { json, timeoutMs })).status;
  } catch {
    return 0;
  }
}

/** Writes to the leader that is cut off or asleep: none may be acknowledged. */
async function oldLeaderWrites(cluster: TestCluster, leader: number, way: Way): Promise<void> {
  if (way.name.includes('killed')) return;
  const name = `never-${randomBytes(4).toString('hex')}`;
  const status = await create(cluster.socket(leader), name, 3_000);
  assert.notEqual(status, 201, 'the old leader acknowledged a write');
}

// ---- Steps ----

/** The tasks, some of them on the node that is going to be lost: tasks do not come back to a node by themselves. */
async function spread(cluster: TestCluster, asked: number, lostId: string): Promise<TaskJson[]> {
  const tasks = await cluster.running(asked, 'demo_web', TASKS);
  if (tasks.some(({ NodeID }) => NodeID === lostId)) return tasks;
  for (const count of [0, TASKS]) {
    await cluster.docker(asked, 'service', 'scale', '-d', `demo_web=${count}`);
    await cluster.running(asked, 'demo_web', count);
  }
  return await cluster.running(asked, 'demo_web', TASKS);
}

async function movedFrom(cluster: TestCluster, asked: number, lostId: string, sinceMs: number): Promise<number> {
  await cluster.until(
    async () => {
      const tasks = await cluster.tasks(asked, 'demo_web');
      return tasks.length === TASKS && tasks.every((task) => task.Status.State === 'running' && task.NodeID !== lostId);
    },
    { withinMs: 60_000, what: 'the tasks run elsewhere' },
  );
  return performance.now() - sinceMs;
}

/** Every node is ready, also in the eyes of the one that was lost. */
async function settled(cluster: TestCluster, asked: number): Promise<void> {
  await cluster.until(
    async () => {
      const nodes = await cluster.json<{ Status: { State: string } }[]>(asked, '/nodes');
      return nodes.length === NODES.length && nodes.every(({ Status }) => Status.State === 'ready');
    },
    { withinMs: 30_000, what: 'all nodes are ready' },
  );
}

async function expectAll(cluster: TestCluster, asked: number, names: readonly string[]): Promise<void> {
  const services = await cluster.json<{ Spec: { Name: string } }[]>(asked, '/services');
  const there = new Set(services.map(({ Spec }) => Spec.Name));
  assert.deepEqual(
    names.filter((name) => !there.has(name)),
    [],
    'an acknowledged service is lost',
  );
  assert.deepEqual(
    [...there].filter((name) => name.startsWith('never-')),
    [],
    'a refused service exists',
  );
}

async function removeAll(cluster: TestCluster, asked: number, names: readonly string[]): Promise<void> {
  for (const name of names) await cluster.api(asked, 'DELETE', `/services/${name}`);
}

async function containers(cluster: TestCluster): Promise<number> {
  const lists = await Promise.all(NODES.map((node) => cluster.json<unknown[]>(node, '/containers/json')));
  return lists.flat().length;
}

async function nodeId(cluster: TestCluster, asked: number, node: number): Promise<string> {
  const nodes = await cluster.json<{ ID: string; Description: { Hostname: string } }[]>(asked, '/nodes');
  return nodes.find(({ Description }) => Description.Hostname === `node${node}`)?.ID ?? '';
}

const pids = (tasks: readonly TaskJson[]): number[] =>
  tasks.map((task) => task.Status.ContainerStatus?.PID ?? 0).toSorted((a, b) => a - b);

function processesBelow(folder: string): number[] {
  const inner = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const own = readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
  return [...own, ...inner.flatMap((entry) => processesBelow(join(folder, entry.name)))];
}

/** Median and range. */
function summary(values: readonly number[]): string {
  if (values.length === 0) return '–';
  const sorted = values.toSorted((a, b) => a - b).map((value) => value.toFixed(0));
  return `${sorted[sorted.length >> 1]} [${sorted[0]}–${sorted.at(-1)}]`;
}
