// Locking managers with the stock client: its words, its prompts and its exit codes, on a node that is started again.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { createApiServer } from '../../api/server.ts';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { Scope } from '../../base/scope.ts';
import { SYSTEM } from '../api/support/fixture.ts';
import { FakeRuntime } from '../api/support/fake-runtime.ts';
import { DockerClient } from '../support/docker-client.ts';
import { startTestSwarm, type TestNode } from '../support/test-swarm.ts';

/** The client on one life of a node. */
async function clientOf(node: TestNode, life: number, scope: Scope): Promise<DockerClient> {
  const common = { clock: systemClock, random: systemRandom, log: silentLog };
  const api = createApiServer({ ...common, runtime: new FakeRuntime(), swarm: node.node, system: SYSTEM });
  scope.defer(() => api.close());
  const socketPath = join(node.dataRoot, `api${life}.sock`);
  await api.listen({ kind: 'unix', path: socketPath, mode: 0o600 });
  return scope.own(new DockerClient(socketPath));
}

const keyIn = (text: string): string => /SWMKEY-1-\S+/.exec(text)?.[0] ?? assert.fail(`no key in: ${text}`);

describe('docker swarm --autolock', function () {
  this.timeout(60_000);

  it('locks, refuses with docker’s words, unlocks, rotates and ends', async () => {
    await using scope = new Scope();
    const swarm = scope.own(await startTestSwarm());
    const node = await swarm.add();
    const address = `127.0.0.1:${node.port}`;
    let docker = await clientOf(node, 1, scope);
    const said = await docker.ok('swarm', 'init', '--autolock', '--listen-addr', address, '--advertise-addr', address);
    assert.match(said, /To unlock a swarm manager after it restarts, run the `docker swarm unlock`/);
    const key = keyIn(said);
    assert.equal((await docker.ok('swarm', 'unlock-key', '-q')).trim(), key);

    await node.restart();
    docker = await clientOf(node, 2, scope);
    assert.equal((await docker.ok('info', '--format', '{{.Swarm.LocalNodeState}}')).trim(), 'locked');
    const refused = await docker.run(['node', 'ls']);
    assert.equal(refused.code, 1);
    assert.match(
      refused.stderr,
      /Swarm is encrypted and needs to be unlocked before it can be used\. Please use "docker swarm unlock" to unlock it\./,
    );
    const wrong = await docker.run(['swarm', 'unlock'], `SWMKEY-1-${'A'.repeat(43)}\n`);
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /swarm could not be unlocked: invalid key provided/);
    const unlocked = await docker.run(['swarm', 'unlock'], `${key}\n`);
    assert.equal(unlocked.code, 0, unlocked.stderr);
    assert.equal((await docker.ok('node', 'ls', '-q')).trim().length, 25);
    assert.match((await docker.run(['swarm', 'unlock'], `${key}\n`)).stderr, /swarm is not locked/);

    const rotated = keyIn(await docker.ok('swarm', 'unlock-key', '--rotate'));
    assert.notEqual(rotated, key);
    await docker.ok('swarm', 'update', '--autolock=false');
    assert.match((await docker.run(['swarm', 'unlock-key'])).stderr, /no unlock key is set/);
    assert.match(await docker.ok('swarm', 'update', '--autolock=true'), /SWMKEY-1-/);
  });
});
