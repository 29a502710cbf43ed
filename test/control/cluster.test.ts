import { strict as assert } from 'node:assert';
import type { ErrorCode } from '../../base/errors.ts';
import { CONTROL_METHODS, type ControlMethod } from '../../proto/control.ts';
import { pools6Of, poolsOf, sixOf } from '../../proto/network-plan.ts';
import type { NetworkSpec } from '../../proto/objects.ts';
import { type ControlBench, controlBench } from '../support/control.ts';
import { aClusterSpec, aNetwork, aNetworkSpec, aServiceSpec, aTask, aTaskSpec, anId } from '../support/objects.ts';

describe('the cluster', () => {
  let bench: ControlBench;
  beforeEach(async () => {
    bench = await controlBench();
  });
  const update = async (changes: object = {}) => {
    const { cluster } = await bench.call('GetCluster', {});
    const none = { rotateWorkerToken: false, rotateManagerToken: false };
    return { version: cluster.version, spec: cluster.spec, ...none, ...changes };
  };

  it('is shown with tokens and members, never with its key', async () => {
    const reply = await bench.call('GetCluster', {});
    assert.equal(reply.cluster.tokens.worker, 'SWMTKN-1-digest-worker');
    assert.deepEqual([reply.nodesTotal, reply.managers.length], [3, 1]);
    assert.doesNotMatch(JSON.stringify(reply), /private key/);
    assert.doesNotMatch(JSON.stringify(await bench.call('UpdateCluster', await update())), /private key/);
  });

  it('rotates only the token that was asked for', async () => {
    const { cluster } = await bench.call('UpdateCluster', await update({ rotateWorkerToken: true }));
    assert.deepEqual(cluster.tokens, { worker: 'SWMTKN-1-worker-1', manager: 'SWMTKN-1-digest-manager' });
    assert.equal(bench.store.view().clusters.byName('default')?.rootKey, 'the private key');
  });

  it('changes its settings, and only from the version that was read', async () => {
    const request = await update({ spec: aClusterSpec({ orchestration: { taskHistoryLimit: 2 } }) });
    const { cluster } = await bench.call('UpdateCluster', request);
    assert.equal(cluster.spec.orchestration.taskHistoryLimit, 2);
    await bench.refused('UpdateCluster', request, 'out-of-sequence', 'update out of sequence');
  });

  it('takes a node for down after three heartbeats, when only the heartbeat is changed', async () => {
    const { dispatcher } = aClusterSpec();
    const spec = aClusterSpec({ dispatcher: { ...dispatcher, heartbeatMs: 5_000 } });
    const { cluster } = await bench.call('UpdateCluster', await update({ spec }));
    assert.deepEqual(cluster.spec.dispatcher, { ...dispatcher, heartbeatMs: 5_000, nodeDownAfterMs: 15_000 });
    const both = aClusterSpec({ dispatcher: { ...dispatcher, heartbeatMs: 1_000, nodeDownAfterMs: 4_000 } });
    const reply = await bench.call('UpdateCluster', await update({ spec: both }));
    assert.equal(reply.cluster.spec.dispatcher.nodeDownAfterMs, 4_000);
  });

  it('refuses bad settings', async () => {
    const spec = aClusterSpec({ certificates: { lifetimeMs: 1 } });
    await bench.refused(
      'UpdateCluster',
      await update({ spec }),
      'invalid',
      'minimum certificate expiry time is 1h0m0s',
    );
  });
});

