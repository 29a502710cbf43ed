import assert from 'node:assert/strict';
import type { NodeId, TaskId } from '../../proto/objects.ts';
import { diffSlots, newestFirst, type PlanTask, slotsOf } from '../../manager/orchestrator/slots.ts';
import { anId, aTask } from '../support/objects.ts';

let count = 0;
function aSlotTask(slot: number, changes: Partial<PlanTask> & { node?: number } = {}): PlanTask {
  count += 1;
  const { node, ...rest } = changes;
  return {
    ...aTask(),
    id: anId('task', count) as TaskId,
    identity: { kind: 'slot', slot },
    status: { state: 'running', atMs: 0, message: '' },
    ...(node !== undefined && { nodeId: anId('node', node) as NodeId }),
    ...rest,
  };
}

const filled = (...tasks: PlanTask[]) => [...slotsOf(tasks).values()];
const up = (): boolean => true;
const pending = { state: 'pending', atMs: 0, message: '' } as const;

describe('the difference between replicas and slots', () => {
  it('is nothing when they agree', () => {
    assert.deepEqual(diffSlots(1, filled(aSlotTask(1)), up), { add: [], remove: [] });
  });

  it('adds the lowest free numbers', () => {
    assert.deepEqual(diffSlots(5, filled(aSlotTask(2), aSlotTask(4)), up).add, [1, 3, 5]);
  });

  for (const [what, tasks, replicas, removed] of [
    [
      'slots that do not run before all others',
      [aSlotTask(1, { node: 1, status: pending }), aSlotTask(2, { node: 1 }), aSlotTask(3, { node: 2 })],
      2,
      ['1'],
    ],
    [
      'from the node with most copies',
      [aSlotTask(1, { node: 1 }), aSlotTask(2, { node: 1 }), aSlotTask(3, { node: 1 }), aSlotTask(4, { node: 2 })],
      2,
      ['3', '2'],
    ],
    ['the highest slot where nodes are even', [aSlotTask(1, { node: 1 }), aSlotTask(2, { node: 2 })], 1, ['2']],
    [
      'down to an even spread',
      [1, 2, 3, 4, 5, 6].map((slot) => aSlotTask(slot, { node: slot < 5 ? 1 : 2 })),
      2,
      ['4', '3', '6', '2'],
    ],
  ] as const) {
    it(`removes ${what}`, () => {
      const { remove } = diffSlots(replicas, filled(...tasks), up);
      assert.deepEqual(
        remove.map((slot) => slot.key),
        removed,
      );
    });
  }

  it('counts a slot on a lost node as not running', () => {
    const tasks = [aSlotTask(1, { node: 1 }), aSlotTask(2, { node: 2 })];
    const { remove } = diffSlots(1, filled(...tasks), (task) => task.nodeId !== anId('node', 1));
    assert.deepEqual(
      remove.map((slot) => slot.key),
      ['1'],
    );
  });
});

describe('tasks of a slot', () => {
  it('leave out those that are being removed', () => {
    assert.equal(slotsOf([aSlotTask(1, { desired: 'remove' })]).size, 0);
  });

  for (const [what, newer, older] of [
    ['by birth', aSlotTask(1, { createdAtMs: 2 }), aSlotTask(1, { createdAtMs: 1 })],
    ['the wanted one first, born together', aSlotTask(1), aSlotTask(1, { desired: 'shutdown' })],
    [
      'the more often restarted first, born together',
      aSlotTask(1, { desired: 'shutdown', restartTimesMs: [1, 2] }),
      aSlotTask(1, { desired: 'shutdown', restartTimesMs: [1] }),
    ],
  ] as const) {
    it(`are ordered ${what}`, () => {
      assert.ok(newestFirst(newer, older) < 0);
      assert.ok(newestFirst(older, newer) > 0);
    });
  }

  it('are ordered by the chain, born together', () => {
    const first = aSlotTask(1);
    const second = aSlotTask(1, { replaces: first.id, desired: 'shutdown' });
    assert.ok(newestFirst(second, first) < 0);
    assert.ok(newestFirst(first, second) > 0);
  });
});
