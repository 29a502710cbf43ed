import assert from 'node:assert/strict';
import { Ingress } from '../../agent/ingress.ts';
import type { IngressTarget } from '../../agent/executor.ts';
import { ManualClock } from '../../base/manual-clock.ts';
import { silentLog } from '../../base/log.ts';
import type { IngressEntry } from '../../proto/assignment.ts';
import type { NodeId, Task, TaskId } from '../../proto/objects.ts';
import { anId, aTask } from '../support/objects.ts';

const me = anId('node', 1) as NodeId;
const port = { protocol: 'tcp', targetPort: 80, publishedPort: 8080, publishMode: 'ingress' } as const;
const task = (number: number): Task => ({
  ...aTask({ id: anId('task', number) as TaskId, nodeId: me, ports: [port] }),
  version: 40 + number,
  createdAtMs: 0,
  updatedAtMs: 0,
});
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

function setUp(options: { held?: boolean; suspected?: string[]; third?: boolean } = {}) {
  const applied: { index: number; local: number; remote: readonly string[] }[] = [];
  const affinities: (string | undefined)[] = [];
  const waits: number[] = [];
  const broken: (readonly string[])[] = [];
  let release: () => void = () => {};
  let others: (settled: boolean) => void = () => {};
  const clock = new ManualClock();
  const ingress = new Ingress({
    executor: {
      applyIngress: async (index, [target]: readonly IngressTarget[]) => {
        if (options.held) await new Promise<void>((resolve) => (release = resolve));
        affinities.push(target?.affinity);
        applied.push({
          index,
          local: target?.localTasks.length ?? 0,
          remote: target?.remotes.map(({ address }) => address) ?? [],
        });
      },
      breakConnections: async (addresses) => void broken.push(addresses),
    },
    nodeId: me,
    isSuspected: (address) => options.suspected?.includes(address) ?? false,
    clock,
    log: silentLog,
    awaitOthers: (index) => {
      waits.push(index);
      return new Promise((resolve) => (others = resolve));
    },
  });
  const { serviceId } = task(1);
  const nodes = [
    { nodeId: me, address: '10.0.0.1' },
    { nodeId: anId('node', 2), address: '10.0.0.2' },
    ...(options.third ? [{ nodeId: anId('node', 3), address: '10.0.0.3' }] : []),
  ];
  const assign = (index: number, lost: readonly string[] = [], more: Partial<IngressEntry> = {}): void =>
    ingress.assign(index, (entries) => entries.set(serviceId, { serviceId, ports: [port], nodes, lost, ...more }));
  assign(30);
  return {
    ingress,
    assign,
    broken,
    applied,
    affinities,
    waits,
    clock,
    release: () => release(),
    others: (settled: boolean) => others(settled),
  };
}

describe('published ports', () => {
  it('keep clients where their service does', async () => {
    const { assign, affinities } = setUp();
    await settle();
    assign(31, [], { affinity: 'client-address' });
    await settle();
    assert.deepEqual(affinities, [undefined, 'client-address']);
  });

  it('lead to other nodes until a task of our own serves', async () => {
    const { ingress, applied } = setUp();
    await ingress.settled();
    await ingress.enter(task(1));
    assert.deepEqual(applied.at(0), { index: 30, local: 0, remote: ['10.0.0.2'] });
    assert.equal(applied.at(-1)?.local, 1);
  });

  it('lead to nodes that are reached, or to all while none is', async () => {
    const suspected: string[] = [];
    const { ingress, applied } = setUp({ suspected, third: true });
    const after = async (...addresses: string[]): Promise<readonly string[] | undefined> => {
      const changed = new Set([...suspected, ...addresses]);
      suspected.splice(0, suspected.length, ...addresses);
      ingress.review(changed);
      await ingress.settled();
      return applied.at(-1)?.remote;
    };
    assert.deepEqual(await after('10.0.0.2'), ['10.0.0.3']);
    assert.deepEqual(await after('10.0.0.2', '10.0.0.3'), ['10.0.0.2', '10.0.0.3']);
    assert.deepEqual(await after(), ['10.0.0.2', '10.0.0.3']);
    const count = applied.length;
    await after('10.0.0.9');
    assert.equal(applied.length, count, 'nobody here is concerned');
  });

  it('have let go of a task before it is stopped', async () => {
    const { ingress, applied, release } = setUp({ held: true });
    await settle();
    release();
    await settle();
    for (const number of [1, 2]) {
      const entered = ingress.enter(task(number));
      await settle();
      release();
      await entered;
    }
    let stopped = false;
    const leaving = ingress.leave(task(1), 'stop').then(() => (stopped = true));
    await settle();
    assert.equal(stopped, false);
    release();
    await leaving;
    assert.equal(applied.at(-1)?.local, 1);
  });

  it('wait for the other nodes when the last task here leaves, and only then', async () => {
    const { ingress, waits, others } = setUp();
    await ingress.enter(task(1));
    await ingress.enter(task(2));
    await ingress.leave(task(1), 'stop');
    assert.deepEqual(waits, []);
    let stopped = false;
    const leaving = ingress.leave(task(2), 'stop').then(() => (stopped = true));
    await settle();
    assert.deepEqual([waits, stopped], [[42], false]);
    others(true);
    await leaving;
  });

  it('do not hold up a task that ended by itself', async () => {
    const { ingress, waits } = setUp();
    await ingress.enter(task(1));
    await ingress.leave(task(1), 'ended');
    assert.deepEqual(waits, []);
  });

  it('cut connections to a node that went down, once, after new ones lead elsewhere', async () => {
    const { assign, broken, applied } = setUp();
    await settle();
    const before = applied.length;
    assign(31, ['10.0.0.2']);
    await settle();
    assert.equal(applied.length, before + 1);
    assign(32, ['10.0.0.2']);
    await settle();
    assert.deepEqual(broken, [['10.0.0.2']]);
  });

  it('never keep a stop waiting for ever', async () => {
    const { ingress, clock, others } = setUp({ held: true });
    const entered = ingress.enter(task(1));
    await settle();
    clock.advance(2_000);
    await entered;
    const leaving = ingress.leave(task(1), 'stop');
    others(false);
    clock.advance(2_000);
    await leaving;
  });
});
