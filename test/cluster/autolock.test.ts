// Managers that lock themselves: whole nodes in this process, restarted from their disks.
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../base/errors.ts';
import type { SwarmNode } from '../../daemon/swarm-node.ts';
import { aServiceSpec } from '../support/objects.ts';
import { startTestSwarm, type TestNode } from '../support/test-swarm.ts';
import { until } from '../support/until.ts';

const OTHER_KEY = `SWMKEY-1-${Buffer.alloc(32, 9).toString('base64').replace('=', '')}`;

async function update(node: TestNode, change: { autolock?: boolean; rotate?: boolean }): Promise<string> {
  const { cluster } = await node.control().call('GetCluster', {});
  const spec = { ...cluster.spec, ...(change.autolock === undefined ? {} : { autoLockManagers: change.autolock }) };
  const rotation = { rotateWorkerToken: false, rotateManagerToken: false, rotateUnlockKey: change.rotate ?? false };
  await node.control().call('UpdateCluster', { version: cluster.version, spec, ...rotation });
  return (await node.control().call('GetUnlockKey', {})).unlockKey;
}

/** Everything below the node's data root, as one text. */
async function diskOf(node: TestNode): Promise<string> {
  const folder = join(node.dataRoot, 'swarm');
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const texts = await Promise.all(files.map((file) => readFile(join(file.parentPath, file.name), 'latin1')));
  return texts.join('\n');
}

const isLockedOnDisk = async (node: TestNode): Promise<boolean> =>
  (await readFile(join(node.dataRoot, 'swarm/node-key'), 'utf8')).includes('locked');

const refusal = (error: unknown): string => `${codeOf(error)}: ${(error as Error).message}`;

async function refused(work: Promise<unknown>): Promise<string> {
  return await work.then(() => assert.fail('it was accepted'), refusal);
}

const unlock = (node: { node: SwarmNode }, key: string): Promise<void> => node.node.unlock(key);

describe('a swarm that locks its managers', function () {
  this.timeout(60_000);

  it('leaves a restarted manager locked until it gets the key, with what it knew', async () => {
    await using swarm = await startTestSwarm();
    const { first } = swarm;
    await first.control().call('CreateService', { spec: aServiceSpec({ name: 'kept' }) });
    const key = await update(first, { autolock: true });
    assert.match(key, /^SWMKEY-1-[A-Za-z0-9+/]{43}$/);
    await until('its disk is locked', () => isLockedOnDisk(first));
    await first.restart();
    assert.equal(first.node.info().state, 'locked');
    assert.throws(() => first.control(), /Swarm is encrypted and needs to be unlocked/);
    assert.equal(
      await refused(unlock(first, OTHER_KEY)),
      'unauthenticated: swarm could not be unlocked: invalid key provided',
    );
    assert.equal(await refused(unlock(first, 'nonsense')), 'invalid: invalid key string');
    assert.match(await refused(first.node.leave({ force: false })), /needs to be unlocked/);
    await unlock(first, key);
    assert.equal(await refused(unlock(first, key)), 'conflict: swarm is not locked');
    await until('it leads again', async () => {
      const reply = await first.control().call('GetService', { service: 'kept' });
      return reply.service.spec.name === 'kept';
    });
    const disk = await diskOf(first);
    assert.ok(!disk.includes(key), 'the key is nowhere on the disk');
    assert.ok(!disk.includes('PRIVATE KEY'), 'nor is the private key');
  });

  it('takes the new key and not the old one after a rotation, on every manager, and none when it is over', async () => {
    await using swarm = await startTestSwarm();
    const { first } = swarm;
    const others = [await swarm.join('manager'), await swarm.join('manager')];
    const oldKey = await update(first, { autolock: true });
    for (const node of swarm.nodes) await until('it is locked', () => isLockedOnDisk(node));
    const before = await Promise.all(
      others.map((node) => readFile(join(node.dataRoot, 'swarm/raft/data-key'), 'utf8')),
    );
    const newKey = await update(first, { rotate: true });
    assert.notEqual(newKey, oldKey);
    const [second] = others;
    assert.ok(second);
    await until('its data key is another', async () => {
      const now = await readFile(join(second.dataRoot, 'swarm/raft/data-key'), 'utf8');
      return now !== before[0] && (JSON.parse(now) as { keys: unknown[] }).keys.length === 1;
    });
    await until('one key of the node is left', async () => {
      const text = await readFile(join(second.dataRoot, 'swarm/node-key'), 'utf8');
      return (JSON.parse(text) as { locked: unknown[] }).locked.length === 1;
    });
    await second.restart();
    assert.match(await refused(unlock(second, oldKey)), /invalid key provided/);
    await unlock(second, newKey);
    await until('it is a manager again', async () => {
      const { managers } = await second.control().call('ListNodes', { filter: {} });
      return managers.filter(({ reachable }) => reachable).length === 3;
    });
    assert.equal(await update(first, { autolock: false }), '');
    for (const node of swarm.nodes) await until('it is open', async () => !(await isLockedOnDisk(node)));
    await second.restart();
    assert.equal(second.node.info().state, 'active');
  });

  it('lets a locked node leave by force', async () => {
    await using swarm = await startTestSwarm();
    const { first } = swarm;
    await update(first, { autolock: true });
    await until('it is locked', () => isLockedOnDisk(first));
    await first.restart();
    await first.node.leave({ force: true });
    assert.equal(first.node.info().state, 'inactive');
    assert.match(await refused(unlock(first, OTHER_KEY)), /not part of a swarm/);
  });
});