describe('networks', () => {
  let bench: ControlBench;
  beforeEach(async () => {
    bench = await controlBench();
  });

  it('get the next free subnet, the gateway in it and a number of their own', async () => {
    const first = (await bench.call('CreateNetwork', { spec: aNetworkSpec() })).network;
    const second = (await bench.call('CreateNetwork', { spec: aNetworkSpec({ name: 'front' }) })).network;
    assert.deepEqual([first.subnet, first.gateway], ['10.0.1.0/24', '10.0.1.1']);
    assert.deepEqual([second.subnet, second.gateway], ['10.0.2.0/24', '10.0.2.1']);
    assert.notEqual(first.vni, second.vni);
    assert.ok(first.vni > 4096 && first.vni < 2 ** 24);
  });

  it('do not meet each other, nor a node', async () => {
    await bench.store.update((tx) => {
      const node = tx.nodes.get(anId('node', 2));
      if (node) tx.nodes.put({ ...node, dataAddress: '10.0.1.7' });
    });
    assert.equal((await bench.call('CreateNetwork', { spec: aNetworkSpec() })).network.subnet, '10.0.2.0/24');
    const asking = (subnet: string) => ({ spec: aNetworkSpec({ name: 'other', subnet }) });
    const clash = 'invalid pool request: Pool overlaps with other one on this address space: ';
    await bench.refused(
      'CreateNetwork',
      asking('10.0.0.0/16'),
      'forbidden',
      `${clash}10.0.0.0/16 meets network back (10.0.2.0/24)`,
    );
    const node = `${clash}10.0.1.0/24 meets the address of node ${anId('node', 2)} (10.0.1.7/32)`;
    await bench.refused('CreateNetwork', asking('10.0.1.0/24'), 'forbidden', node);
    await bench.refused(
      'CreateNetwork',
      asking('10.9.0.0/30'),
      'invalid',
      'subnet 10.9.0.0/30 must be between /8 and /29',
    );
    const away = { spec: aNetworkSpec({ name: 'other', subnet: '10.9.0.0/24', gateway: '10.8.0.1' }) };
    await bench.refused('CreateNetwork', away, 'invalid', /no matching subnet for gateway 10\.8\.0\.1/);
  });

  it('have as many subnets as are asked for, which meet nobody else’s', async () => {
    const pools = { subnet: '10.7.0.0/24', range: '10.7.0.128/25', auxiliary: { router: '10.7.0.2' } };
    const further = [{ subnet: '10.8.0.0/24', gateway: '10.8.0.9' }, { subnet: '10.9.0.0/24' }];
    const spec = aNetworkSpec({ ...pools, further, ipv6: true, subnet6: 'fd00:9::/64' });
    const { network } = await bench.call('CreateNetwork', { spec });
    assert.deepEqual(poolsOf(network), [
      { ...pools, gateway: '10.7.0.1' },
      { subnet: '10.8.0.0/24', gateway: '10.8.0.9' },
      { subnet: '10.9.0.0/24', gateway: '10.9.0.1' },
    ]);
    assert.deepEqual(sixOf('10.8.0.3', network), { address: 'fd00:9::a08:3', prefixLength: 64 });
    const refused = (changes: Partial<NetworkSpec>, code: ErrorCode, words: RegExp) =>
      bench.refused('CreateNetwork', { spec: aNetworkSpec({ name: 'front', ...changes }) }, code, words);
    await refused({ subnet: '10.9.0.128/25' }, 'forbidden', /10\.9\.0\.128\/25 meets network back \(10\.9\.0\.0\/24\)/);
    const [subnet, same] = ['10.20.0.0/16', { subnet: '10.20.7.0/24' }];
    await refused({ subnet, further: [same] }, 'forbidden', /10\.20\.7\.0\/24 meets the same request/);
    await refused({ subnet, range: '10.21.0.0/24' }, 'invalid', /no matching subnet for range 10\.21\.0\.0\/24/);
    await refused({ subnet, auxiliary: { a: '10.21.0.1' } }, 'invalid', /no matching subnet for auxiliary address a/);
    await refused({ subnet, auxiliary: { a: '10.20.0.1' } }, 'invalid', /auxiliary address a is the gateway/);
    const narrow = { ipv6: true, subnet6: 'fd00:a::/112', further: [{ subnet: '10.21.0.0/24' }] };
    await refused({ subnet, ...narrow }, 'invalid', /must be between \/16 and \/96/);
    const many = Array.from({ length: 32 }, (_, at) => ({ subnet: `10.30.${at}.0/24` }));
    await refused({ subnet, further: many }, 'invalid', /32 subnets at most/);
  });

  it('are refused by a name that is taken, with another driver, and with keys for no time', async () => {
    await bench.call('CreateNetwork', { spec: aNetworkSpec() });
    await bench.refused('CreateNetwork', { spec: aNetworkSpec() }, 'conflict', 'network with name back already exists');
    const weave = { spec: aNetworkSpec({ name: 'w', driver: 'weave' }) };
    await bench.refused('CreateNetwork', weave, 'not-found', 'plugin "weave" not found');
    const spec = aNetworkSpec({ name: 'e', options: { encrypted: '', 'shoal.key-period': '1ms' } });
    await bench.refused('CreateNetwork', { spec }, 'invalid', /shoal\.key-period: 1ms is shorter than 1s/);
  });

  it('get an IPv6 subnet where they ask for IPv6: their own, or one that no other has', async () => {
    const create = async (name: string, more: object) => {
      const spec = aNetworkSpec({ name, ipv6: true, ...more });
      return (await bench.call('CreateNetwork', { spec })).network;
    };
    const [a, b] = [await create('a', {}), await create('b', {})];
    assert.match(a.subnet6 ?? '', /^fd53:6f[0-9a-f]{2}:[0-9a-f]+::\/64$/);
    assert.notEqual(a.subnet6, b.subnet6);
    assert.equal((await create('c', { subnet6: 'fd00:9::/64' })).subnet6, 'fd00:9::/64');
    const overlap = { spec: aNetworkSpec({ name: 'd', ipv6: true, subnet6: 'fd00:9::/80' }) };
    await bench.refused('CreateNetwork', overlap, 'forbidden', /fd00:9::\/80 meets network c \(fd00:9::\/64\)/);
    const narrow = { spec: aNetworkSpec({ name: 'e', ipv6: true, subnet6: 'fd00:8::/124' }) };
    await bench.refused('CreateNetwork', narrow, 'invalid', /must be between \/16 and \/120/);
  });

  it('have as many IPv6 subnets as are asked for, each with the addresses of one IPv4 subnet, the last with the rest', async () => {
    const create = async (changes: Partial<NetworkSpec>) =>
      (await bench.call('CreateNetwork', { spec: aNetworkSpec({ ipv6: true, ...changes }) })).network;
    const pools = {
      subnet: '10.7.0.0/24',
      further: [{ subnet: '10.8.0.0/24', gateway: '10.8.0.9' }, { subnet: '10.9.0.0/16' }],
    };
    const sixes = { subnet6: 'fd00:7::/64', further6: ['fd00:8::/80'] };
    const fewer = await create({ ...pools, ...sixes });
    assert.deepEqual([fewer.subnet6, fewer.further6], ['fd00:7::/64', ['fd00:8::/80']]);
    assert.deepEqual(sixOf('10.7.0.3', fewer), { address: 'fd00:7::3', prefixLength: 64 });
    assert.deepEqual(sixOf('10.8.0.3', fewer), { address: 'fd00:8::a08:3', prefixLength: 80 });
    assert.deepEqual(sixOf('10.9.1.3', fewer), { address: 'fd00:8::a09:103', prefixLength: 80 });
    assert.deepEqual(pools6Of(fewer), [
      { subnet: 'fd00:7::/64', gateway: 'fd00:7::1' },
      { subnet: 'fd00:8::/80', gateway: 'fd00:8::a08:9' },
    ]);
    const more = await create({
      name: 'more',
      subnet: '10.20.0.0/24',
      subnet6: 'fd00:20::/64',
      further6: ['fd00:21::/64'],
    });
    assert.deepEqual(pools6Of(more)[1], { subnet: 'fd00:21::/64', gateway: 'fd00:21::1' });
    assert.deepEqual(sixOf('10.20.0.9', more), { address: 'fd00:20::9', prefixLength: 64 });
    const refused = (changes: Partial<NetworkSpec>, code: ErrorCode, words: RegExp) =>
      bench.refused('CreateNetwork', { spec: aNetworkSpec({ name: 'x', ipv6: true, ...changes }) }, code, words);
    await refused({ subnet6: 'fd00:8::/81' }, 'forbidden', /fd00:8::\/81 meets network back \(fd00:8::\/80\)/);
    await refused({ subnet6: 'fd00:a::/64', further6: ['fd00:a::/80'] }, 'forbidden', /meets the same request/);
    const shared = { subnet: '10.30.0.0/24', further: [{ subnet: '10.31.0.0/24' }, { subnet: '10.32.0.0/24' }] };
    await refused({ ...shared, subnet6: 'fd00:b::/64', further6: ['fd00:c::/112'] }, 'invalid', /\/16 and \/96/);
    await refused(
      { subnet6: 'fd00:d::/64', further6: Array.from({ length: 32 }, () => 'fd00:e::/64') },
      'invalid',
      /32 subnets/,
    );
  });

  it('with a bad or a predefined name are refused', async () => {
    const spec = (name: string) => ({ spec: aNetworkSpec({ name }) });
    await bench.refused('CreateNetwork', spec('a.b'), 'invalid', 'name must be valid as a DNS name component');
    const message = 'operation is not permitted on predefined bridge network';
    await bench.refused('CreateNetwork', spec('bridge'), 'forbidden', message);
    const removal = 'bridge is a pre-defined network and cannot be removed';
    await bench.refused('RemoveNetwork', { network: 'bridge' }, 'forbidden', removal);
  });

  it('in use by a service stay', async () => {
    await bench.store.update((tx) => tx.networks.put(aNetwork()));
    const task = aTaskSpec({ networks: [{ target: 'back', aliases: [] }] });
    const { service } = await bench.call('CreateService', { spec: aServiceSpec({ task }) });
    const message = `network back is in use by service ${service.spec.name}`;
    await bench.refused('RemoveNetwork', { network: 'back' }, 'invalid', message);
    assert.equal(service.spec.task.networks[0]?.target, anId('network', 1), 'the name may mean another one later');
    const bare = { ...service.spec, task: aTaskSpec() };
    await bench.call('UpdateService', { service: 'web', version: service.version, spec: bare, rollback: 'none' });
    const updated = (await bench.call('GetService', { service: 'web' })).service;
    const again = { ...bare, task: aTaskSpec({ forceUpdate: 1 }) };
    await bench.call('UpdateService', { service: 'web', version: updated.version, spec: again, rollback: 'none' });
    const attachments = [{ networkId: anId<'network'>('network', 1), address: '10.0.1.2' }];
    const ends = async (state: 'running' | 'shutdown') => {
      const status = { state, atMs: 0, message: '' };
      await bench.store.update((tx) => tx.tasks.put(aTask({ attachments, status }, service)));
    };
    await ends('running');
    const held = /network back is in use by task web\.\d+\.\w+/;
    await bench.refused('RemoveNetwork', { network: 'back' }, 'invalid', held);
    await ends('shutdown');
    await bench.call('RemoveNetwork', { network: 'back' });
    assert.deepEqual((await bench.call('ListNetworks', { filter: {} })).networks, []);
    await bench.refused('GetNetwork', { network: 'back' }, 'not-found', 'network back not found');
  });
});

