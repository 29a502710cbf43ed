import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { TestCluster } from '../support/cluster.ts';
import { type Load, startLoad } from '../support/load.ts';
import { requireRoot } from '../support/requirements.ts';

const CREATE = ['service', 'create', '-q', '-d', '--no-resolve-image', '--network', 'bridge'] as const;
const HEALTH = [
  '--health-cmd',
  '/server --health',
  '--health-interval',
  '5s',
  '--health-start-interval',
  '100ms',
  '--health-start-period',
  '10s',
] as const;

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
    await cluster.docker(
      follower,
      ...CREATE,
      ...HEALTH,
      '--name',
      'web',
      '--replicas',
      '30',
      '-p',
      '8090:80',
      '--restart-delay',
      '0s',
      'shoal-demo:v1',
    );
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
