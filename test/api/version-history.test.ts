// What changed between the versions of the Engine API, by its published version history: each change is there from its
// version on, and not before. Debian's engine speaks 1.41 at most, so that the comparison with it ends there.
import assert from 'node:assert/strict';
import { ApiFixture } from './support/fixture.ts';

type Json = Readonly<Record<string, unknown>>;

/** A value inside an answer, by its keys; undefined where it is not there. */
const at = (value: unknown, ...keys: readonly (string | number)[]): unknown =>
  keys.reduce<unknown>((inside, key) => (Object(inside) as Record<string | number, unknown>)[key], value);

const has = (value: unknown, key: string): boolean => Object.hasOwn(Object(value) as object, key);

describe('the version history of the API', () => {
  let api: ApiFixture;
  before(async () => {
    api = await ApiFixture.start();
    await api.call('POST', '/networks/create', { Name: 'own' });
    await api.create(
      { Cmd: ['sleep', '60'], HostConfig: { NetworkMode: 'own', PortBindings: { '80/tcp': [{ HostPort: '81' }] } } },
      'web',
    );
    await api.create({ Cmd: ['exit', '3'] }, 'old');
    await api.call('POST', '/containers/web/start');
  });
  after(() => api[Symbol.asyncDispose]());

  const get = async (version: string, path: string): Promise<unknown> =>
    (await api.call('GET', `/v${version}${path}`)).json<Json>();

  for (const [since, what, path, isThere] of [
    [
      '1.42',
      'no limit of kernel memory in a container',
      '/containers/web/json',
      (body: unknown) => !has(at(body, 'HostConfig'), 'KernelMemory'),
    ],
    [
      '1.42',
      'no limit of kernel memory for TCP in a container',
      '/containers/web/json',
      (body: unknown) => !has(at(body, 'HostConfig'), 'KernelMemoryTCP'),
    ],
    ['1.42', 'no kernel memory in /info', '/info', (body: unknown) => !has(body, 'KernelMemory')],
    ['1.42', 'no size of the builder in /system/df', '/system/df', (body: unknown) => !has(body, 'BuilderSize')],
    ['1.42', 'the asked kind alone in /system/df', '/system/df?type=volume', (body: unknown) => !has(body, 'Images')],
    ['1.44', 'no virtual size of an image', '/images/busybox/json', (body: unknown) => !has(body, 'VirtualSize')],
    [
      '1.44',
      'no virtual size in the list of images',
      '/images/json',
      (body: unknown) => !has(at(body, 0), 'VirtualSize'),
    ],
    [
      '1.44',
      'no virtual size in /system/df',
      '/system/df',
      (body: unknown) => !has(at(body, 'Images', 0), 'VirtualSize'),
    ],
    ['1.45', 'no container of an image', '/images/busybox/json', (body: unknown) => !has(body, 'Container')],
    [
      '1.45',
      'no configuration of the container of an image',
      '/images/busybox/json',
      (body: unknown) => !has(body, 'ContainerConfig'),
    ],
    [
      '1.45',
      'no short id among the aliases',
      '/containers/web/json',
      (body: unknown) => at(body, 'NetworkSettings', 'Networks', 'own', 'Aliases') === null,
    ],
    [
      '1.49',
      'no words on what may not be distributed',
      '/info',
      (body: unknown) => !has(at(body, 'RegistryConfig'), 'AllowNondistributableArtifactsCIDRs'),
    ],
    [
      '1.50',
      'no host name in an image',
      '/images/busybox/json',
      (body: unknown) => !has(at(body, 'Config'), 'Hostname'),
    ],
    [
      '1.51',
      'the number of an image’s containers',
      '/images/json',
      (body: unknown) => at(body, 0, 'Containers') !== -1,
    ],
  ] as const) {
    it(`${since}: ${what}`, async () => {
      assert.equal(isThere(await get(previous(since), path)), false, `at ${previous(since)}`);
      assert.equal(isThere(await get(since, path)), true, `at ${since}`);
    });
  }

  it('1.25: a container removes itself when asked to', async () => {
    assert.equal(await created('1.24', { AutoRemove: true }, 'AutoRemove'), false);
    assert.equal(await created('1.25', { AutoRemove: true }, 'AutoRemove'), true);
  });

  it('1.40: memory is private unless it says', async () => {
    assert.equal(await created('1.39', {}, 'IpcMode'), 'shareable');
    assert.equal(await created('1.40', {}, 'IpcMode'), 'private');
    assert.equal(await created('1.39', { IpcMode: 'private' }, 'IpcMode'), 'private');
  });

  it('1.41: a single filter of images is not heard any more', async () => {
    assert.deepEqual(await get('1.40', '/images/json?filter=nosuch'), []);
    assert.notDeepEqual(await get('1.41', '/images/json?filter=nosuch'), []);
  });

  it('1.42: a signal may be named to stop with', async () => {
    assert.equal((await api.call('POST', '/v1.42/containers/web/stop?signal=NOPE')).status, 204); // the fake takes any
    assert.match(api.runtime.containers.calls.join('\n'), /stop \{.*"signal":"NOPE"/);
    await api.call('POST', '/containers/web/start');
    await api.call('POST', '/v1.41/containers/web/stop?signal=NEVER');
    assert.doesNotMatch(api.runtime.containers.calls.join('\n'), /NEVER/);
    await api.call('POST', '/containers/web/start');
  });

  it('1.42: framed logs say that they are', async () => {
    const type = async (version: string) =>
      (await api.call('GET', `/v${version}/containers/web/logs?stdout=1`)).headers['content-type'];
    assert.equal(await type('1.41'), 'application/vnd.docker.raw-stream');
    assert.equal(await type('1.42'), 'application/vnd.docker.multiplexed-stream');
  });

  async function created(version: string, HostConfig: Json, key: string): Promise<unknown> {
    const answer = await api.call('POST', `/v${version}/containers/create`, { Image: 'busybox', HostConfig });
    const { Id } = answer.json<{ Id: string }>();
    return at(await get('1.51', `/containers/${Id}/json`), 'HostConfig', key);
  }
});

/** The version before: 1.44 → 1.43. */
function previous(version: string): string {
  const [major, minor] = version.split('.').map(Number);
  return `${major}.${(minor ?? 0) - 1}`;
}
