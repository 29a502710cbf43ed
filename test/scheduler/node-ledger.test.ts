import assert from 'node:assert/strict';
import { NodeLedger } from '../../manager/scheduler/node-ledger.ts';
import { placeGroup } from '../../manager/scheduler/placement.ts';
import type { NetworkId, Node, NodeId, Resources, Task, TaskId, TaskSpec, TaskState } from '../../proto/objects.ts';
import { anId, aNode, aTask, aTaskSpec } from '../support/objects.ts';

const nodeId = anId('node', 1) as NodeId;
const meta = { version: 1, createdAtMs: 0, updatedAtMs: 0 };
const node: Node = { ...aNode({ id: nodeId }), ...meta };
const id = (number: number): TaskId => anId('task', number) as TaskId;

function aHolding(number: number, reservations: Resources, changes: Partial<Task> & { state?: TaskState } = {}): Task {
  const { state = 'running', ...rest } = changes;
  const status = { state, atMs: 0, message: '' };
  const port = { protocol: 'tcp', targetPort: 80, publishedPort: 8080, publishMode: 'host' } as const;
  return {
    ...aTask({ id: id(number), nodeId, spec: aTaskSpec({ reservations }), status, ports: [port], ...rest }),
    ...meta,
  };
}

const cpus = (count: number): Resources => ({ nanoCpus: count * 1e9, memoryBytes: 0 });

function aLedger(...tasks: readonly Task[]) {
  const ledger = new NodeLedger();
  ledger.putNode(node);
  for (const task of tasks) ledger.putTask(task, 0);
  const entry = ledger.entry(nodeId);
  assert.ok(entry);
  return { ledger, entry, freeCpus: (instead?: TaskId) => entry.free(instead).nanoCpus / 1e9 };
}

