import assert from 'node:assert/strict';
import { surplusOf } from '../../manager/orchestrator/constraint-enforcer.ts';
import type { Node, Task, TaskId } from '../../proto/objects.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { anId, aTask, aTaskSpec } from '../support/objects.ts';

function reserving(number: number, nanoCpus: number, memoryBytes: number, changes: Partial<Task> = {}): Task {
  const spec = aTaskSpec({ reservations: { nanoCpus, memoryBytes } });
  const status = { state: 'running', atMs: 0, message: '' } as const;
  const task = aTask({ id: anId('task', number) as TaskId, spec, status, ...changes });
  return { ...task, version: 1, createdAtMs: number, updatedAtMs: number };
}
const numbers = (tasks: readonly Task[]): number[] => tasks.map((task) => task.createdAtMs);

describe('the constraint enforcer', () => {
  for (const [what, tasks, surplus] of [
    ['leaves what fits', [reserving(1, 2, 2), reserving(2, 2, 2)], []],
    ['stops the newest first', [reserving(1, 2, 0), reserving(2, 2, 0), reserving(3, 2, 0)], [3]],
    ['stops only what helps', [reserving(1, 0, 5), reserving(2, 4, 0)], [1]],
    ['does not count what is being stopped', [reserving(1, 4, 0), reserving(2, 4, 0, { desired: 'shutdown' })], []],
    ['never stops what reserves nothing', [reserving(1, 5, 0), reserving(2, 0, 0)], [1]],
  ] as const) {
    it(what, () => assert.deepEqual(numbers(surplusOf(tasks, { nanoCpus: 4, memoryBytes: 4 })), surplus));
  }

  it('moves tasks from a node that has shrunk, each after its predecessor stopped', async () => {
    await using plane = await ControlPlane.start({ nodes: 2 });
    const task = aTaskSpec({ container: { image: 'good:1' }, reservations: { nanoCpus: 1e9, memoryBytes: 0 } });
    const id = await plane.create({ mode: { kind: 'replicated', replicas: 4 }, task });
    await plane.until(() => plane.running(id).length === 4);
    await plane.changeNode(1, (node: Node) => {
      const description = node.description && { ...node.description, resources: { nanoCpus: 1e9, memoryBytes: 1e9 } };
      return { ...node, ...(description && { description }) };
    });
    await plane.until(
      () => plane.running(id).length === 4 && plane.running(id).filter((t) => t.nodeId?.endsWith('1')).length === 1,
    );
    assert.equal(plane.agents.overlaps, 0);
  });
});
