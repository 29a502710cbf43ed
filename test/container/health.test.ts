import { strict as assert } from 'node:assert';
import { aConfig, type FakeProcess, machine, until } from './support.ts';

const check = (change: object = {}) => ({
  test: ['CMD-SHELL', 'probe'],
  intervalMs: 1000,
  timeoutMs: 300,
  startPeriodMs: 0,
  startIntervalMs: 0,
  retries: 2,
  ...change,
});

describe('health probing', () => {
  it('goes from starting to healthy to unhealthy, with an event for each', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig({ healthCheck: check() }));
    await node.store.start(id);
    const health = () => node.store.get(id).health;
    const probes: string[][] = [];
    let exitCode = 0;
    node.native.last.onExec = (spec, made) => {
      probes.push([...spec.args]);
      made.output.push('out');
      made.exit(exitCode);
    };
    assert.equal(health()?.status, 'starting');
    const nextProbe = async (): Promise<void> => {
      const count = health()?.log.length ?? 0;
      await until(() => node.clock.untilNextMs() !== undefined);
      node.clock.advance(1000);
      await until(() => health()?.log.length === count + 1);
    };
    await nextProbe();
    assert.equal(health()?.status, 'healthy');
    assert.equal(health()?.log[0]?.output, 'out');
    exitCode = 1;
    await nextProbe();
    assert.equal(health()?.status, 'healthy');
    await nextProbe();
    assert.equal(health()?.status, 'unhealthy');
    assert.deepEqual(probes[0], ['/bin/sh', '-c', 'probe']);
    assert.deepEqual(
      node.actions().filter((action) => action.startsWith('health_status')),
      ['health_status: healthy', 'health_status: unhealthy'],
    );
    node.native.last.exit(0);
    await until(() => node.store.get(id).state === 'exited');
    assert.deepEqual(node.failures, []);
  });

  it('kills a probe that takes too long, and counts it as failed', async () => {
    await using node = await machine();
    const { id } = await node.store.create(aConfig({ healthCheck: check({ retries: 1 }) }));
    await node.store.flush();
    await node.store.start(id);
    let probe: FakeProcess | undefined;
    node.native.last.onExec = (_, made) => {
      probe = made;
      made.onSignal = (signal) => made.exit(128 + signal);
    };
    await until(() => node.clock.untilNextMs() === 1000);
    node.clock.advance(1000);
    await until(() => probe !== undefined && node.clock.untilNextMs() === 300);
    node.clock.advance(300);
    await until(() => node.store.get(id).health?.status === 'unhealthy');
    assert.deepEqual(probe?.signals, [9]);
    assert.match(node.store.get(id).health?.log[0]?.output ?? '', /^Health check exceeded timeout \(0\.3s\)/);
  });

  it('does not probe without a test, or with NONE', async () => {
    await using node = await machine();
    for (const healthCheck of [undefined, check({ test: ['NONE'] })]) {
      const { id } = await node.store.create(aConfig({ healthCheck }));
      await node.store.start(id);
      assert.equal(node.store.get(id).health, undefined);
    }
    await node.store.flush();
    assert.equal(node.clock.untilNextMs(), undefined);
  });
});