describe('the ledger of a node', () => {
  for (const [state, held] of [
    ['pending', 0],
    ['assigned', 3],
    ['running', 3],
    ['failed', 0],
    ['shutdown', 0],
  ] as const) {
    it(`holds ${held} processors for a task that is ${state}`, () => {
      assert.equal(aLedger(aHolding(1, cpus(3), { state })).freeCpus(), 4 - held);
    });
  }

  it('counts what is wanted apart from what is held', () => {
    const { entry } = aLedger(aHolding(1, cpus(1)), aHolding(2, cpus(1), { desired: 'shutdown' }));
    assert.equal(entry.tasksWanted, 1);
    assert.equal(entry.free().nanoCpus, 2e9);
  });

  it('counts ports of bridges, one for each network that a task is on', () => {
    const attachments = [{ networkId: anId('network', 1) as NetworkId, address: '10.0.1.3' }];
    const { ledger, entry } = aLedger(aHolding(1, cpus(1), { attachments }), aHolding(2, cpus(1)));
    assert.deepEqual(
      ['bridge', anId('network', 1)].map((network) => entry.bridgePortsOf(network)),
      [2, 1],
    );
    ledger.putTask(aHolding(1, cpus(1), { attachments, desired: 'shutdown' }), 0);
    assert.equal(entry.bridgePortsOf('bridge', id(1)), 1, 'who takes its place takes its port');
    ledger.forgetTask(id(1));
    assert.deepEqual(
      ['bridge', anId('network', 1)].map((network) => entry.bridgePortsOf(network)),
      [1, 0],
    );
  });

  it('takes no task on a bridge without a port for it, and says so (moby#44973, #31100)', () => {
    const { ledger, entry } = aLedger();
    const waiting = (number: number, networks: TaskSpec['networks'] = []): Task => ({
      ...aTask({ id: id(number), spec: aTaskSpec({ networks }), status: { state: 'pending', atMs: 0, message: '' } }),
      ...meta,
    });
    const { placed, blocked, explanation, yieldsToTasks } = placeGroup(
      Array.from({ length: 1_024 }, (_, at) => waiting(at + 1)),
      ledger,
      0,
    );
    assert.deepEqual([placed.length, blocked.length, yieldsToTasks], [1_022, 2, true]);
    assert.equal(explanation, "no suitable node (a network's bridge has its 1022 containers on 1 node)");
    assert.equal(entry.bridgePortsOf('bridge'), 1_022);
    const onLinksOfTheNode = placeGroup([waiting(2_000, [{ target: 'host', aliases: [] }])], ledger, 0);
    assert.equal(onLinksOfTheNode.placed.length, 1);
    ledger.takeBack(id(1));
    assert.equal(placeGroup([waiting(3_000)], ledger, 0).placed.length, 1);
  });

  it('comes out even however tasks change', () => {
    const { ledger, entry, freeCpus } = aLedger(aHolding(1, cpus(1)));
    ledger.putTask(aHolding(1, cpus(1), { desired: 'shutdown' }), 0);
    ledger.putTask(aHolding(2, cpus(2), { desired: 'ready', replaces: id(1) }), 0);
    ledger.putTask(aHolding(1, cpus(1), { desired: 'shutdown', state: 'shutdown' }), 0);
    ledger.putTask(aHolding(2, cpus(2), { desired: 'running' }), 0);
    assert.equal(freeCpus(), 2);
    assert.equal(ledger.forgetTask(id(2)), true);
    assert.equal(freeCpus(), 4);
    assert.equal(entry.tasksWanted, 0);
    assert.equal(entry.isPortTaken('8080/tcp'), false);
  });

  it('holds for a stopping task and its held successor what the larger asks', () => {
    const stopping = aHolding(1, cpus(2), { desired: 'shutdown' });
    const { ledger, freeCpus } = aLedger(stopping, aHolding(2, cpus(3), { desired: 'ready', replaces: id(1) }));
    assert.equal(freeCpus(), 1);
    ledger.putTask({ ...stopping, status: { ...stopping.status, state: 'shutdown' } }, 0);
    assert.equal(freeCpus(), 1);
  });

  it('holds both of a start-first pair', () => {
    assert.equal(aLedger(aHolding(1, cpus(2)), aHolding(2, cpus(2), { replaces: id(1) })).freeCpus(), 0);
  });

  it('lends what a stopping task holds to its successor only, and once', () => {
    const { ledger, entry, freeCpus } = aLedger(aHolding(1, cpus(4), { desired: 'shutdown' }));
    assert.equal(freeCpus(), 0);
    assert.equal(freeCpus(id(1)), 4);
    assert.equal(entry.isPortTaken('8080/tcp'), true);
    assert.equal(entry.isPortTaken('8080/tcp', id(1)), false);
    ledger.putTask(aHolding(2, cpus(4), { desired: 'ready', replaces: id(1), state: 'assigned' }), 0);
    assert.equal(freeCpus(id(1)), 0);
    assert.equal(entry.isPortTaken('8080/tcp', id(1)), true);
  });

  it('keeps an assumed placement until the store has it', () => {
    const { ledger, entry, freeCpus } = aLedger();
    const pending = aHolding(1, cpus(1), { state: 'pending' });
    ledger.assume(pending, entry);
    ledger.putTask(pending, 0); // late news of before
    assert.equal(freeCpus(), 3);
    ledger.putTask(aHolding(1, cpus(1), { state: 'assigned' }), 0);
    assert.equal(freeCpus(), 3);
    ledger.takeBack(id(1)); // nothing to take back any more
    assert.equal(freeCpus(), 3);
  });

  it('counts failures of a service within five minutes, each task once', () => {
    const { ledger, entry } = aLedger();
    for (let number = 1; number <= 5; number += 1) {
      assert.equal(entry.isFaultyFor(aTask().serviceId, 0), false);
      const failed = aHolding(number, cpus(0), { state: 'failed', updatedAtMs: number });
      ledger.putTask(failed, number);
      ledger.putTask(failed, number);
    }
    assert.equal(entry.isFaultyFor(aTask().serviceId, 10), true);
    assert.equal(entry.isFaultyFor(aTask().serviceId, 300_002), false);
  });
});
