// Nonsense for every route. The same with many more requests: npm run compat fuzz 10000
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { FakeCluster } from './support/fake-cluster.ts';
import { ApiFixture } from './support/fixture.ts';
import { fuzz } from './support/fuzz.ts';

const PER_ROUTE = Number(process.env['FUZZ_PER_ROUTE'] ?? 3);
const SEED = Number(process.env['FUZZ_SEED'] ?? 1);

describe('nonsense for every route', () => {
  for (const manager of [false, true]) {
    it(`is answered in a sentence ${manager ? 'on a manager' : 'outside of a swarm'}, and leaves no descriptor open`, async function () {
      this.timeout(60_000 + PER_ROUTE * 10_000);
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
      const { sent, offences } = await fuzz({ ...common, perRoute: PER_ROUTE, seed: SEED + 1 });
      assert.deepEqual(offences.slice(0, 5), []);
      assert.equal(sent, routes.length * PER_ROUTE);
      assert.equal((await api.call('GET', '/_ping')).text, 'OK');
      const after = readdirSync('/proc/self/fd').length;
      assert.ok(after <= before + 40, `${before} descriptors before, ${after} after`);
    });
  }
});
