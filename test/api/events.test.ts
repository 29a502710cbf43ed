import assert from 'node:assert/strict';
import type { Service } from '../../proto/objects.ts';
import { FakeCluster } from './support/fake-cluster.ts';
import { NOW_MS } from './support/fake-containers.ts';
import { ApiFixture } from './support/fixture.ts';

describe('/events', () => {
  let api: ApiFixture;
  beforeEach(async () => {
    api = await ApiFixture.start();
  });
  afterEach(() => api[Symbol.asyncDispose]());

  const publish = (action: string, name: string, labels: Record<string, string> = {}): void =>
    api.runtime.events.publish({
      type: 'container',
      action,
      id: 'a'.repeat(64),
      attributes: { name, image: 'busybox:latest', ...labels },
      scope: 'local',
    });

  it('sends the head at once, then each event as a line with whole nanoseconds', async () => {
    const client = api.raw();
    client.send('GET /events HTTP/1.1\r\nHost: d\r\n\r\n');
    assert.match(await client.head(), /Content-Type: application\/json/);
    publish('start', 'web');
    await client.until(() => client.body.includes('timeNano'));
    assert.match(client.body.toString(), /"timeNano":1700000000000000001\}/);
    assert.match(
      client.body.toString(),
      /"status":"start","id":"a{64}","from":"busybox:latest","Type":"container","Action":"start"/,
    );
  });

  it('ends at once when the time until which was asked is over', async () => {
    const answer = await api.call('GET', '/events?since=2h&until=1h');
    assert.deepEqual([answer.status, answer.text], [200, '']);
  });

  it('replays the past and ends on time', async () => {
    publish('create', 'web');
    publish('exec_create: ls', 'web');
    const answer = await api.call('GET', `/events?since=${NOW_MS / 1000 - 10}&until=${NOW_MS / 1000 + 0.05}`);
    assert.equal(answer.text.trim().split('\n').length, 2);
  });

  for (const [filters, count] of [
    [{ container: ['web'] }, 2],
    [{ container: ['aaa'] }, 3],
    [{ container: ['nobody'] }, 0],
    [{ event: ['exec_create'] }, 1],
    [{ event: ['create', 'die'] }, 2],
    [{ type: ['network'] }, 0],
    [{ label: ['tier=a'] }, 1],
    [{ image: ['busybox'] }, 3],
    [{ image: ['busybox:latest'] }, 3],
    [{ image: ['alpine'] }, 0],
    [{ scope: ['swarm'] }, 0],
    [{ container: ['web'], network: ['x'] }, 2],
  ] as const) {
    it(`chooses ${count} of three by ${JSON.stringify(filters)}`, async () => {
      publish('create', 'web');
      publish('exec_create: ls', 'web', { tier: 'a' });
      publish('die', 'other');
      const query = encodeURIComponent(JSON.stringify(filters));
      const path = `/events?since=${NOW_MS / 1000 - 10}&until=${NOW_MS / 1000 + 0.02}&filters=${query}`;
      const lines = (await api.call('GET', path)).text.split('\n').filter((line) => line !== '');
      assert.equal(lines.length, count);
    });
  }

  it("adds the cluster's changes on a manager", async () => {
    const cluster = new FakeCluster(api.swarm);
    await api.call('POST', '/services/create', { Name: 'web', TaskTemplate: { ContainerSpec: { Image: 'busybox' } } });
    const [service] = [...cluster.services.values()] as [Service];
    const client = api.raw();
    client.send('GET /events?filters=%7B%22service%22%3A%5B%22web%22%5D%7D HTTP/1.1\r\nHost: d\r\n\r\n');
    await client.head();
    const more: Service = { ...service, spec: { ...service.spec, mode: { kind: 'replicated', replicas: 4 } } };
    api.swarm.cluster.changeQueue.push({ kind: 'service', action: 'update', object: more, previous: service });
    await client.until(() => client.body.includes('timeNano'));
    assert.match(
      client.body.toString(),
      /"Type":"service","Action":"update".*"replicas.new":"4","replicas.old":"1".*"scope":"swarm"/,
    );
  });
});
