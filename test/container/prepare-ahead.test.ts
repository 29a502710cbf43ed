import { strict as assert } from 'node:assert';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError } from '../../base/errors.ts';
import { aConfig, machine, until } from './support.ts';

describe('preparing a new container ahead', () => {
  it('does the start’s work once, and tells nobody before', async () => {
    await using node = await machine({ preparesAhead: true });
    const { id } = await node.store.create(aConfig());
    await until(() => node.native.shims.length === 1);
    const { state, pid, endpoint } = node.store.get(id);
    assert.deepEqual([state, pid, endpoint, node.actions()], ['created', 0, undefined, ['create']]);
    await node.store.start(id);
    assert.equal(node.native.shims.length, 1);
    assert.deepEqual(node.actions(), ['create', 'network connect', 'start']);
    node.clock.advance(5_000);
    await until(() => node.store.get(id).state === 'running');
    assert.equal(node.native.last.killed, false);
  });

  it('takes it down when nobody starts it soon, and prepares again when somebody does', async () => {
    await using node = await machine({ preparesAhead: true });
    const { id } = await node.store.create(aConfig());
    await until(() => node.native.shims.length === 1);
    node.clock.advance(2_000);
    await until(() => node.native.last.killed && node.networks.joined.size === 0);
    await node.store.start(id);
    assert.equal(node.native.shims.length, 2);
    assert.equal(node.store.get(id).state, 'running');
  });

  it('takes it down with the container, and when its limits change', async () => {
    await using node = await machine({ preparesAhead: true });
    const first = await node.store.create(aConfig());
    await node.store.remove(first.id, { force: false, volumes: false });
    assert.ok(node.native.last.killed);
    const second = await node.store.create(aConfig());
    await node.store.update(second.id, { limits: { memoryBytes: 5e7 } });
    assert.ok(node.native.last.killed);
    assert.equal(node.networks.joined.size, 0);
    assert.deepEqual(node.failures, []);
  });

  it('takes it down when the daemon ends', async () => {
    await using node = await machine({ preparesAhead: true });
    await node.store.create(aConfig());
    await until(() => node.native.shims.length === 1);
    node.native.adoptable.clear();
    await node.restart();
    assert.ok(node.native.last.killed);
  });

  it('takes it down when the container can not be written', async () => {
    await using node = await machine({ preparesAhead: true });
    await rm(join(node.root, 'containers'), { recursive: true });
    await assert.rejects(node.store.create(aConfig({ name: 'unwritten' })), { code: 'ENOENT' });
    assert.deepEqual([node.native.shims.length, node.networks.joined.size, node.failures], [0, 0, []]);
    await mkdir(join(node.root, 'containers'));
    await node.store.create(aConfig({ name: 'unwritten' }));
  });

  it('says at the start what failed', async () => {
    await using node = await machine({ preparesAhead: true });
    node.native.launchError = new CodedError('invalid', 'no such user');
    const { id } = await node.store.create(aConfig());
    await assert.rejects(node.store.start(id), /no such user/);
    assert.equal(node.networks.joined.size, 0);
  });

  it('leaves ports and named networks alone until the start', async () => {
    await using node = await machine({ preparesAhead: true });
    await node.store.create(
      aConfig({ publish: [{ protocol: 'tcp', containerPort: 80, hostAddress: '', hostPort: 80 }] }),
    );
    assert.equal(node.networks.joined.size, 0);
  });
});
