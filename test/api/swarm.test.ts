import assert from 'node:assert/strict';
import { INACTIVE } from './support/fake-swarm.ts';
import { FakeCluster, NODE_1 } from './support/fake-cluster.ts';
import { ApiFixture } from './support/fixture.ts';

const SPEC = {
  Name: 'web',
  TaskTemplate: { ContainerSpec: { Image: 'busybox' } },
  Mode: { Replicated: { Replicas: 2 } },
};

describe('the swarm', () => {
  let api: ApiFixture;
  let cluster: FakeCluster;
  beforeEach(async () => {
    api = await ApiFixture.start();
    cluster = new FakeCluster(api.swarm);
  });
  afterEach(() => api[Symbol.asyncDispose]());

  const requestOf = (method: string) => api.swarm.cluster.calls.findLast((call) => call.method === method)?.request;

  it('is founded with what the client said, and answers the node id as JSON', async () => {
    const answer = await api.call('POST', '/swarm/init', {
      ListenAddr: '0.0.0.0:2377',
      AdvertiseAddr: '10.0.0.1',
      ForceNewCluster: false,
      Availability: 'drain',
      Spec: { Dispatcher: { HeartbeatPeriod: 2e9 }, Orchestration: { TaskHistoryRetentionLimit: 3 } },
    });
    assert.equal(answer.text, `"${'n'.repeat(25)}"\n`);
    assert.deepEqual(api.swarm.requests, [
      {
        listenAddress: '0.0.0.0:2377',
        advertiseAddress: '10.0.0.1',
        dataPathAddress: '',
        dataPathPort: 0,
        defaultAddressPools: [],
        subnetSize: 0,
        forceNewCluster: false,
        autoLockManagers: false,
        availability: 'drain',
        spec: { heartbeatMs: 2000, taskHistoryLimit: 3 },
      },
    ]);
  });

  it('is joined and left with 200 and no body', async () => {
    const join = {
      RemoteAddrs: ['10.0.0.1:2377'],
      JoinToken: 'SWMTKN-1-x',
      ListenAddr: '0.0.0.0:2377',
      AdvertiseAddr: '',
    };
    for (const [path, body] of [
      ['/swarm/join', join],
      ['/swarm/leave?force=1', undefined],
    ] as const) {
      const answer = await api.call('POST', path, body);
      assert.deepEqual([answer.status, answer.text], [200, '']);
    }
    assert.deepEqual(api.swarm.requests[1], { force: true });
  });

  it('has the networks of every node for its own where services are asked to be on them', async () => {
    const asked = async (path: string): Promise<number> => (await api.call('GET', path)).status;
    assert.equal(await asked('/networks/bridge?scope=swarm'), 200);
    assert.equal(await asked('/networks/bridge?scope=local'), 200);
    assert.equal(await asked('/networks/bridge?scope=global'), 404);
    api.swarm.current = INACTIVE;
    assert.equal(await asked('/networks/bridge?scope=swarm'), 404);
  });

  it('shows tokens in /swarm and none of them in /info', async () => {
    const swarm = (await api.call('GET', '/swarm')).json<{ JoinTokens: unknown; ID: string }>();
    assert.deepEqual(swarm.JoinTokens, { Worker: 'SWMTKN-1-worker', Manager: 'SWMTKN-1-manager' });
    const info = await api.call('GET', '/info');
    assert.equal(info.json<{ Swarm: { Cluster: { ID: string } } }>().Swarm.Cluster.ID, swarm.ID);
    assert.doesNotMatch(info.text, /SWMTKN/);
  });

  it('says in /info why the cluster does not answer, instead of failing', async () => {
    delete api.swarm.cluster.answers.GetCluster;
    const info = await api.call('GET', '/info');
    assert.equal(info.status, 200);
    assert.match(info.json<{ Swarm: { Error: string } }>().Swarm.Error, /GetCluster/);
  });

  it('leaves Swarm an object on a node that is in none', async () => {
    api.swarm.current = INACTIVE;
    const { Swarm } = (await api.call('GET', '/info')).json<{ Swarm: Record<string, unknown> }>();
    assert.equal(Swarm['LocalNodeState'], 'inactive');
  });

  it('is updated from the spec it has, changing what was sent, and rotates tokens', async () => {
    api.swarm.cluster.answers.UpdateCluster = () => ({ cluster: cluster.cluster });
    const answer = await api.call('POST', '/swarm/update?version=7&rotateWorkerToken=true', {
      CAConfig: { NodeCertExpiry: 7200e9 },
    });
    assert.equal(answer.status, 200);
    const request = requestOf('UpdateCluster') as {
      version: number;
      rotateWorkerToken: boolean;
      spec: { certificates: object; raft: object };
    };
    assert.deepEqual([request.version, request.rotateWorkerToken], [7, true]);
    assert.deepEqual(request.spec.certificates, { lifetimeMs: 7_200_000 });
    assert.deepEqual(request.spec.raft, cluster.cluster.spec.raft);
  });

  it('locks managers, rotates their key, shows it, and takes it', async () => {
    api.swarm.cluster.answers.UpdateCluster = () => ({ cluster: cluster.cluster });
    api.swarm.cluster.answers.GetUnlockKey = () => ({ unlockKey: 'SWMKEY-1-x' });
    const lock = { EncryptionConfig: { AutoLockManagers: true } };
    assert.equal((await api.call('POST', '/swarm/update?version=7&rotateManagerUnlockKey=1', lock)).status, 200);
    const request = requestOf('UpdateCluster') as { rotateUnlockKey: boolean; spec: { autoLockManagers: boolean } };
    assert.deepEqual([request.rotateUnlockKey, request.spec.autoLockManagers], [true, true]);
    assert.deepEqual((await api.call('GET', '/swarm/unlockkey')).json(), { UnlockKey: 'SWMKEY-1-x' });
    assert.equal((await api.call('POST', '/swarm/unlock', { UnlockKey: 'SWMKEY-1-y' })).status, 200);
    assert.deepEqual(api.swarm.requests.at(-1), { unlock: 'SWMKEY-1-y' });
  });

  it('gives a backup and takes one, with the key in a header', async () => {
    assert.equal((await api.call('GET', '/shoal/swarm/backup')).text, 'a backup');
    const answer = await api.call('POST', '/shoal/swarm/restore?advertiseAddr=10.0.0.9', { any: 'bytes' });
    assert.equal(answer.text, `"${'r'.repeat(25)}"\n`);
    assert.deepEqual(api.swarm.requests.at(-1), {
      listenAddress: '',
      advertiseAddress: '10.0.0.9',
      unlockKey: '',
      file: '{"any":"bytes"}',
    });
  });

  it('takes its own ticks back, and refuses others', async () => {
    api.swarm.cluster.answers.UpdateCluster = () => ({ cluster: cluster.cluster });
    const { Spec } = (await api.call('GET', '/swarm')).json<{ Spec: { Raft: object } }>();
    assert.equal((await api.call('POST', '/swarm/update?version=7', Spec)).status, 200);
    const other = { ...Spec, Raft: { ...Spec.Raft, ElectionTick: 3 } };
    assert.equal((await api.call('POST', '/swarm/update?version=7', other)).status, 501);
  });

  it('lists nodes with their manager status', async () => {
    const nodes = (await api.call('GET', '/nodes')).json<{ ID: string; ManagerStatus?: object }[]>();
    assert.deepEqual(
      nodes.map(({ ManagerStatus }) => ManagerStatus),
      [{ Leader: true, Reachability: 'reachable', Addr: '10.0.0.1:2377' }, undefined],
    );
  });

  it('updates a node with the spec that came and its version', async () => {
    const spec = { Name: 'n', Labels: { rack: '1' }, Role: 'manager', Availability: 'pause' };
    assert.equal((await api.call('POST', `/nodes/${NODE_1}/update?version=7`, spec)).status, 200);
    assert.deepEqual(requestOf('UpdateNode'), {
      node: NODE_1,
      version: 7,
      spec: { name: 'n', labels: { rack: '1' }, role: 'manager', availability: 'pause' },
    });
  });

  it('passes filters on as they were asked', async () => {
    const query = encodeURIComponent(
      JSON.stringify({ service: ['web'], 'desired-state': ['running'], '_up-to-date': ['true'] }),
    );
    await api.call('GET', `/tasks?filters=${query}`);
    assert.deepEqual(requestOf('ListTasks'), {
      filter: { ids: [], names: [], labels: [], services: ['web'], nodes: [], desired: ['running'], upToDate: true },
    });
  });

  describe('of services', () => {
    const create = async (): Promise<string> =>
      (await api.call('POST', '/services/create', SPEC)).json<{ ID: string }>().ID;

    it('creates with 201, and shows status when asked', async () => {
      const answer = await api.call('POST', '/services/create', SPEC);
      assert.equal(answer.status, 201);
      assert.deepEqual(Object.keys(answer.json()), ['ID']);
      const [service] = (await api.call('GET', '/services?status=true')).json<Record<string, unknown>[]>();
      assert.deepEqual(service?.['ServiceStatus'], { RunningTasks: 2, DesiredTasks: 2, CompletedTasks: 0 });
      const [bare] = (await api.call('GET', '/services')).json<Record<string, unknown>[]>();
      assert.equal(bare?.['ServiceStatus'], undefined);
    });

    it('makes a name up for one that has none', async () => {
      const { Name: _, ...nameless } = SPEC;
      assert.equal((await api.call('POST', '/services/create', nameless)).status, 201);
      assert.match((requestOf('CreateService') as { spec: { name: string } }).spec.name, /^[a-z]+_[a-z]+$/);
    });

    const digestSent = (method: string): string | undefined =>
      (requestOf(method) as { spec: { task: { imageDigest?: string } } }).spec.task.imageDigest;

    it('records what the image means where it is known', async () => {
      await create();
      assert.equal(digestSent('CreateService'), `sha256:${'b'.repeat(64)}`);
    });

    it('does not take a scale for a new image because this node knows more than the one of the create', async () => {
      const images = api.runtime.images.images;
      api.runtime.images.images = [];
      const id = await create();
      assert.equal(digestSent('CreateService'), undefined);
      api.runtime.images.images = images;
      await api.call('POST', `/services/${id}/update?version=101`, { ...SPEC, Mode: { Replicated: { Replicas: 5 } } });
      assert.equal(digestSent('UpdateService'), undefined);
    });

    it('looks the image up again when another is named or the update is forced', async () => {
      const id = await create();
      const other = { ContainerSpec: { Image: 'unknown:2' } };
      await api.call('POST', `/services/${id}/update?version=101`, { ...SPEC, TaskTemplate: other });
      assert.equal(digestSent('UpdateService'), undefined);
      await api.call('POST', `/services/${id}/update?version=102`, {
        ...SPEC,
        TaskTemplate: { ...SPEC.TaskTemplate, ForceUpdate: 1 },
      });
      assert.equal(digestSent('UpdateService'), `sha256:${'b'.repeat(64)}`);
    });

    it('keeps what the client is to the registry, by the rules of an update, and shows it to nobody', async () => {
      const auth = (username: string): string => Buffer.from(JSON.stringify({ username })).toString('base64url');
      const sent = (method: string): unknown =>
        (requestOf(method) as { spec: { task: { registryAuth?: string } } }).spec.task.registryAuth;
      const created = await api.call('POST', '/services/create', SPEC, { 'X-Registry-Auth': auth('one') });
      assert.equal(sent('CreateService'), auth('one'));
      const path = `/services/${created.json<{ ID: string }>().ID}`;
      const shown = (await api.call('GET', path)).text + (await api.call('GET', '/services')).text;
      assert.ok(!shown.includes(auth('one')) && !/registryauth/i.test(shown));
      await api.call('POST', `${path}/update?version=101`, SPEC);
      assert.equal(sent('UpdateService'), auth('one'));
      await api.call('POST', `${path}/update?version=102`, SPEC, { 'X-Registry-Auth': auth('two') });
      assert.equal(sent('UpdateService'), auth('two'));
      assert.equal((await api.call('POST', `${path}/update?version=103&registryAuthFrom=x`, SPEC)).status, 400);
    });

    it('leaves a name with a digest to say itself what it means', async () => {
      const image = `busybox:latest@sha256:${'b'.repeat(64)}`;
      await api.call('POST', '/services/create', { ...SPEC, TaskTemplate: { ContainerSpec: { Image: image } } });
      assert.equal(digestSent('CreateService'), undefined);
    });

    it('refuses a stale version in the words that clients look for', async () => {
      const id = await create();
      const answer = await api.call('POST', `/services/${id}/update?version=1`, SPEC);
      assert.equal(answer.status, 400);
      assert.match(answer.text, /update out of sequence/);
    });

    it('asks for the previous spec on a rollback', async () => {
      const id = await create();
      await api.call('POST', `/services/${id}/update?version=101`, { ...SPEC, Labels: { a: 'b' } });
      const answer = await api.call('POST', `/services/${id}/update?version=102&rollback=previous`, SPEC);
      assert.deepEqual(answer.json(), { Warnings: null });
      assert.equal((requestOf('UpdateService') as { rollback: string }).rollback, 'previous');
    });

    it('writes the update status with underscores and times', async () => {
      const id = await create();
      const service = cluster.services.get(id);
      assert.ok(service);
      cluster.services.set(id, {
        ...service,
        updateStatus: { state: 'rollback-paused', startedAtMs: 1_700_000_000_000, message: 'why' },
      });
      const json = (await api.call('GET', `/services/${id}`)).json<{ UpdateStatus: object }>();
      assert.deepEqual(json.UpdateStatus, {
        State: 'rollback_paused',
        StartedAt: '2023-11-14T22:13:20Z',
        Message: 'why',
      });
    });

    it('says of every log line where it comes from, and whose node did not answer', async () => {
      const id = await create();
      const line = { serviceId: id, nodeId: NODE_1, stream: 'stdout', timestamp: '2023-11-14T22:13:20.5Z' } as const;
      api.swarm.cluster.logLines = [
        { ...line, taskId: 't1', bytes: Buffer.from('hi\n') },
        { ...line, taskId: '', stream: 'stderr', bytes: Buffer.from('node2 does not answer\n') },
      ];
      const path = `/services/${id}/logs?stdout=1&stderr=1&details=1&timestamps=1&tail=10`;
      const { bytes } = await api.call('GET', path);
      const first = `2023-11-14T22:13:20.5Z com.docker.swarm.node.id=${NODE_1},com.docker.swarm.service.id=${id},com.docker.swarm.task.id=t1 hi\n`;
      assert.equal(bytes.subarray(8, 8 + first.length).toString(), first);
      assert.equal(bytes[8 + first.length], 3);
      assert.match(bytes.toString(), /node2 does not answer/);
      assert.deepEqual(api.swarm.cluster.logRequests[0]?.options, {
        stdout: true,
        stderr: true,
        follow: false,
        tailLines: 10,
      });
    });
  });
});
