import assert from 'node:assert/strict';
import {
  parseEndpoint,
  parseIngress,
  parseNetwork,
  parseNetworkService,
  parsePeer,
  parseTask,
} from '../../proto/assignment.ts';
import type {
  EncryptionMeans,
  KeyringId,
  NetworkId,
  Node,
  NodeId,
  Service,
  Task,
  TaskId,
} from '../../proto/objects.ts';
import { Assignments, type Delta } from '../../manager/dispatcher/assignments.ts';
import { createMemoryStore } from '../support/memory-store.ts';
import { aNetwork, aNetworkSpec, aNode, aService, aServiceSpec, anId, aTask, aTaskSpec } from '../support/objects.ts';
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
/** Without the nodes, of which everybody is told. */
const names = (delta: Delta | undefined) =>
  delta?.items
    .filter(({ kind }) => kind !== 'peer')
    .map(({ kind, id, body }) => `${body ? '' : '-'}${kind} ${id.slice(-1)}`)
    .sort();

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

  it('tell everybody who the nodes are, and who is none any more', async () => {
    const { store, assignments, told, current, end } = await setUp();
    const peers = (delta: Delta | undefined) =>
      (delta?.items ?? [])
        .filter(({ kind }) => kind === 'peer')
        .map(({ id, body }) => `${id.slice(-1)} ${body ? parsePeer(body()).addresses.join() : '-'}`);
    const known = aNode({ id: B }).status.address;
    assert.deepEqual(peers(assignments.since(A, 0)), ['1 10.0.0.1', `2 10.0.0.2,${known}`]);
    const applied = assignments.index;
    await store.update((tx) => {
      const node = tx.nodes.get(B) ?? assert.fail();
      tx.nodes.put({ ...node, status: { ...node.status, state: 'down' } });
    });
    await current();
    assert.deepEqual(told.flatMap(peers), [], 'it may be back');
    await store.update((tx) => {
      const node = tx.nodes.get(B) ?? assert.fail();
      tx.nodes.put({ ...node, dataAddress: '10.0.0.9' });
    });
    await current();
    await store.update((tx) => tx.nodes.remove(B));
    await current();
    assert.deepEqual(told.flatMap(peers), [`2 10.0.0.9,${known}`, '2 -']);
    assert.deepEqual(peers(assignments.since(A, applied)), ['2 -']);
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

  it('say that a service keeps its clients, from the moment its label does', async () => {
    const { store, assignments, told, current, end } = await setUp();
    const spec = aServiceSpec({ labels: { 'shoal.session-affinity': 'client-address' } });
    const service = () => store.view().services.get((aService() as Service).id) ?? assert.fail();
    const said = () => {
      const item = assignments.since(B, 0).items.find(({ kind }) => kind === 'ingress');
      return parseIngress(item?.body?.() ?? assert.fail()).affinity;
    };
    assert.equal(said(), undefined);
    const { spec: before } = service();
    for (const [next, affinity] of [
      [spec, 'client-address'],
      [before, undefined],
    ] as const) {
      told.length = 0;
      await store.update((tx) => tx.services.put({ ...service(), spec: next }));
      await current();
      assert.deepEqual(told.map(names), [['ingress 1']]);
      assert.equal(said(), affinity);
    }
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

describe('assignments of networks', () => {
  const NET = anId('network', 1) as NetworkId;
  const on = (address: string) => ({ attachments: [{ networkId: NET, address }] });

  async function setUpNetwork() {
    const world = await setUp();
    await world.store.update((tx) => {
      tx.networks.put(aNetwork());
      const task = aTaskSpec({ networks: [{ target: NET, aliases: ['www'] }] });
      const labels = { 'shoal.session-affinity': 'client-address' };
      tx.services.put(aService({ spec: aServiceSpec({ task, labels }), virtualAddresses: on('10.0.1.2').attachments }));
    });
    await world.current();
    world.told.length = 0;
    const endpoints = () =>
      world.assignments
        .since(A, 0)
        .items.flatMap(({ kind, body }) => (kind === 'endpoint' && body ? [parseEndpoint(body())] : []));
    return { ...world, endpoints };
  }

  it('come with the first task there: all of the network, and afterwards what changes', async () => {
    const { told, put, assignments, end } = await setUpNetwork();
    await put({ id: T2, nodeId: B, ...on('10.0.1.4') });
    assert.deepEqual(told, [], 'none of its business');
    await put({ id: T1, ...on('10.0.1.3') });
    assert.deepEqual(told.map(names), [['endpoint 1', 'endpoint 2', 'network 1', 'service 1', 'task 1']]);
    await put({ id: T2, status: state('running') });
    assert.deepEqual(told.slice(1).map(names), [['endpoint 2']]);
    const service = assignments.since(A, 0).items.find(({ kind }) => kind === 'service');
    const entry = service?.body && parseNetworkService(service.body());
    assert.deepEqual([entry?.virtualAddress, entry?.aliases], ['10.0.1.2', ['www']]);
    assert.equal(entry?.affinity, 'client-address');
    await end();
  });

  it('come with their keys where they are encrypted, and not before there are any', async () => {
    const { store, told, put, current, assignments, end } = await setUpNetwork();
    await store.update((tx) => tx.networks.put({ ...aNetwork(), spec: aNetworkSpec({ options: { encrypted: '' } }) }));
    await put({ id: T1, ...on('10.0.1.3') });
    assert.deepEqual(told.map(names), [['endpoint 1', 'service 1', 'task 1']]);
    const keys = [{ id: 1, secret: 'ab'.repeat(32) }];
    await store.update((tx) => tx.keyrings.put({ id: NET as string as KeyringId, keys, sendId: 1, turnAtMs: 5 }));
    await current();
    assert.deepEqual(told.slice(1).map(names), [['network 1']]);
    const item = assignments.since(A, 0).items.find(({ kind }) => kind === 'network');
    assert.deepEqual(item?.body && parseNetwork(item.body()).encryption, { keys, sendId: 1 });
    assert.deepEqual(names(assignments.since(B, 0)), [], 'a node that is not on the network gets none');
    await end();
  });

  it('say of an encrypted one by which means each node can encrypt, anew when that changes, and of no other', async () => {
    const { store, told, put, current, endpoints, end } = await setUpNetwork();
    const say = async (encryption: readonly EncryptionMeans[]): Promise<void> => {
      await store.update((tx) => {
        const node = tx.nodes.get(A);
        if (node?.description) tx.nodes.put({ ...node, description: { ...node.description, encryption } });
      });
      await current();
    };
    await put({ id: T1, ...on('10.0.1.3') });
    await say(['tunnel']);
    assert.deepEqual(
      endpoints().map(({ nodeMeans }) => nodeMeans),
      [undefined],
    );
    await store.update((tx) => tx.networks.put({ ...aNetwork(), spec: aNetworkSpec({ options: { encrypted: '' } }) }));
    await current();
    told.length = 0;
    await say(['esp', 'tunnel']);
    assert.deepEqual(told.map(names), [['endpoint 1']]);
    assert.deepEqual(
      endpoints().map(({ nodeMeans }) => nodeMeans),
      [['esp', 'tunnel']],
    );
    await end();
  });

  it('say of an encrypted one in which life each node’s kernel carries it, and of no other network', async () => {
    const { store, told, put, current, endpoints, end } = await setUpNetwork();
    await store.update((tx) => tx.networks.put({ ...aNetwork(), spec: aNetworkSpec({ options: { encrypted: '' } }) }));
    await put({ id: T1, ...on('10.0.1.3') });
    for (const [lives, expected, heard] of [
      [{ other: 'ab'.repeat(16) }, undefined, []],
      [{ [NET]: 'ab'.repeat(16) }, 'ab'.repeat(16), [['endpoint 1']]],
      [{ [NET]: 'cd'.repeat(16) }, 'cd'.repeat(16), [['endpoint 1']]],
      [{}, undefined, [['endpoint 1']]],
    ] as const) {
      told.length = 0;
      await store.update((tx) => {
        const node = tx.nodes.get(A);
        const wireguardPorts = Object.fromEntries(Object.keys(lives).map((id) => [id, 61_440]));
        if (node?.description) tx.nodes.put({ ...node, description: { ...node.description, lives, wireguardPorts } });
      });
      await current();
      assert.deepEqual(told.map(names), heard);
      assert.deepEqual(
        endpoints().map(({ nodeLife, nodeWireguardPort }) => [nodeLife, nodeWireguardPort]),
        [[expected, expected && 61_440]],
      );
    }
    await end();
  });

  it('come with a container of no service too, by all of its names, and go with it', async () => {
    const { store, told, put, current, endpoints, end } = await setUpNetwork();
    const id = anId<'guest'>('guest', 1);
    const place = { id, nodeId: A, networkId: NET, containerId: 'c', name: 'alpha', aliases: ['first'] };
    await store.update((tx) => tx.guests.put(place));
    await current();
    assert.deepEqual(told, [], 'it has no address yet');
    await store.update((tx) => tx.guests.put({ ...place, address: '10.0.1.9' }));
    await current();
    assert.deepEqual(told.map(names), [['endpoint 1', 'network 1', 'service 1']]);
    const [entry] = endpoints();
    assert.deepEqual([entry?.name, entry?.aliases, entry?.ready], ['alpha', ['first'], false]);
    await put({ id: T1, ...on('10.0.1.3') });
    await store.update((tx) => tx.guests.remove(id));
    await current();
    assert.deepEqual(names(told.at(-1)), ['-endpoint 1'], 'a task is still there');
    await end();
  });

  it('go with the last task there', async () => {
    const { told, put, assignments, end } = await setUpNetwork();
    await put({ id: T1, ...on('10.0.1.3') });
    const applied = assignments.index;
    await put({ id: T1, status: state('shutdown') });
    assert.deepEqual(names(told.at(-1)), ['-network 1']);
    assert.deepEqual(names(assignments.since(A, applied)), ['-endpoint 1', '-network 1']);
    assert.deepEqual(names(assignments.since(A, 0)), ['task 1']);
    await end();
  });

  it('take a task for ready while it runs, shall go on, and its node is there', async () => {
    const { store, put, current, endpoints, end } = await setUpNetwork();
    await put({ id: T1, ...on('10.0.1.3') });
    await put({ id: T2, nodeId: B, status: state('running'), ...on('10.0.1.4') });
    const ready = () => endpoints().map(({ address, nodeAddress, ready, lost }) => [address, nodeAddress, ready, lost]);
    const first = ['10.0.1.3', '10.0.0.1', false, false];
    assert.deepEqual(ready(), [first, ['10.0.1.4', '10.0.0.2', true, false]]);
    const nodeState = async (name: 'ready' | 'down') => {
      await store.update((tx) => {
        const node = tx.nodes.get(B);
        if (node) tx.nodes.put({ ...node, status: { ...node.status, state: name } });
      });
      await current();
    };
    await nodeState('down');
    assert.deepEqual(ready()[1], ['10.0.1.4', '10.0.0.2', false, true]);
    await nodeState('ready');
    await put({ id: T2, desired: 'shutdown' });
    assert.deepEqual(ready()[1], ['10.0.1.4', '10.0.0.2', false, false]);
    await put({ id: T2, status: state('shutdown') });
    assert.deepEqual(ready(), [first]);
    await end();
  });

  it('tell one who comes back of what went, and all of a network that is new to it', async () => {
    const { assignments, put, end } = await setUpNetwork();
    await put({ id: T2, nodeId: B, status: state('running'), ...on('10.0.1.4') });
    const applied = assignments.index;
    await put({ id: T1, ...on('10.0.1.3') });
    assert.deepEqual(names(assignments.since(A, applied)), [
      'endpoint 1',
      'endpoint 2',
      'network 1',
      'service 1',
      'task 1',
    ]);
    const known = assignments.index;
    await put({ id: T2, status: state('failed') });
    assert.deepEqual(names(assignments.since(A, known)), ['-endpoint 2']);
    await end();
  });
});
