// What a comparison with Docker's engine showed to differ, and what clients would have stumbled over.
import assert from 'node:assert/strict';
import { CodedError } from '../../base/errors.ts';
import { ApiFixture } from './support/fixture.ts';

describe('answers as Docker gives them', () => {
  let api: ApiFixture;
  beforeEach(async () => {
    api = await ApiFixture.start();
  });
  afterEach(() => api[Symbol.asyncDispose]());

  const said = async (method: string, path: string, body?: unknown): Promise<[number, string]> => {
    const answer = await api.call(method, path, body);
    return [answer.status, answer.text === '' ? '' : answer.json<{ message: string }>().message];
  };

  it('say what was to be done before what was wrong', async () => {
    assert.deepEqual(await said('POST', '/containers/nobody/kill'), [
      404,
      'cannot kill container: nobody: No such container: nobody',
    ]);
    await api.create({}, 'one');
    assert.match(
      (await said('POST', '/containers/one/rename?name=bad%20name'))[1],
      /^Error when allocating new name: Invalid container name \(\/bad name\)/,
    );
  });

  it('refuse a host configuration at the start, which once was heard there', async () => {
    await api.create({}, 'web');
    const [status, sentence] = await said('POST', '/containers/web/start', { Memory: 67_108_864 });
    assert.deepEqual([status, sentence.slice(0, 50)], [400, 'starting container with non-empty request body was']);
    assert.equal((await api.call('POST', '/containers/web/start', {})).status, 204);
  });

  it('refuse a link to nobody', async () => {
    const linked = { Image: 'busybox', HostConfig: { Links: ['nobody:x'] } };
    assert.deepEqual(await said('POST', '/containers/create', linked), [
      400,
      'could not get container for nobody: No such container: nobody',
    ]);
  });

  it('ask for all networks of the swarm at once on a worker, and make nothing while no manager answers', async () => {
    api.swarm.current = { ...api.swarm.info(), state: 'active', controlAvailable: false };
    const asked: string[] = [];
    let answer = (): void => undefined;
    const all = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const check = async (network: string): Promise<void> => {
      if (asked.push(network) === 2) answer();
      await all;
      throw new CodedError('unavailable', `no manager gave a place on network ${network} within 5 s`);
    };
    const nobody = (): Promise<never> => Promise.reject(new Error('nobody asks for a place'));
    api.runtime.networks.guests = { admit: nobody, release: () => undefined, check };
    const two = { EndpointsConfig: { red: {}, blue: {} } };
    const request = { Image: 'busybox', HostConfig: { NetworkMode: 'red' }, NetworkingConfig: two };
    const [status, sentence] = await said('POST', '/containers/create?name=web', request);
    assert.equal(status, 503);
    assert.match(sentence, /no manager gave a place on network (red|blue) within 5 s/);
    assert.deepEqual(asked.toSorted(), ['blue', 'red']);
    assert.equal((await api.call('GET', '/containers/web/json')).status, 404);
  });

  it('have no conflict for what is not paused', async () => {
    const id = await api.create({}, 'web');
    assert.deepEqual(await said('POST', '/containers/web/unpause'), [500, `Container ${id} is not paused`]);
  });

  it('tell of networks that come and go', async () => {
    const stream = api.raw();
    stream.send(`GET /events?filters=${encodeURIComponent('{"type":["network"]}')} HTTP/1.1\r\nHost: d\r\n\r\n`);
    await stream.head();
    await api.call('POST', '/networks/create', { Name: 'own' });
    await api.call('DELETE', '/networks/own');
    await stream.until(() => stream.body.includes('"destroy"'));
    assert.match(stream.body.toString(), /"Action":"create"[^\n]*"name":"own","type":"bridge"/);
  });

  it('show what an empty request means on this machine', async () => {
    await api.create({ HostConfig: { Binds: ['/etc:/host:ro'] } }, 'web');
    const { HostConfig, Config, GraphDriver } = (await api.call('GET', '/containers/web/json')).json<{
      HostConfig: Record<string, unknown>;
      Config: Record<string, unknown>;
      GraphDriver: { Data: object };
    }>();
    const { MaskedPaths, ReadonlyPaths, OomKillDisable, Mounts } = HostConfig;
    assert.deepEqual([MaskedPaths, ReadonlyPaths, OomKillDisable], [['/proc/kcore'], ['/proc/sys'], false]);
    assert.equal(Mounts, undefined); // asked for as Binds, and shown there
    assert.equal(Config['Env'], null);
    assert.deepEqual(Object.keys(GraphDriver.Data), ['LowerDir', 'MergedDir', 'UpperDir', 'WorkDir']);
  });

  it('have for compose 1 what it looks for in images and in aliases', async () => {
    const image = (await api.call('GET', '/v1.41/images/busybox/json')).json();
    assert.equal((image['ContainerConfig'] as { Volumes: unknown }).Volumes, null);
    assert.equal('ContainerConfig' in (await api.call('GET', '/v1.45/images/busybox/json')).json(), false);
    await api.call('POST', '/networks/create', { Name: 'own' });
    const id = await api.create({ HostConfig: { NetworkMode: 'own' } }, 'web');
    const aliases = async (version: string) => {
      const answer = await api.call('GET', `/v${version}/containers/web/json`);
      type Inspect = { NetworkSettings: { Networks: Record<string, { Aliases: unknown }> } };
      return answer.json<Inspect>().NetworkSettings.Networks['own']?.Aliases;
    };
    assert.deepEqual(await aliases('1.44'), [id.slice(0, 12)]);
    assert.equal(await aliases('1.45'), null);
    const compose = { 'User-Agent': 'docker-compose/1.29.2 docker-py/5.0.3 Linux/6.1' };
    const newest = (await api.call('GET', '/v1.51/images/busybox/json', undefined, compose)).json();
    assert.equal('ContainerConfig' in newest, true);
  });

  it('select by the published port of the host', async () => {
    await api.create({ HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '8080' }] } } }, 'web');
    const names = async (filters: string) =>
      (await api.call('GET', `/containers/json?all=1&filters=${filters}`)).json<unknown[]>().length;
    assert.deepEqual([await names('{"publish":["8080"]}'), await names('{"publish":["80"]}')], [1, 0]);
  });

  it('show of an image the names alone that were asked for', async () => {
    await api.call('POST', '/images/busybox/tag?repo=second&tag=2');
    const answer = await api.call('GET', '/images/json?filters={"reference":["second"]}');
    assert.deepEqual(
      answer.json<{ RepoTags: string[] }[]>().map(({ RepoTags }) => RepoTags),
      [['second:2']],
    );
  });
});
