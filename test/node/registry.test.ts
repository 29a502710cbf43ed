// Debian's docker-registry, the stock docker client, and our daemon's parts between them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ApiServer, createApiServer } from '../../api/server.ts';
import { systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import { SYSTEM } from '../api/support/fixture.ts';
import { FakeSwarm } from '../api/support/fake-swarm.ts';
import { dockerArchive, streamOf, tarOf } from '../image/support.ts';
import { DockerClient } from '../support/docker-client.ts';
import { RealRegistry, REGISTRY_PROGRAM } from '../support/real-registry.ts';
import { requireRoot, requireTool } from '../support/requirements.ts';
import { LAB_LOG, RuntimeLab } from '../support/runtime-lab.ts';

describe('a real registry and the stock docker client', function () {
  this.timeout(60_000);
  let lab: RuntimeLab;
  let api: ApiServer;
  let docker: DockerClient;
  let registry: RealRegistry;
  let guarded: RealRegistry;
  let open = false;
  const ok = (...args: string[]): Promise<string> => docker.ok(...args);

  before(async function () {
    requireRoot(this);
    requireTool(this, REGISTRY_PROGRAM);
    lab = await RuntimeLab.open();
    const common = { clock: systemClock, random: systemRandom, log: LAB_LOG };
    api = createApiServer({ ...common, runtime: lab.runtime, swarm: new FakeSwarm(), system: SYSTEM });
    const path = join(lab.root, 'api.sock');
    await api.listen({ kind: 'unix', path, mode: 0o600 });
    docker = new DockerClient(path);
    registry = await RealRegistry.start();
    guarded = await RealRegistry.start({ passwords: true });
    open = true;
    const busybox = readFileSync(join(lab.root, 'busybox.tar'));
    const more = await Promise.all([1, 2, 3].map((at) => tarOf([[`layer-${at}`, `${at}`.repeat(100_000)]])));
    const archive = await dockerArchive({
      tags: ['app:1'],
      layers: [busybox, ...more],
      config: { Cmd: ['cat', '/layer-3'] },
    });
    await lab.runtime.images.load(streamOf(archive), () => undefined);
  });
  after(async () => {
    if (!open) return;
    docker[Symbol.dispose]();
    registry[Symbol.dispose]();
    guarded[Symbol.dispose]();
    await api.close();
    await lab[Symbol.asyncDispose]();
  });

  const idOf = async (name: string): Promise<string> => (await ok('image', 'inspect', '-f', '{{.Id}}', name)).trim();

  it('keeps an image that is pushed, which pulls as the same, by tag and digest, and runs', async () => {
    const name = `${registry.host}/team/app:1`;
    await ok('tag', 'app:1', name);
    const id = await idOf(name);
    const digest = /digest: (sha256:\w+) size: \d+/.exec(await ok('push', name))?.[1] ?? '';
    assert.match(await ok('push', name), /Layer already exists/);
    await ok('rmi', '-f', 'app:1', name);
    assert.match(await ok('pull', name), new RegExp(`Digest: ${digest}\\nStatus: Downloaded newer image for ${name}`));
    assert.equal(await idOf(name), id);
    assert.match(await ok('pull', name), /Image is up to date/);
    const pinned = `${registry.host}/team/app@${digest}`;
    await ok('pull', pinned);
    assert.equal(await idOf(pinned), id);
    assert.equal(await ok('run', '--rm', name), '3'.repeat(100_000));
    await ok('rmi', name);
    assert.notEqual((await docker.run(['image', 'inspect', pinned])).code, 0);
    assert.equal(await ok('run', '--rm', '--pull', 'always', '-q', name), '3'.repeat(100_000));
    await ok('tag', name, 'app:1');
  });

  it('has no such image, and the client says so as with docker', async () => {
    const { code, stderr } = await docker.run(['pull', `${registry.host}/nosuch:1`]);
    assert.equal(code, 1);
    const name = `${registry.host}/nosuch:1`;
    assert.equal(
      stderr,
      `Error response from daemon: manifest for ${name} not found: manifest unknown: manifest unknown\n`,
    );
    const push = await docker.run(['push', `${registry.host}/never:1`]);
    assert.match(push.stderr, /An image does not exist locally with the tag: .*\/never/);
  });

  it('wants a password: login, push, pull, logout', async () => {
    const name = `${guarded.host}/mine:1`;
    await ok('tag', 'app:1', name);
    assert.match((await docker.run(['push', name])).stderr, /no basic auth credentials/);
    const wrong = await docker.run(['login', '-u', 'me', '--password-stdin', guarded.host], 'wrong');
    assert.match(wrong.stderr, /unauthorized|401/);
    const login = await docker.run(['login', '-u', 'me', '--password-stdin', guarded.host], 'secret');
    assert.match(login.stdout, /Login Succeeded/);
    await ok('push', name);
    await ok('rmi', name);
    await ok('pull', name);
    await ok('logout', guarded.host);
    assert.match((await docker.run(['pull', name])).stderr, /no basic auth credentials/);
  });

  it('tells what a name means without fetching it', async () => {
    const name = `${registry.host}/seen:1`;
    await ok('tag', 'app:1', name);
    await ok('push', name);
    const { descriptor, platforms } = await lab.runtime.registries.resolve(name, {});
    assert.match(descriptor.digest, /^sha256:/);
    assert.deepEqual(platforms, [{ os: 'linux', architecture: 'amd64', variant: '' }]);
  });
});
