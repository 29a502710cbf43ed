// A task that hangs, and a task that ends while its node cannot tell anybody.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type TaskJson, TestCluster } from '../support/cluster.ts';
import { requireRoot } from '../support/requirements.ts';

/** The stock client's health flags need a shell in the image, so these go by the API. Times in nanoseconds. */
const CHECKED = {
  Name: 'checked',
  TaskTemplate: {
    ContainerSpec: {
      Image: 'shoal-demo:v1',
      StopGracePeriod: 1e9,
      Healthcheck: { Test: ['CMD', '/server', '--health'], Interval: 2e8, Timeout: 3e8, Retries: 2 },
    },
    RestartPolicy: { Condition: 'any', Delay: 0 },
    Networks: [{ Target: 'bridge' }],
  },
  Mode: { Replicated: { Replicas: 3 } },
};

describe('a task that is not well', () => {
  const cluster = new TestCluster(`t${randomBytes(2).toString('hex')}`);
  let nodes: { ID: string; Description: { Hostname: string } }[] = [];

  before(async function () {
    requireRoot(this);
    await cluster.start();
    const created = await cluster.api(1, 'POST', '/services/create', CHECKED);
    assert.equal(created.status, 201, created.body);
    nodes = await cluster.json(1, '/nodes');
  });

  after(async () => {
    await cluster.stop();
  });

  const numberOf = (task: TaskJson): number =>
    Number(nodes.find(({ ID }) => ID === task.NodeID)?.Description.Hostname.slice(4));

  const pidOf = (task: TaskJson): number => task.Status.ContainerStatus?.PID ?? 0;

  it('is replaced when its process hangs, and says why', async () => {
    const [hung = assert.fail(), ...others] = await cluster.running(1, 'checked', 3);
    process.kill(pidOf(hung), 'SIGSTOP');
    const old = await ended(1, hung);
    assert.equal(old.Status.State, 'failed');
    assert.match(old.Status.Err ?? '', /unhealthy/);
    const now = await cluster.running(1, 'checked', 3);
    const successor = now.find((task) => task.Slot === hung.Slot);
    assert.notEqual(successor?.ID, hung.ID);
    assert.deepEqual(pids(now.filter((task) => task !== successor)), pids(others), 'its neighbours run on');
    await cluster.until(async () => !processExists(pidOf(hung)), { withinMs: 10_000, what: 'the frozen process ends' });
  });

  it('is reported with its own end when its node comes back from behind a cut link', async () => {
    const tasks = await cluster.running(1, 'checked', 3);
    const leader = await cluster.leader();
    const lost = tasks.find((task) => numberOf(task) !== leader) ?? assert.fail();
    const node = numberOf(lost);
    cluster.inNode(node, 'ip', 'link', 'set', 'eth0', 'down');
    try {
      await nodeState(leader, lost.NodeID ?? '', 'down');
      process.kill(pidOf(lost), 'SIGKILL');
    } finally {
      cluster.inNode(node, 'ip', 'link', 'set', 'eth0', 'up');
    }
    await nodeState(leader, lost.NodeID ?? '', 'ready');
    const old = await ended(leader, lost);
    assert.equal(old.Status.State, 'failed');
    assert.equal(old.Status.ContainerStatus?.ExitCode, 137);
    await cluster.running(leader, 'checked', 3);
  });

  /** The task once its node has reported its end. */
  function ended(asked: number, task: TaskJson): Promise<TaskJson> {
    return cluster.until(
      async () => {
        const now = await cluster.json<TaskJson>(asked, `/tasks/${task.ID}`);
        return ['failed', 'shutdown', 'complete', 'rejected'].includes(now.Status.State) ? now : undefined;
      },
      { withinMs: 20_000, what: 'the end of the task' },
    );
  }

  async function nodeState(asked: number, id: string, state: string): Promise<void> {
    await cluster.until(
      async () => (await cluster.json<{ Status: { State: string } }>(asked, `/nodes/${id}`)).Status.State === state,
      { withinMs: 20_000, what: `the node is ${state}` },
    );
  }
});

const pids = (tasks: readonly TaskJson[]): number[] =>
  tasks.map((task) => task.Status.ContainerStatus?.PID ?? 0).toSorted((a, b) => a - b);

/** Also false for one that waits for its parent to collect its status. */
function processExists(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
