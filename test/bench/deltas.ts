// `npm run bench -- --deltas`: what a network over 1 000 nodes with 50 000 tasks costs the managers, in one process and
// without a wire: the whole of it for a node that is new, and 100 new tasks for all nodes that are there.
import { systemClock } from '../../base/clock.ts';
import { Assignments, type Delta } from '../../manager/dispatcher/assignments.ts';
import type { Store } from '../../manager/store/contract.ts';
import type { NetworkId, NodeId, ServiceId, TaskId } from '../../proto/objects.ts';
import { createMemoryStore } from '../support/memory-store.ts';
import { aNetwork, anId, aNode, aService, aServiceSpec, aTask } from '../support/objects.ts';
import { until } from '../support/until.ts';

const NODES = 1_000;
const SERVICES = 100;
const TASKS = 50_000;
const CHANGED = 100;
const ROUNDS = 10;
type Writable = Parameters<Parameters<Store['update']>[0]>[0];
const NETWORK = anId('network', 1) as NetworkId;

const write = (line: string): void => void process.stdout.write(`${line}\n`);
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
const nodeOf = (number: number): NodeId => anId('node', number % NODES) as NodeId;
const bytesOf = ({ items }: Delta, isCounted = (_kind: string): boolean => true): number =>
  items.reduce((sum, { kind, id, body }) => sum + (isCounted(kind) ? id.length + (body?.().length ?? 0) : 0), 0);

async function fill(store: Store): Promise<void> {
  await store.update((tx) => {
    for (let n = 0; n < NODES; n += 1) {
      tx.nodes.put(aNode({ id: nodeOf(n), dataAddress: `192.0.${n >> 8}.${n & 255}` }));
    }
    tx.networks.put(aNetwork({ id: NETWORK, subnet: '10.0.0.0/14', gateway: '10.0.0.1' }));
  });
  const each = TASKS / SERVICES;
  for (let s = 0; s < SERVICES; s += 1) {
    const service = aService({ id: anId('service', s) as ServiceId, spec: aServiceSpec({ name: `s${s}` }) });
    await store.update((tx) => {
      tx.services.put(service);
      for (let t = 0; t < each; t += 1) putTask(tx, service, s * each + t);
    });
  }
}

function putTask(tx: Writable, service: Parameters<typeof aTask>[1], number: number): void {
  const address = `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`;
  const status = { state: 'running', atMs: 0, message: 'started' } as const;
  const attachments = [{ networkId: NETWORK, address }];
  tx.tasks.put(aTask({ id: anId('task', number) as TaskId, nodeId: nodeOf(number), attachments, status }, service));
}

/** 100 tasks more run. */
async function change(store: Store, round: number): Promise<void> {
  const service = aService({ id: anId('service', 0) as ServiceId, spec: aServiceSpec({ name: 's0' }) });
  await store.update((tx) => {
    for (let t = 0; t < CHANGED; t += 1) putTask(tx, service, TASKS + round * CHANGED + t);
  });
}

export async function deltasBench(): Promise<void> {
  const { store } = createMemoryStore({ clock: systemClock });
  await fill(store);
  const assignments = new Assignments(store);
  const abort = new AbortController();
  const startMs = performance.now();
  const running = assignments.run(abort.signal).catch(() => undefined);
  await until('it follows', () => assignments.index === store.view().version, { withinMs: 60_000 });
  write(`${NODES} nodes, ${TASKS} tasks on one network`);
  write(`first scan: ${Math.round(performance.now() - startMs)} ms`);
  const wholeMs: number[] = [];
  let whole = 0;
  for (let round = 0; round < 5; round += 1) {
    const fromMs = performance.now();
    whole = bytesOf(assignments.since(nodeOf(round), 0), (kind) => kind !== 'task');
    wholeMs.push(performance.now() - fromMs);
  }
  write(
    `the whole network for one node: ${(whole / 1e6).toFixed(1)} MB (${Math.round(whole / TASKS)} bytes a task), ${Math.round(median(wholeMs))} ms`,
  );
  let [told, bytes] = [0, 0];
  for (let n = 0; n < NODES; n += 1) {
    assignments.follow(nodeOf(n), (delta) => {
      told += 1;
      bytes += bytesOf(delta, (kind) => kind !== 'task');
    });
  }
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    [told, bytes] = [0, 0];
    const fromMs = performance.now();
    await change(store, round);
    await until('all nodes are told', () => told >= NODES, { withinMs: 30_000 });
    times.push(performance.now() - fromMs);
  }
  write(
    `${CHANGED} new tasks told to ${NODES} nodes: ${Math.round(median(times))} ms with the transaction, ` +
      `${(bytes / NODES / 1e3).toFixed(1)} kB for each, ${(bytes / 1e6).toFixed(1)} MB for all`,
  );
  abort.abort();
  await running;
}
