import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { TestCluster } from '../support/cluster.ts';
import { type Load, startLoad } from '../support/load.ts';
import { requireRoot } from '../support/requirements.ts';

const CREATE = ['service', 'create', '-q', '-d', '--no-resolve-image', '--network', 'bridge'] as const;
/** The CLI's health flags need a shell in the image, so this one goes by the API. */
const WEB = {
  Name: 'web',
  TaskTemplate: {
    ContainerSpec: {
      Image: 'shoal-demo:v1',
      StopGracePeriod: 2e9,
      Healthcheck: { Test: ['CMD', '/server', '--health'], Interval: 5e9, StartPeriod: 10e9, StartInterval: 1e8 },
    },
    RestartPolicy: { Condition: 'any', Delay: 0 },
    Networks: [{ Target: 'bridge' }],
  },
  Mode: { Replicated: { Replicas: 30 } },
  EndpointSpec: { Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: 8090 }] },
};

describe('a service on three nodes, driven through a follower', () => {
  const cluster = new TestCluster(`t${randomBytes(2).toString('hex')}`);
  let follower = 1;
  let urls: string[] = [];

  before(async function () {
    requireRoot(this);
    await cluster.start();
  });

  after(async () => {
    await cluster.stop();
  });

  it('spreads, scales and rolls without a failed request', async () => {
    follower = (await cluster.leader()) === 1 ? 2 : 1;
    urls = [1, 2, 3].map((node) => `http://${cluster.address(node)}:8090/plain`);
    const created = await cluster.api(follower, 'POST', '/services/create', WEB);
    assert.equal(created.status, 201, created.body);
    const tasks = await cluster.running(follower, 'web', 30);
    const perNode = countBy(tasks.map((task) => task.NodeID ?? ''));
    assert.deepEqual(perNode, [10, 10, 10]);

    const load = startLoad({ urls, newConnectionsPerSecond: 100, keepAliveClients: 20 });
    await cluster.docker(follower, 'service', 'scale', '-d', 'web=60');
    await cluster.running(follower, 'web', 60);
    await cluster.docker(follower, 'service', 'scale', '-d', 'web=5');
    await cluster.running(follower, 'web', 5);
    await cluster.docker(
      follower,
      'service',
      'update',
      '-q',
      '-d',
      '--no-resolve-image',
      '--update-parallelism',
      '5',
      '--update-order',
      'start-first',
      '--image',
      'shoal-demo:v2',
      'web',
    );
    await cluster.running(follower, 'web', 5, { image: 'shoal-demo:v2' });
    await cluster.until(async () => (await cluster.tasks(follower, 'web', 'shutdown')).every(isOver), {
      withinMs: 15_000,
      what: 'the old tasks are over',
    });
    await expectClean(load);
  });

  it('counts failures when the drain is broken: a task killed without warning', async () => {
    const [task] = await cluster.running(follower, 'web', 5);
    await cluster.docker(follower, 'service', 'scale', '-d', 'web=1');
    const [last] = await cluster.running(follower, 'web', 1);
    const load = startLoad({ urls, newConnectionsPerSecond: 100, keepAliveClients: 20 });
    process.kill((last ?? task)?.Status.ContainerStatus?.PID ?? 0, 'SIGKILL');
    await cluster.until(async () => (await cluster.tasks(follower, 'web'))[0]?.ID !== last?.ID, {
      withinMs: 10_000,
      what: 'a successor',
    });
    await cluster.running(follower, 'web', 1);
    const { failures } = await load.stop();
    assert.ok(failures.length > 0, 'the load would not notice a lost request');
  });

  it('rolls a bad image back by itself', async () => {
    await cluster.docker(
      follower,
      'service',
      'update',
      '-q',
      '-d',
      '--no-resolve-image',
      '--update-failure-action',
      'rollback',
      '--update-monitor',
      '1s',
      '--image',
      'shoal-demo:nosuch',
      'web',
    );
    const state = await cluster.until(
      async () => {
        const service = await cluster.json<{ UpdateStatus?: { State: string } }>(follower, '/services/web');
        return service.UpdateStatus?.State === 'rollback_completed' && service.UpdateStatus.State;
      },
      { withinMs: 60_000, what: 'the rollback' },
    );
    assert.equal(state, 'rollback_completed');
    await cluster.running(follower, 'web', 1, { image: 'shoal-demo:v2' });
  });

  it('explains a constraint that nobody meets', async () => {
    await cluster.docker(
      follower,
      ...CREATE,
      '--name',
      'nowhere',
      '--constraint',
      'node.labels.nobody==1',
      'shoal-demo:v1',
    );
    await cluster.until(
      async () =>
        /no suitable node/.test(
          await cluster.docker(follower, 'service', 'ps', 'nowhere', '--no-trunc', '--format', '{{.Error}}'),
        ),
      {
        withinMs: 5_000,
        what: 'the reason in service ps',
      },
    );
  });
});

const isOver = ({ Status }: { Status: { State: string } }): boolean =>
  ['shutdown', 'complete', 'failed', 'rejected', 'orphaned'].includes(Status.State);

function countBy(keys: readonly string[]): number[] {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return [...counts.values()];
}

async function expectClean(load: Load): Promise<void> {
  const { requests, failures } = await load.stop();
  assert.ok(requests > 500, `only ${requests} requests were made`);
  assert.deepEqual(failures.slice(0, 5), [], `${failures.length} of ${requests} requests failed`);
}
