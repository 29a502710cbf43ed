// How fast the scheduler places tasks, and how long it holds the event loop: 1000 nodes that already hold 50 000 tasks
// of 250 services, then 5000 more. Run: node dist/test/bench/scheduler.js
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { seededRandom } from '../../base/random.ts';
import { runOrchestrator } from '../../manager/orchestrator/orchestrator.ts';
import { runScheduler } from '../../manager/scheduler/scheduler.ts';
import type { Proposer, Store } from '../../manager/store/contract.ts';
import { createStore } from '../../manager/store/store.ts';
import type { NodeId, ServiceId, TaskId } from '../../proto/objects.ts';
import { createMemoryProposer } from '../support/memory-proposer.ts';
import { anId, aNode, aService, aServiceSpec, aTask, aTaskSpec } from '../support/objects.ts';

const NODES = 1_000;
const SERVICES = 250;
const TASKS = 50_000;
const NEW_SERVICES = 5;
const NEW_TASKS = 5_000;

const write = (line: string): void => void process.stdout.write(`${line}\n`);

async function fill(store: Store): Promise<void> {
  for (let from = 0; from < NODES; from += 100) {
    await store.update((tx) => {
      for (let n = from; n < from + 100; n += 1) {
        const spec = { name: '', labels: { rack: `r${n % 20}` }, role: 'worker', availability: 'active' } as const;
        tx.nodes.put(aNode({ id: anId('node', n) as NodeId, spec }));
      }
    });
  }
  const each = TASKS / SERVICES;
  for (let s = 0; s < SERVICES; s += 1) {
    const spec = aServiceSpec({ name: `s${s}`, mode: { kind: 'replicated', replicas: each } });
    const service = aService({ id: anId('service', s) as ServiceId, spec });
    await store.update((tx) => {
      tx.services.put(service);
      for (let t = 0; t < each; t += 1) {
        const number = s * each + t;
        const nodeId = anId('node', number % NODES) as NodeId;
        const status = { state: 'running', atMs: 0, message: 'started' } as const;
        const id = anId('task', number) as TaskId;
        tx.tasks.put(aTask({ id, nodeId, status, identity: { kind: 'slot', slot: t + 1 } }, service));
      }
    });
  }
}

async function add(store: Store): Promise<void> {
  const each = NEW_TASKS / NEW_SERVICES;
  const task = aTaskSpec({
    placement: {
      constraints: ['node.role==worker'],
      preferences: [{ spread: 'node.labels.rack' }],
      replicasPerNodeMax: 0,
    },
    reservations: { nanoCpus: 1e6, memoryBytes: 1e6 },
  });
  for (let s = 0; s < NEW_SERVICES; s += 1) {
    const spec = aServiceSpec({ name: `new${s}`, mode: { kind: 'replicated', replicas: each }, task });
    await store.update((tx) => tx.services.put(aService({ id: anId('service', SERVICES + s) as ServiceId, spec })));
  }
}

const assigned = (store: Store): number => {
  let count = 0;
  for (let s = 0; s < NEW_SERVICES; s += 1) {
    const tasks = store.view().tasks.ofService(anId('service', SERVICES + s));
    count += tasks.filter((task) => task.status.state === 'assigned').length;
  }
  return count;
};

async function untilAssigned(store: Store, wanted: number): Promise<void> {
  while (assigned(store) < wanted) await systemClock.sleep(2);
}

/** A commit comes back by way of the event loop, as it does from the consensus worker. */
function storeBehindTheLoop(): Store {
  const memory = createMemoryProposer();
  const proposer: Proposer = {
    propose: async (entry, options) => {
      await new Promise((resolve) => setImmediate(resolve));
      return await memory.propose(entry, options);
    },
  };
  const made = createStore({ proposer, clock: systemClock });
  memory.attach(made);
  return made;
}

const store = storeBehindTheLoop();
await fill(store);
const over = new AbortController();
const given = { clock: systemClock, abort: over.signal, log: silentLog, random: seededRandom(1) };
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
let startMs = performance.now();
const loops = [runOrchestrator(store, given), runScheduler(store, given)];
await systemClock.sleep(500);
write(`take-over of ${NODES} nodes, ${TASKS} tasks: longest hold ${(delay.max / 1e6).toFixed(1)} ms`);
delay.reset();
startMs = performance.now();
await add(store);
await untilAssigned(store, NEW_TASKS);
const tookMs = performance.now() - startMs;
write(
  `${NEW_TASKS} tasks created and placed in ${tookMs.toFixed(0)} ms: ${((NEW_TASKS / tookMs) * 1_000).toFixed(0)} placements/s`,
);
write(`event loop held: p99 ${(delay.percentile(99) / 1e6).toFixed(1)} ms, longest ${(delay.max / 1e6).toFixed(1)} ms`);
const { rss, heapUsed } = process.memoryUsage();
write(`memory: ${(rss / 1e6).toFixed(0)} MB resident, ${(heapUsed / 1e6).toFixed(0)} MB of objects`);
over.abort();
await Promise.allSettled(loops);
