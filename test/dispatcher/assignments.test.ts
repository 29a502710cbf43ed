import assert from 'node:assert/strict';
import { parseIngress, parseTask } from '../../proto/assignment.ts';
import type { Node, NodeId, Service, Task, TaskId } from '../../proto/objects.ts';
import { Assignments, type Delta } from '../../manager/dispatcher/assignments.ts';
import { createMemoryStore } from '../support/memory-store.ts';
import { aNode, aService, anId, aTask } from '../support/objects.ts';
import { until } from '../support/until.ts';

const [A, B] = [anId('node', 1) as NodeId, anId('node', 2) as NodeId];
const port = { protocol: 'tcp', targetPort: 80, publishedPort: 8080, publishMode: 'ingress' } as const;

async function setUp() {
  const { store } = createMemoryStore();
  const abort = new AbortController();
  const assignments = new Assignments(store);
  await store.update((tx) => {
    tx.nodes.put(aNode({ id: A, dataAddress: '10.0.0.1' }));
    tx.nodes.put(aNode({ id: B, dataAddress: '10.0.0.2' }));
    tx.services.put(aService({ endpointPorts: [port] }));
  });
  const running = assignments.run(abort.signal).catch(() => undefined);
  const told: Delta[] = [];
  assignments.follow(A, (delta) => told.push(delta));
  const current = () => until('it follows', () => assignments.index === store.view().version);
  const put = async (task: Partial<Task>) => {
    await store.update((tx) => {
      const known = task.id && tx.tasks.get(task.id);
      tx.tasks.put({ ...(known ?? aTask({ nodeId: A, status: state('assigned') })), ...task });
    });
    await current();
  };
  const end = async () => {
    abort.abort();
    await running;
  };
  return { store, assignments, told, put, current, end };
}

const state = (name: Task['status']['state']) => ({ state: name, atMs: 0, message: '' });
const T1 = anId('task', 1) as TaskId;
const T2 = anId('task', 2) as TaskId;
const names = (delta: Delta | undefined) =>
  delta?.items.map(({ kind, id, body }) => `${body ? '' : '-'}${kind} ${id.slice(-1)}`).sort();

describe('assignments', () => {
  it('tell a node of its own tasks once they are assigned, and of nobody else’s', async () => {
    const { told, put, end } = await setUp();
    await put({ id: T1, status: state('pending') });
    await put({ id: T2, nodeId: B });
    assert.deepEqual(told, []);
    await put({ id: T1, status: state('assigned') });
    assert.deepEqual(told.map(names), [['task 1']]);
    await end();
  });

  it('do not echo a node’s own report', async () => {
    const { told, put, end } = await setUp();
    await put({ id: T1 });
    await put({ id: T1, status: state('preparing') });
    assert.equal(told.length, 1);
    await put({ id: T1, desired: 'shutdown' });
    assert.equal(told.length, 2);
    await end();
  });

  it('tell an agent that has forgotten everything how far its tasks are', async () => {
    const { assignments, put, end } = await setUp();
    await put({ id: T1 });
    await put({ id: T1, status: state('failed') });
    const { items } = assignments.since(A, 0);
    const body = items.find(({ kind }) => kind === 'task')?.body?.() ?? assert.fail();
    assert.equal(parseTask(body).status.state, 'failed');
    await end();
  });

  it('go on from an applied index with what changed since, removals included', async () => {
    const { store, assignments, put, current, end } = await setUp();
    await put({ id: T1 });
    const applied = assignments.index;
    await put({ id: T2 });
    await store.update((tx) => tx.tasks.remove(T1));
    await current();
    const delta = assignments.since(A, applied);
    assert.deepEqual([delta.from, delta.to, names(delta)], [applied, assignments.index, ['-task 1', 'task 2']]);
    await end();
  });

  it('come whole for an index from before this manager watched', async () => {
    const { assignments, put, end } = await setUp();
    await put({ id: T1 });
    const delta = assignments.since(A, 0);
    assert.deepEqual([delta.from, names(delta)], [0, ['ingress 1', 'task 1']]);
    await end();
  });

  it('name a node for a published port while it is ready and has a running task that is wanted', async () => {
    const { store, assignments, put, current, end } = await setUp();
    const entry = () => {
      const item = assignments.since(A, 0).items.find(({ kind }) => kind === 'ingress');
      return parseIngress(item?.body?.() ?? assert.fail());
    };
    const nodes = () => entry().nodes.map(({ address }) => address);
    const node = (id: NodeId, change: (node: Node) => Partial<Node>) =>
      store.update((tx) => {
        const known = tx.nodes.get(id) ?? assert.fail();
        tx.nodes.put({ ...known, ...change(known) });
      });
    await put({ id: T1, nodeId: B, status: state('starting') });
    assert.deepEqual(nodes(), []);
    await put({ id: T1, status: state('running') });
    assert.deepEqual(nodes(), ['10.0.0.2']);
    await node(B, ({ status }) => ({ status: { ...status, state: 'disconnected' } }));
    await current();
    assert.deepEqual([nodes(), entry().lost], [[], []]);
    await node(B, ({ status }) => ({ status: { ...status, state: 'down' } }));
    await current();
    assert.deepEqual([nodes(), entry().lost], [[], ['10.0.0.2']]);
    await node(B, ({ status }) => ({ status: { ...status, state: 'ready' } }));
    await current();
    assert.deepEqual(nodes(), ['10.0.0.2']);
    await put({ id: T1, desired: 'shutdown' });
    assert.deepEqual(nodes(), []);
    await end();
  });

  it('take a service’s ports away with it', async () => {
    const { store, assignments, told, current, end } = await setUp();
    const applied = assignments.index;
    const { id } = aService() as Service;
    await store.update((tx) => tx.services.remove(id));
    await current();
    assert.deepEqual(told.map(names), [['-ingress 1']]);
    assert.deepEqual(names(assignments.since(B, applied)), ['-ingress 1']);
    await end();
  });
});
