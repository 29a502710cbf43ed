// Nonsense for every route, half of it on a manager and half outside of a swarm. The same with many more requests:
// npm run compat fuzz 10000
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { FakeCluster } from './support/fake-cluster.ts';
import { ApiFixture } from './support/fixture.ts';
import { fuzz } from './support/fuzz.ts';

const PER_ROUTE = Number(process.env['FUZZ_PER_ROUTE'] ?? 3);
const SHARE = Math.ceil(PER_ROUTE / 2);
const GROWTH_BYTES_MAX = 24 * 1024 * 1024;
const SEED = Number(process.env['FUZZ_SEED'] ?? 1);

/** What is still held; nothing comparable without `--expose-gc`. */
function heapBytes(): number {
  if (!globalThis.gc) return 0;
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}

/** Apart from the test, so that nothing of it is held when memory is looked at. */
async function sendNonsense(manager: boolean): Promise<void> {
  await using api = await ApiFixture.start();
  if (manager) new FakeCluster(api.swarm);
  await api.create({ Cmd: ['sleep', '60'] }, 'web');
  await api.call('POST', '/containers/web/start');
  await api.create({ Cmd: ['exit', '3'] }, 'old');
  const known = ['web', 'old', 'busybox', 'bridge', 'nobody', 'data', 'web:latest'];
  const routes = api.routes();
  assert.ok(routes.length > 90);
  const common = { socketPath: api.socketPath, routes, known };
  await fuzz({ ...common, perRoute: 1, seed: SEED });
  const before = readdirSync('/proc/self/fd').length;
  const { sent, offences } = await fuzz({ ...common, perRoute: SHARE, seed: SEED + 1 });
  assert.deepEqual(offences.slice(0, 5), []);
  assert.equal(sent, routes.length * SHARE);
  assert.equal((await api.call('GET', '/_ping')).text, 'OK');
  const after = readdirSync('/proc/self/fd').length;
  assert.ok(after <= before + 40, `${before} descriptors before, ${after} after`);
}

describe('nonsense for every route', () => {
  for (const manager of [false, true]) {
    it(`is answered in a sentence ${manager ? 'on a manager' : 'outside of a swarm'}, and leaves no descriptor open`, async function () {
      this.timeout(60_000 + PER_ROUTE * 10_000);
      const heapBefore = heapBytes();
      await sendNonsense(manager);
      await setImmediate();
      const grown = heapBytes() - heapBefore;
      assert.ok(grown <= GROWTH_BYTES_MAX, `${grown} bytes of memory more than before`);
    });
  }
});
