import { strict as assert } from 'node:assert';
import { CodedError } from '../../base/errors.ts';
import type { PortConfig, ServiceSpec } from '../../proto/objects.ts';
import { type ControlBench, controlBench } from '../support/control.ts';
import { aServiceSpec, aTask, aTaskSpec, anId } from '../support/objects.ts';

const port = (publishedPort: number, publishMode: 'ingress' | 'host' = 'ingress'): PortConfig => ({
  protocol: 'tcp',
  targetPort: 80,
  publishedPort,
  publishMode,
});
const publishing = (name: string, ...ports: PortConfig[]): ServiceSpec =>
  aServiceSpec({ name, endpoint: { mode: 'vip', ports } });
const on = (network: string, name = 'web'): ServiceSpec =>
  aServiceSpec({ name, task: aTaskSpec({ networks: [{ target: network, aliases: [] }] }) });

describe('services', () => {
  let bench: ControlBench;
  beforeEach(async () => {
    bench = await controlBench();
  });
  const create = async (spec: ServiceSpec) => (await bench.call('CreateService', { spec })).service;
  const update = (service: { id: string; version: number }, spec: ServiceSpec) => ({
    service: service.id,
    version: service.version,
    spec,
    rollback: 'none' as const,
  });

  it('are created with an id, the version of the write and the time', async () => {
    const service = await create(aServiceSpec());
    assert.match(service.id, /^[0-9a-z]{25}$/);
    assert.equal(service.version, bench.store.view().version);
    assert.equal(service.createdAtMs, bench.clock.nowMs());
    assert.deepEqual(service.spec, aServiceSpec());
  });

  it('are found by id, by name in any case, and by a unique start of the id', async () => {
    const { id } = await create(aServiceSpec());
    for (const service of [id, 'web', 'WEB', id.slice(0, 6)]) {
      assert.equal((await bench.call('GetService', { service })).service.id, id);
    }
    await bench.refused('GetService', { service: 'nope' }, 'not-found', 'service nope not found');
    await bench.refused('GetService', { service: '' }, 'not-found', 'service  not found');
  });

  it('with a start of an id that several have are not guessed', async () => {
    await bench.store.update((tx) => {
      for (const number of [1, 2]) {
        tx.services.put({ id: anId('service', number), spec: aServiceSpec({ name: `s${number}` }), specVersion: 1 });
      }
    });
    await bench.refused('GetService', { service: 'serv' }, 'invalid', 'service serv is ambiguous (2 matches found)');
  });

  it('need a name of their own', async () => {
    await create(aServiceSpec());
    const message = 'name conflicts with an existing object: service Web already exists';
    await bench.refused('CreateService', { spec: aServiceSpec({ name: 'Web' }) }, 'conflict', message);
  });

  it('created at once under one name: one wins, the others are told', async () => {
    bench.proposer.hold();
    const outcomes = Promise.allSettled(Array.from({ length: 20 }, () => create(aServiceSpec())));
    bench.proposer.release();
    const all = await outcomes;
    assert.equal(all.filter(({ status }) => status === 'fulfilled').length, 1);
    assert.equal(bench.store.view().services.size, 1);
    const told = all.filter(
      (outcome) => outcome.status === 'rejected' && /already exists/.test(String(outcome.reason)),
    );
    assert.equal(told.length, 19);
  });

  it('that break a rule of their specification are refused', async () => {
    const spec = aServiceSpec({ mode: { kind: 'replicated', replicas: -1 } });
    await bench.refused('CreateService', { spec }, 'invalid', 'Number of replicas must be non-negative');
    const service = await create(aServiceSpec());
    await bench.refused('UpdateService', update(service, spec), 'invalid', 'Number of replicas must be non-negative');
    const keeping = aServiceSpec({ labels: { 'shoal.session-affinity': 'yes' } });
    const message = "label shoal.session-affinity is 'yes': it takes client-address";
    await bench.refused('CreateService', { spec: { ...keeping, name: 'two' } }, 'invalid', message);
    await bench.refused('UpdateService', update(service, keeping), 'invalid', message);
  });

  it('may not be more than the managers can keep', async () => {
    const many = (name: string, replicas: number) => aServiceSpec({ name, mode: { kind: 'replicated', replicas } });
    await create(many('a', 100_000));
    const b = await create(many('b', 90_000));
    const message = 'all services together would have 200001 replicas, the most is 200000';
    await bench.refused('CreateService', { spec: many('c', 10_001) }, 'exhausted', message);
    await bench.refused('UpdateService', update(b, many('b', 100_001)), 'invalid', /at most 100000/);
    await bench.call('UpdateService', update(b, many('b', 100_000)));
  });

  it('are not there when the quorum is lost before they are', async () => {
    const lost = new CodedError('unavailable', 'The swarm does not have a leader.');
    bench.proposer.refuse(lost);
    await bench.refused('CreateService', { spec: aServiceSpec() }, 'unavailable', lost.message);
    bench.proposer.refuse(undefined);
    await create(aServiceSpec());
  });

  describe('with published ports', () => {
    it('cannot share an ingress port, and the owner is named', async () => {
      const { id } = await create(publishing('web', port(8080)));
      const message = `port '8080' is already in use by service 'web' (${id}) as an ingress port`;
      await bench.refused('CreateService', { spec: publishing('two', port(8080)) }, 'invalid', message);
      await bench.refused('CreateService', { spec: publishing('two', port(8080, 'host')) }, 'invalid', message);
      await create(publishing('udp', { ...port(8080), protocol: 'udp' }));
    });

    it('cannot take over a port that others open on their nodes, but may open it there too', async () => {
      const { id } = await create(publishing('web', port(8080, 'host')));
      const message = `port '8080' is already in use by service 'web' (${id}) as a host-published port`;
      await bench.refused('CreateService', { spec: publishing('two', port(8080)) }, 'invalid', message);
      await create(publishing('two', port(8080, 'host')));
    });

    it('cannot have one that the allocator gave to another', async () => {
      const service = await create(publishing('web', port(0)));
      await bench.store.update((tx) => tx.services.put({ ...service, endpointPorts: [port(30_000)] }));
      await bench.refused(
        'CreateService',
        { spec: publishing('two', port(30_000)) },
        'invalid',
        /port '30000' is already/,
      );
    });

    it('keep their own through an update, and cannot move onto another service', async () => {
      await create(publishing('web', port(8080)));
      const two = await create(publishing('two', port(8081)));
      await bench.refused(
        'UpdateService',
        update(two, publishing('two', port(8080))),
        'invalid',
        /already in use by service 'web'/,
      );
      await bench.call('UpdateService', update(two, publishing('two', port(8081), port(8082))));
    });

    it('created at once: one wins', async () => {
      bench.proposer.hold();
      const specs = [publishing('a', port(80)), publishing('b', port(80, 'host')), publishing('c', port(80))];
      const outcomes = Promise.allSettled(specs.map(create));
      bench.proposer.release();
      assert.deepEqual(
        (await outcomes).map(({ status }) => status),
        ['fulfilled', 'rejected', 'rejected'],
      );
    });
  });

  describe('on networks', () => {
    for (const name of ['bridge', 'host', 'none']) {
      it(`may use ${name} of every node`, async () => assert.ok(await create(on(name))));
    }
    it('may not use one that is not there', () =>
      bench.refused('CreateService', { spec: on('backend') }, 'not-found', 'network backend not found'));
  });

  describe('when updated', () => {
    it('keep one previous specification, get a higher specification version, and lose the old rollout', async () => {
      const first = await create(aServiceSpec());
      await bench.store.update((tx) =>
        tx.services.put({ ...first, updateStatus: { state: 'completed', startedAtMs: 0, message: '' } }),
      );
      const { service: read } = await bench.call('GetService', { service: 'web' });
      const { service: second } = await bench.call('UpdateService', update(read, aServiceSpec({ labels: { a: '1' } })));
      assert.deepEqual(second.previousSpec, aServiceSpec());
      assert.equal(second.previousSpecVersion, first.specVersion);
      assert.ok(second.specVersion > first.specVersion && second.specVersion <= second.version);
      assert.equal(second.updateStatus, undefined);
      assert.equal(second.createdAtMs, first.createdAtMs);
      const { service: third } = await bench.call(
        'UpdateService',
        update(second, aServiceSpec({ labels: { a: '2' } })),
      );
      assert.deepEqual(third.previousSpec?.labels, { a: '1' });
    });

    it('from a stale version are refused', async () => {
      const service = await create(aServiceSpec());
      await bench.call('UpdateService', update(service, aServiceSpec({ labels: { a: '1' } })));
      await bench.refused(
        'UpdateService',
        update(service, aServiceSpec()),
        'out-of-sequence',
        'update out of sequence',
      );
    });

    it('twice at once from one version: exactly one wins', async () => {
      const service = await create(aServiceSpec());
      bench.proposer.hold();
      const outcomes = Promise.allSettled(
        ['1', '2'].map((a) => bench.call('UpdateService', update(service, aServiceSpec({ labels: { a } })))),
      );
      bench.proposer.release();
      const [one, two] = await outcomes;
      assert.equal(one?.status, 'fulfilled');
      assert.ok(two?.status === 'rejected' && /update out of sequence/.test(String(two.reason)));
    });

    it('keep name and mode', async () => {
      const service = await create(aServiceSpec());
      const renamed = update(service, aServiceSpec({ name: 'other' }));
      await bench.refused('UpdateService', renamed, 'not-implemented', 'renaming services is not supported');
      const changed = update(service, aServiceSpec({ mode: { kind: 'global' } }));
      await bench.refused('UpdateService', changed, 'not-implemented', 'service mode change is not allowed');
    });
  });

  describe('when rolled back', () => {
    const back = (service: { id: string; version: number }) => ({
      ...update(service, aServiceSpec({ name: 'ignored' })),
      rollback: 'previous' as const,
    });

    it('get their previous specification with its version, and a second time the later one', async () => {
      const first = await create(aServiceSpec());
      const { service: second } = await bench.call(
        'UpdateService',
        update(first, aServiceSpec({ labels: { a: '1' } })),
      );
      const { service: third } = await bench.call('UpdateService', back(second));
      assert.deepEqual([third.spec, third.specVersion], [first.spec, first.specVersion]);
      assert.equal(third.updateStatus?.state, 'rollback-started');
      const { service: fourth } = await bench.call('UpdateService', back(third));
      assert.deepEqual([fourth.spec, fourth.specVersion], [second.spec, second.specVersion]);
      const { service: fifth } = await bench.call(
        'UpdateService',
        update(fourth, aServiceSpec({ labels: { a: '5' } })),
      );
      assert.ok(fifth.specVersion > second.specVersion);
    });

    it('without a previous specification are refused', async () => {
      const service = await create(aServiceSpec());
      await bench.refused(
        'UpdateService',
        back(service),
        'invalid',
        `service ${service.id} does not have a previous spec`,
      );
    });

    it('onto a port that another service has since taken are refused', async () => {
      const first = await create(publishing('web', port(8080)));
      const { service: second } = await bench.call('UpdateService', update(first, publishing('web')));
      await create(publishing('two', port(8080)));
      await bench.refused('UpdateService', back(second), 'invalid', /port '8080' is already in use by service 'two'/);
    });
  });

  it('are removed by name, and free name and port', async () => {
    await create(publishing('web', port(8080)));
    await bench.call('RemoveService', { service: 'web' });
    await bench.refused('RemoveService', { service: 'web' }, 'not-found', 'service web not found');
    await create(publishing('web', port(8080)));
  });

  it('are listed by start of id or name, labels and mode, with counts of their tasks', async () => {
    const web = await create(
      aServiceSpec({ labels: { tier: 'front', live: '' }, mode: { kind: 'replicated', replicas: 4 } }),
    );
    const everywhere = await create(aServiceSpec({ name: 'agent', mode: { kind: 'global' } }));
    await bench.store.update((tx) => {
      const running = { state: 'running', atMs: 0, message: '' } as const;
      tx.tasks.put(aTask({ id: anId('task', 1), status: running }, web));
      tx.tasks.put(aTask({ id: anId('task', 2), status: running, desired: 'shutdown' }, web));
      tx.tasks.put(aTask({ id: anId('task', 3) }, web));
      tx.tasks.put(aTask({ id: anId('task', 4), status: { ...running, state: 'complete' } }, web));
      tx.tasks.put(aTask({ id: anId('task', 5), status: running }, everywhere));
    });
    const names = async (filter: object): Promise<string[]> => {
      const { services } = await bench.call('ListServices', { filter, status: false });
      return services.map(({ spec }) => spec.name);
    };
    assert.deepEqual(await names({}), ['web', 'agent']);
    assert.deepEqual(await names({ names: ['WE'] }), ['web']);
    assert.deepEqual(await names({ ids: [everywhere.id.slice(0, 8)] }), ['agent']);
    assert.deepEqual(await names({ labels: ['tier=front', 'live'] }), ['web']);
    assert.deepEqual(await names({ labels: ['tier=back'] }), []);
    assert.deepEqual(await names({ modes: ['global'] }), ['agent']);
    const { status } = await bench.call('ListServices', { filter: {}, status: true });
    assert.deepEqual(status[web.id], { runningTasks: 1, desiredTasks: 4, completedTasks: 1 });
    assert.deepEqual(status[everywhere.id], { runningTasks: 1, desiredTasks: 1, completedTasks: 0 });
  });
});
