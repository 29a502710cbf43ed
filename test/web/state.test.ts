import assert from 'node:assert/strict';
import type { TaskView } from '../../api/types/dashboard-feed.ts';
import { apply, EMPTY, isShown, versionOf } from '../../web/state.ts';

const task = (fields: Partial<TaskView>): TaskView => ({
  id: 't',
  serviceId: 's',
  nodeId: 'n',
  name: 'web.1',
  image: 'demo:v1',
  state: 'running',
  desired: 'running',
  error: '',
  memoryBytes: 0,
  nanoCpus: 0,
  ...fields,
});

describe("the dashboard's state", () => {
  it('takes changes on top of the whole state', () => {
    const first = apply(EMPTY, {
      type: 'state',
      nodes: [],
      services: [],
      tasks: [task({ id: 'a' }), task({ id: 'b' })],
      managers: [],
    });
    const next = apply(first, {
      type: 'changes',
      changes: [
        { kind: 'task', id: 'a' },
        { kind: 'task', id: 'c', view: task({ id: 'c' }) },
      ],
    });
    assert.deepEqual([...next.tasks.keys()], ['b', 'c']);
    assert.deepEqual([...first.tasks.keys()], ['a', 'b']);
  });

  it('keeps what it knows in trouble, and forgets the trouble with the next news', () => {
    const first = apply(EMPTY, { type: 'state', nodes: [], services: [], tasks: [task({})], managers: [] });
    const troubled = apply(first, { type: 'trouble', message: 'no quorum' });
    assert.equal(troubled.tasks.size, 1);
    assert.equal(troubled.trouble, 'no quorum');
    assert.equal(apply(troubled, { type: 'managers', managers: [] }).trouble, '');
  });

  for (const [what, fields, shown] of [
    ['a wanted task', { state: 'pending' }, true],
    ['an old task that still runs', { desired: 'shutdown' }, true],
    ['an old task that is over', { desired: 'shutdown', state: 'shutdown' }, false],
    ['a failed task that was replaced', { desired: 'shutdown', state: 'failed' }, false],
  ] as const) {
    it(`${shown ? 'shows' : 'hides'} ${what}`, () => assert.equal(isShown(task(fields)), shown));
  }

  it('reads the version off the image', () => {
    assert.deepEqual(['demo:v2', 'host:5000/demo', 'demo:v1@sha256:00'].map(versionOf), ['v2', 'latest', 'v1']);
  });
});
