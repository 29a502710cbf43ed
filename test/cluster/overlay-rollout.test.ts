// A service is replaced task by task while a container of another node keeps asking for it by its virtual address.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { TestCluster } from '../support/cluster.ts';
import { requireRoot } from '../support/requirements.ts';
import { clientIn } from '../support/steady-client.ts';

describe('a rolling update behind a virtual address', function () {
  this.timeout(120_000);
  const cluster = new TestCluster(`t${randomBytes(2).toString('hex')}`);

  const create = (name: string, replicas: number) =>
    cluster.api(2, 'POST', '/services/create', {
      Name: name,
      TaskTemplate: {
        ContainerSpec: {
          Image: 'shoal-demo:v1',
          StopGracePeriod: 5e9,
          Healthcheck: { Test: ['CMD', '/server', '--health'], Interval: 5e9, StartPeriod: 10e9, StartInterval: 1e8 },
        },
        RestartPolicy: { Condition: 'any', Delay: 0 },
        Networks: [{ Target: 'back' }],
      },
      Mode: { Replicated: { Replicas: replicas } },
    });

  before(async function () {
    requireRoot(this);
    await cluster.start();
    await cluster.docker(1, 'network', 'create', '-d', 'overlay', 'back');
    for (const [name, replicas] of [
      ['web', 6],
      ['client', 3],
    ] as const) {
      assert.equal((await create(name, replicas)).status, 201);
    }
    await cluster.running(1, 'web', 6);
  });

  after(async () => {
    await cluster.stop();
  });

  for (const order of ['start-first', 'stop-first'] as const) {
    it(`replaces six tasks without a failed request, ${order}`, async () => {
      const clients = (await cluster.running(1, 'client', 3)).map(clientIn);
      await Promise.all(clients.map(({ begun }) => begun));
      const image = order === 'start-first' ? 'shoal-demo:v2' : 'shoal-demo:v1';
      const words = ['service', 'update', '-q', '-d', '--no-resolve-image', '--update-order', order];
      await cluster.docker(
        2,
        ...words,
        '--update-parallelism',
        '2',
        '--update-monitor',
        '100ms',
        '--image',
        image,
        'web',
      );
      await cluster.running(1, 'web', 6, { image, withinMs: 40_000 });
      await cluster.until(
        async () => (await cluster.tasks(1, 'web', 'shutdown')).every(({ Status }) => Status.State === 'shutdown'),
        { withinMs: 20_000, what: 'the old tasks are over' },
      );
      for (const client of clients) {
        const { versions, failures } = await client.stop();
        assert.deepEqual(failures, []);
        assert.deepEqual(Object.keys(versions).toSorted(), ['v1', 'v2'], JSON.stringify(versions));
      }
    });
  }
});
