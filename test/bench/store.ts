// What the store costs at 50 000 tasks: heap per task, updates and applied entries per second, how long a snapshot and
// a restore hold the event loop: `npm run bench -- --store`.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { systemClock } from '../../base/clock.ts';
import type { ReplicatedStore, SnapshotChunk } from '../../manager/store/contract.ts';
import { createStore } from '../../manager/store/store.ts';
import type { NodeId, ServiceId, Task, TaskStatus } from '../../proto/objects.ts';
import { createMemoryProposer } from '../support/memory-proposer.ts';
import { createMemoryStore } from '../support/memory-store.ts';
import { aNode, aService, aServiceSpec, aTask, aTaskSpec, anId } from '../support/objects.ts';

const SERVICES = 100;
const TASKS = 50_000;
const NODES = 1_000;
const BATCH = 200;

interface Row {
  readonly what: string;
  readonly value: string;
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const rows: Row[] = [];
const row = (what: string, value: string): void => void rows.push({ what, value });

function heapBytes(): number {
  collectGarbage();
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** Seconds that `work` takes. */
async function timed(work: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await work();
  return (performance.now() - startMs) / 1_000;
}

/** The longest time that `work` kept timers waiting, in milliseconds. */
async function longestHold(work: () => Promise<void>): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await work();
  delay.disable();
  return delay.max / 1e6;
}

const env = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin', 'DATABASE_URL=postgres://db.internal:5432/app'];

function service(number: number): ReturnType<typeof aService> {
  return aService({
    id: anId('service', number) as ServiceId,
    spec: aServiceSpec({
      name: `service-${number}`,
      labels: { 'com.docker.stack.namespace': 'bench', 'com.docker.stack.image': 'demo:1' },
      task: aTaskSpec({
        container: { env, labels: { 'com.docker.stack.namespace': 'bench' } },
        placement: { constraints: ['node.role==worker'], preferences: [], replicasPerNodeMax: 0 },
      }),
    }),
  });
}

async function fill(store: ReplicatedStore): Promise<void> {
  await store.update((tx) => {
    for (let number = 0; number < SERVICES; number += 1) tx.services.put(service(number));
  });
  for (let number = 0; number < NODES; number += BATCH) {
    await store.update((tx) => {
      for (let each = number; each < number + BATCH; each += 1) tx.nodes.put(aNode({ id: anId('node', each) }));
    });
  }
}

async function createTasks(store: ReplicatedStore): Promise<void> {
  for (let from = 0; from < TASKS; from += BATCH) {
    await store.update((tx) => {
      for (let number = from; number < from + BATCH; number += 1) tx.tasks.put(newTask(store, number));
    });
  }
}

function newTask(store: ReplicatedStore, number: number): ReturnType<typeof aTask> {
  const owner = store.view().services.get(anId('service', number % SERVICES));
  if (!owner) throw new Error('the services come first');
  const identity = { kind: 'slot', slot: Math.floor(number / SERVICES) + 1 } as const;
  return aTask({ id: anId('task', number), identity }, owner);
}

async function changeAll(store: ReplicatedStore, change: (task: Task, number: number) => Task): Promise<void> {
  for (let from = 0; from < TASKS; from += BATCH) {
    await store.update((tx) => {
      for (let number = from; number < from + BATCH; number += 1) {
        const task = tx.tasks.get(anId('task', number));
        if (task) tx.tasks.put(change(task, number));
      }
    });
  }
}

const runningStatus = (number: number): TaskStatus => ({
  state: 'running',
  atMs: 1_700_000_000_000 + number,
  message: 'started',
  containerId: number.toString(16).padStart(64, 'c'),
  pid: 10_000 + number,
});

async function collect(chunks: AsyncIterable<SnapshotChunk>): Promise<SnapshotChunk[]> {
  const all: SnapshotChunk[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

async function* replay(chunks: readonly SnapshotChunk[]): AsyncGenerator<SnapshotChunk> {
  yield* chunks;
}

const rate = (count: number, seconds: number): string => `${Math.round(count / seconds)}/s`;
const milliseconds = (value: number): string => `${value.toFixed(1)} ms`;

const leader = createMemoryStore({ clock: systemClock });
await fill(leader.store);
const before = heapBytes();
row(`tasks created, ${BATCH} a transaction`, rate(TASKS, await timed(() => createTasks(leader.store))));
row(
  `tasks assigned, ${BATCH} a transaction`,
  rate(
    TASKS,
    await timed(() =>
      changeAll(leader.store, (task, number) => ({ ...task, nodeId: anId('node', number % NODES) as NodeId })),
    ),
  ),
);
row(
  `statuses reported, ${BATCH} a transaction`,
  rate(TASKS, await timed(() => changeAll(leader.store, (task, n) => ({ ...task, status: runningStatus(n) })))),
);
const logBytes = bytesIn(leader.proposer.entries);
row('log bytes per task (created, assigned, running)', `${Math.round(logBytes / TASKS)}`);
row('heap per task, leader', `${Math.round((heapBytes() - before) / TASKS)} bytes`);
row('one-object transactions, one after the other', rate(5_000, await timed(() => single(leader.store, 5_000))));

const follower = createStore({ proposer: createMemoryProposer(), clock: systemClock });
const changes = leader.proposer.entries.length;
const seconds = await timed(async () => {
  for (const { index, entry } of leader.proposer.entries) follower.apply(index, entry);
});
row(`entries applied by a follower (${changes})`, rate(changes, seconds));

let chunks: SnapshotChunk[] = [];
row(
  'snapshot: longest hold of the event loop',
  milliseconds(await longestHold(async () => void (chunks = await collect(leader.store.snapshot())))),
);
row('snapshot: time', milliseconds(1_000 * (await timed(async () => void (await collect(leader.store.snapshot()))))));
row('snapshot: bytes per task', `${Math.round(chunks.reduce((sum, { bytes }) => sum + bytes.length, 0) / TASKS)}`);
const restored = createStore({ proposer: createMemoryProposer(), clock: systemClock });
const index = leader.store.view().version;
row(
  'restore: longest hold of the event loop',
  milliseconds(await longestHold(() => restored.restore(index, replay(chunks)))),
);
if (restored.stateDigest() !== leader.store.stateDigest()) throw new Error('the restored state differs');

for (const { what, value } of rows) process.stdout.write(`${what.padEnd(56)} ${value}\n`);

async function single(store: ReplicatedStore, count: number): Promise<void> {
  for (let number = 0; number < count; number += 1) {
    await store.update((tx) => {
      const task = tx.tasks.get(anId('task', number));
      if (task) tx.tasks.put({ ...task, desired: 'shutdown' });
    });
  }
}

function bytesIn(entries: readonly { readonly entry: Uint8Array }[]): number {
  return entries.reduce((sum, { entry }) => sum + entry.length, 0);
}
