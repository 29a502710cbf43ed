import { strict as assert } from 'node:assert';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { aConfig, machine, until } from './support.ts';

describe('containers after the daemon was gone', () => {
  it('takes over what runs, with its network, and hears of its exit', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig({ name: 'kept' }));
    await node.store.start(id);
    const store = await node.restart();
    const info = store.get('kept');
    assert.equal(info.state, 'running');
    assert.equal(info.pid, node.native.last.pid);
    assert.deepEqual(
      node.networks.adopted.map(({ containerId }) => containerId),
      [id],
    );
    const exit = store.wait(id, 'not-running', new AbortController().signal);
    node.native.last.exit(9);
    assert.equal((await exit).exitCode, 9);
  });

  it('keeps what never ran, and what has exited', async () => {
    await using node = await machine();
    await node.store.create(aConfig({ name: 'new' }));
    const { id } = await node.store.create(aConfig({ name: 'done' }));
    await node.store.start(id);
    node.native.last.exit(4);
    await until(() => node.native.last.acknowledged);
    node.native.adoptable.clear();
    const store = await node.restart();
    assert.equal(store.get('new').state, 'created');
    assert.equal(store.get('done').exitCode, 4);
  });

  it('reads the exit that nobody saw, and calls the rest 255', async () => {
    await using node = await machine();
    const ids: string[] = [];
    for (const name of ['recorded', 'lost']) {
      const { id } = await node.store.create(aConfig({ name }));
      await node.store.start(id);
      ids.push(id);
    }
    node.native.adoptable.clear();
    const exit = { containerId: ids[0], exitCode: 3, signal: 0, oomKilled: true, atMs: 1234 };
    await writeFile(join(node.root, 'containers', ids[0] ?? '', 'exit.json'), JSON.stringify(exit));
    const store = await node.restart();
    const recorded = store.get('recorded');
    assert.deepEqual(
      [recorded.state, recorded.exitCode, recorded.oomKilled, recorded.finishedAtMs],
      ['exited', 3, true, 1234],
    );
    assert.deepEqual([store.get('lost').state, store.get('lost').exitCode], ['exited', 255]);
    assert.equal(node.networks.joined.size, 0);
  });

  it('removes what was to remove itself, and finishes interrupted removals and creations', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig({ autoRemove: true }));
    await node.store.start(id);
    node.native.adoptable.clear();
    await mkdir(join(node.root, 'containers', '.removing-x', 'upper'), { recursive: true });
    await mkdir(join(node.root, 'containers', 'f'.repeat(64), 'upper'), { recursive: true });
    const store = await node.restart();
    assert.deepEqual(store.list(), []);
    await until(() => node.failures.length === 0);
    const left = await readdir(join(node.root, 'containers'));
    assert.deepEqual(
      left.filter((name) => !name.includes(id)),
      ['format'],
    );
  });

  it('restarts what its policy wants back', async () => {
    await using node = await machine();
    for (const [name, rule] of [
      ['aa', 'always'],
      ['uu', 'unless-stopped'],
      ['nn', 'no'],
    ] as const) {
      const { id } = await node.store.create(aConfig({ name, restart: { name: rule, attemptsMax: 0 } }));
      await node.store.start(id);
      const shim = node.native.last;
      shim.onSignal = () => shim.exit(0);
      await node.store.stop(id, {});
    }
    node.native.adoptable.clear();
    const store = await node.restart();
    node.clock.advance(100);
    await until(() => store.get('aa').state === 'running');
    assert.equal(store.get('uu').state, 'exited');
    assert.equal(store.get('nn').state, 'exited');
  });

  it('ends a shim whose command was never started, and one without a record', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig());
    await node.store.start(id);
    const stray = join(node.root, 'run', 'c', 'ffffffffffff');
    await mkdir(stray, { recursive: true });
    const shim = node.native.last;
    node.native.adoptable.set(stray, shim);
    node.native.adoptable.delete(join(node.root, 'run', 'c', id.slice(0, 12)));
    await node.restart();
    assert.ok(shim.killed);
    assert.ok(!(await readdir(join(node.root, 'run', 'c'))).includes('ffffffffffff'));
  });
});
