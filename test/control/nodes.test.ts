import { strict as assert } from 'node:assert';
import type { KeyringId, Node, NodeSpec } from '../../proto/objects.ts';
import { type ControlBench, controlBench, managerNode, managerState, worker } from '../support/control.ts';
import { aNetwork, aNetworkSpec, aTask, anId } from '../support/objects.ts';

describe('nodes', () => {
  let bench: ControlBench;
  beforeEach(async () => {
    bench = await controlBench();
  });
  const get = async (node: string): Promise<Node> => (await bench.call('GetNode', { node })).node;
  const change = async (node: string, spec: Partial<NodeSpec>) => {
    const present = await get(node);
    return { node, version: present.version, spec: { ...present.spec, ...spec } };
  };
  const twoManagers = async (second: { reachable: boolean }) => {
    await bench.store.update((tx) => tx.nodes.put(managerNode(4)));
    bench.members = [managerState(1, { leader: true }), managerState(4, second)];
  };

  it('are found by id, hostname in any case, given name and start of id', async () => {
    await bench.call('UpdateNode', await change('node2', { name: 'db' }));
    for (const text of [anId('node', 2), 'node2', 'NODE2', 'db']) assert.equal((await get(text)).id, anId('node', 2));
    await bench.refused('GetNode', { node: 'node9' }, 'not-found', 'node node9 not found');
    await bench.refused('GetNode', { node: 'node0' }, 'invalid', 'node node0 is ambiguous (3 matches found)');
  });

  it('with one hostname are not guessed', async () => {
    const second = worker(2);
    await bench.store.update((tx) => tx.nodes.put({ ...second, id: anId('node', 7) }));
    await bench.refused('GetNode', { node: 'node2' }, 'invalid', 'node node2 is ambiguous (2 matches found)');
  });

  it('come with what raft sees of them, if they are managers', async () => {
    assert.equal((await bench.call('GetNode', { node: 'node1' })).manager?.leader, true);
    assert.equal((await bench.call('GetNode', { node: 'node2' })).manager, undefined);
  });

  it('change availability and labels, and only from the version that was read', async () => {
    const request = await change('node2', { availability: 'drain', labels: { disk: 'ssd' } });
    const { node } = await bench.call('UpdateNode', request);
    assert.deepEqual([node.spec.availability, node.spec.labels], ['drain', { disk: 'ssd' }]);
    await bench.refused('UpdateNode', request, 'out-of-sequence', 'update out of sequence');
  });

  it('are promoted and demoted by wish: the role of the certificate follows elsewhere', async () => {
    const { node } = await bench.call('UpdateNode', await change('node2', { role: 'manager' }));
    assert.deepEqual([node.spec.role, node.role], ['manager', 'worker']);
  });

  it('that are the last manager stay one', async () =>
    bench.refused(
      'UpdateNode',
      await change('node1', { role: 'worker' }),
      'invalid',
      'attempting to demote the last manager of the swarm',
    ));

  it('are not both demoted when two are asked for at once', async () => {
    await twoManagers({ reachable: true });
    const requests = [await change('node1', { role: 'worker' }), await change('node4', { role: 'worker' })];
    bench.proposer.hold();
    const outcomes = Promise.allSettled(requests.map((request) => bench.call('UpdateNode', request)));
    bench.proposer.release();
    assert.deepEqual(
      (await outcomes).map(({ status }) => status),
      ['fulfilled', 'rejected'],
    );
  });

  it('are not demoted where the rest would have no reachable majority', async () => {
    await twoManagers({ reachable: false });
    await bench.refused(
      'UpdateNode',
      await change('node1', { role: 'worker' }),
      'invalid',
      "can't remove member from the raft: this would result in a loss of quorum: " +
        'of the 1 managers left 0 would be reachable, 1 are needed',
    );
    await bench.call('UpdateNode', await change('node4', { role: 'worker' }));
  });

  describe('when removed', () => {
    const down = (number: number) =>
      bench.store.update((tx) => {
        const node = tx.nodes.get(anId('node', number));
        if (node) tx.nodes.put({ ...node, status: { ...node.status, state: 'down' } });
      });

    it('must be down, unless forced', async () => {
      const message = `node ${anId('node', 2)} is not down and can't be removed`;
      await bench.refused('RemoveNode', { node: 'node2', force: false }, 'invalid', message);
      await bench.call('RemoveNode', { node: 'node2', force: true });
      await down(3);
      await bench.call('RemoveNode', { node: 'node3', force: false });
      assert.equal(bench.store.view().nodes.size, 1);
    });

    for (const force of [false, true]) {
      it(`must not be a manager${force ? ', forced or not' : ''}`, async () => {
        await down(1);
        await bench.refused(
          'RemoveNode',
          { node: 'node1', force },
          'invalid',
          /It must be demoted to worker before removal$/,
        );
      });
    }

    it('do so with the keys of encrypted networks, which are to be others soon', async () => {
      const keyring = { id: anId('network', 1) as string as KeyringId, keys: [], sendId: 1, turnAtMs: 1e15 };
      await bench.store.update((tx) => {
        tx.networks.put(aNetwork({ spec: aNetworkSpec({ options: { encrypted: '' } }) }));
        tx.keyrings.put(keyring);
      });
      await bench.call('RemoveNode', { node: 'node2', force: true });
      const { hurriedTurns, turnAtMs = 0 } = bench.store.view().keyrings.get(keyring.id) ?? {};
      assert.equal(hurriedTurns, 3);
      assert.ok(turnAtMs < 1e15);
    });

    it('give up their tasks, except those that have ended', async () => {
      const nodeId = anId('node', 3) as Node['id'];
      await bench.store.update((tx) => {
        tx.tasks.put(aTask({ id: anId('task', 1), nodeId, status: { state: 'running', atMs: 0, message: '' } }));
        tx.tasks.put(aTask({ id: anId('task', 2), nodeId, status: { state: 'failed', atMs: 0, message: '' } }));
      });
      await bench.call('RemoveNode', { node: 'node3', force: true });
      const states = [1, 2].map((number) => bench.store.view().tasks.get(anId('task', number))?.status.state);
      assert.deepEqual(states, ['orphaned', 'failed']);
    });

    it('go with thousands of tasks in several transactions, and get no new ones meanwhile', async () => {
      const nodeId = anId('node', 3) as Node['id'];
      const status = { state: 'running', atMs: 0, message: 'x'.repeat(500) } as const;
      for (let from = 0; from < 4_000; from += 500) {
        await bench.store.update((tx) => {
          for (let n = from; n < from + 500; n += 1) tx.tasks.put(aTask({ id: anId('task', n), nodeId, status }));
        });
      }
      const availabilities = new Set<string | undefined>();
      const entries = bench.proposer.entries.length;
      const over = new AbortController();
      const { changes } = bench.store.viewAndWatch(['node'], { abort: over.signal });
      await bench.call('RemoveNode', { node: 'node3', force: true });
      for await (const change of changes) {
        if (change.kind !== 'node') continue;
        availabilities.add(change.object.spec.availability);
        if (change.action === 'remove') break;
      }
      over.abort();
      assert.ok(bench.proposer.entries.length - entries > 4);
      assert.deepEqual([...availabilities], ['drain']);
      const orphaned = [...bench.store.view().tasks.all()].filter((task) => task.status.state === 'orphaned');
      assert.equal(orphaned.length, 4_000);
      assert.equal(bench.store.view().nodes.get(nodeId), undefined);
    });
  });

  it('are listed by start of id or name, role, membership and labels', async () => {
    await bench.call('UpdateNode', await change('node3', { labels: { disk: 'ssd' } }));
    const hosts = async (filter: object): Promise<(string | undefined)[]> => {
      const { nodes } = await bench.call('ListNodes', { filter });
      return nodes.map((node) => node.description?.hostname);
    };
    assert.deepEqual(await hosts({}), ['node1', 'node2', 'node3']);
    assert.deepEqual(await hosts({ roles: ['manager'] }), ['node1']);
    assert.deepEqual(await hosts({ names: ['NODE3', 'node2'] }), ['node2', 'node3']);
    assert.deepEqual(await hosts({ nodeLabels: ['disk=ssd'] }), ['node3']);
    assert.deepEqual(await hosts({ memberships: ['pending'] }), []);
  });
});