describe('tasks', () => {
  it('are found by id or its start, and listed by service, node, state wanted, name and version', async () => {
    const bench = await controlBench();
    const { service } = await bench.call('CreateService', { spec: aServiceSpec({ labels: { stack: 's' } }) });
    await bench.store.update((tx) => {
      tx.tasks.put(aTask({ id: anId('task', 1), nodeId: anId('node', 2) }, service));
      tx.tasks.put(aTask({ id: anId('task', 2), desired: 'shutdown', identity: { kind: 'slot', slot: 2 } }, service));
      const forced = { ...service.spec.task, forceUpdate: 9 };
      const third = { id: anId<'task'>('task', 3), nodeId: anId<'node'>('node', 3), specVersion: -1 };
      tx.tasks.put(aTask({ ...third, spec: forced }, service));
      // As after a scale: an older version of the specification that asks the same of its tasks.
      tx.tasks.put(aTask({ ...third, id: anId('task', 5), specVersion: 0 }, service));
      tx.tasks.put(aTask({ id: anId('task', 4), serviceId: anId('service', 9), nodeId: anId('node', 2) }));
    });
    const list = async (filter: object): Promise<number[]> => {
      const { tasks } = await bench.call('ListTasks', { filter });
      return tasks.map(({ id }) => Number(id.slice(-3)));
    };
    assert.equal((await bench.call('GetTask', { task: anId('task', 2) })).task.desired, 'shutdown');
    assert.equal((await bench.call('GetTask', { task: `web.2.${anId('task', 2)}` })).task.id, anId('task', 2));
    await bench.refused('GetTask', { task: `web.1.${anId('task', 2)}` }, 'not-found', /not found$/);
    await bench.refused('GetTask', { task: 'task' }, 'invalid', 'task task is ambiguous (5 matches found)');
    assert.deepEqual(await list({}), [1, 2, 3, 5, 4]);
    assert.deepEqual(await list({ services: ['web'] }), [1, 2, 3, 5]);
    assert.deepEqual(await list({ services: [service.id], nodes: ['node2'] }), [1]);
    assert.deepEqual(await list({ services: ['unknown'] }), []);
    assert.deepEqual(await list({ nodes: ['node2', 'node3'] }), [1, 4, 3, 5]);
    assert.deepEqual(await list({ desired: ['shutdown'] }), [2]);
    assert.deepEqual(await list({ services: ['web'], upToDate: true }), [1, 2, 5]);
    assert.deepEqual(await list({ services: ['web'], upToDate: false }), [3]);
    assert.deepEqual(await list({ names: ['web.2'] }), [2]);
    assert.deepEqual(await list({ labels: ['stack=s'] }), [1, 2, 3, 5]);
    assert.deepEqual(await list({ ids: [anId('task', 4)] }), [4]);
  });
});

describe('every operation', () => {
  for (const method of Object.keys(CONTROL_METHODS) as ControlMethod[]) {
    it(`${method} is refused to workers`, async () => {
      const bench = await controlBench();
      const call = bench.control.call(method, {}, { caller: { id: 'w', role: 'worker' } });
      await assert.rejects(call, { code: 'forbidden', message: `node w is a worker: ${method} is for managers` });
    });

    it(`${method} refuses what is no request`, async () => {
      const bench = await controlBench();
      const before = bench.store.stateDigest();
      const call = bench.control.call(method, 7, { caller: { id: 'm', role: 'manager' } });
      await assert.rejects(call, { code: 'invalid', message: 'request must be an object' });
      assert.equal(bench.store.stateDigest(), before);
    });
  }

  it('that is not one is refused', async () => {
    const bench = await controlBench();
    const call = bench.control.call('toString' as ControlMethod, {}, { caller: { id: 'm', role: 'manager' } });
    await assert.rejects(call, { code: 'not-implemented' });
  });
});
