// How soon the nodes of a swarm agree: a task that is ready is used by all of them, one on a dead node by none, and a node that
// was cut off answers again. Times are those of the kernels' packet rules and of clients, not what an API says.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type TaskJson, TestCluster } from '../support/cluster.ts';
import { startLoad } from '../support/load.ts';
import { ms, quantile, type Row } from './network-rows.ts';

const NODES = [1, 2, 3] as const;
const PORT = 8096;
const FIRST_TASKS = 6;
const STEP = 8;
const STEPS = 12;
const CUT_MS = 30_000;
const RATE = 100;

interface AttachedTask extends TaskJson {
  readonly NetworksAttachments?: readonly { readonly Addresses: readonly string[] }[];
  readonly Status: TaskJson['Status'] & { readonly Timestamp: string };
}

/** `only`: the part of the bench that is asked for; a part of this one by `ready`, `dead` or `cut`. */
export async function inSwarm(only: string): Promise<Row[]> {
  const parts = { ready, dead, cut } as const;
  const wanted = Object.entries(parts).filter(([name]) => 'swarm'.includes(only) || name === only);
  if (wanted.length === 0) return [];
  await using cluster = new TestCluster(`b${randomBytes(2).toString('hex')}`);
  await cluster.start();
  await cluster.docker(1, 'stack', 'rm', 'demo');
  await cluster.docker(1, 'network', 'create', '-d', 'overlay', 'bench');
  const rows: Row[] = [];
  for (const [name, part] of wanted) {
    await create(cluster, name);
    rows.push(await part(cluster, name));
    await cluster.docker(1, 'service', 'rm', name);
  }
  return rows;
}

async function create(cluster: TestCluster, name: string): Promise<void> {
  const { status, body } = await cluster.api(1, 'POST', '/services/create', {
    Name: name,
    TaskTemplate: {
      ContainerSpec: { Image: 'shoal-demo:v1', StopGracePeriod: 1e9 },
      RestartPolicy: { Condition: 'any', Delay: 0 },
      Networks: [{ Target: 'bench' }],
    },
    Mode: { Replicated: { Replicas: FIRST_TASKS } },
    EndpointSpec: { Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: PORT }] },
  });
  assert.equal(status, 201, body);
  await cluster.running(1, name, FIRST_TASKS);
}

/** When each address came into the packet rules of the network's sandbox on a node, as the kernel tells it. */
class Watched implements Disposable {
  readonly seenMs = new Map<string, number>();
  readonly #child: ChildProcess;
  #rest = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#read(text, Date.now()));
  }

  static async open(cluster: TestCluster, node: number, networkId: string): Promise<Watched> {
    const path = join(cluster.runDirectory, `node${node}`, 'overlay', networkId);
    const words = [`--net=${path}`, 'stdbuf', '-oL', 'nft', 'monitor'];
    const child = spawn('nsenter', words, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child, 'spawn');
    await sleep(500); // it does not say when it listens
    return new Watched(child);
  }

  #read(text: string, nowMs: number): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('delete')) continue;
      for (const [, address = ''] of line.matchAll(/(?:: |dnat ip to )(\d+\.\d+\.\d+\.\d+)/g)) {
        if (!this.seenMs.has(address)) this.seenMs.set(address, nowMs);
      }
    }
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }
}

const addressOf = (task: TaskJson): string =>
  ((task as AttachedTask).NetworksAttachments?.[0]?.Addresses[0] ?? '').replace(/\/.*/, '');

async function ready(cluster: TestCluster, name: string): Promise<Row> {
  const { Id } = await cluster.json<{ Id: string }>(1, '/networks/bench');
  const watched = await Promise.all(NODES.map((node) => Watched.open(cluster, node, Id)));
  const before = new Set((await cluster.tasks(1, name)).map(({ ID }) => ID));
  try {
    const took: number[] = [];
    for (let step = 1; step <= STEPS; step += 1) {
      const count = FIRST_TASKS + step * STEP;
      await cluster.docker(1, 'service', 'scale', '-d', `${name}=${count}`);
      const fresh = (await cluster.running(1, name, count)).filter(({ ID }) => !before.has(ID)) as AttachedTask[];
      for (const task of fresh) {
        before.add(task.ID);
        const seen = await cluster.until(
          async () => {
            const times = watched.map(({ seenMs }) => seenMs.get(addressOf(task)));
            return times.every((time) => time !== undefined) && Math.max(...times);
          },
          { withinMs: 10_000, what: `${addressOf(task)} is used on every node` },
        );
        took.push(Math.max(0, seen - Date.parse(task.Status.Timestamp)));
      }
    }
    return {
      what: `a task that is ready is used on all 3 nodes (${took.length} tasks, ${STEP} at a time), p50 and p99`,
      measured: `${ms(quantile(took, 0.5))}, ${ms(quantile(took, 0.99))}`,
      goal: '≤ 500 ms',
    };
  } finally {
    for (const each of watched) each[Symbol.dispose]();
  }
}

/** New connections to a virtual address from where a task is, until its input ends; it then tells. */
class TaskLoad {
  readonly #child: ChildProcess;
  #said = '';

  constructor(pid: number, address: string) {
    const script = `
      let requests = 0, failed = 0, lastFailureMs = 0;
      const ask = () => new Promise((done) => {
        const startMs = Date.now(); requests += 1;
        const no = () => { failed += 1; lastFailureMs = Math.max(lastFailureMs, startMs); request.destroy(); done() };
        const request = require('node:http').get({ host: '${address}', port: 80, path: '/plain', timeout: 1000, agent: false }, (reply) => { reply.resume(); reply.on('end', done) });
        request.on('timeout', no); request.once('error', no);
      });
      const under = new Set();
      const timer = setInterval(() => { const one = ask(); under.add(one); one.then(() => under.delete(one)) }, ${1_000 / RATE});
      process.stdin.on('end', async () => { clearInterval(timer); await Promise.all(under); console.log(JSON.stringify({ requests, failed, lastFailureMs })) }).resume();`;
    const words = [`--net=/proc/${pid}/ns/net`, process.execPath, '-e', script];
    this.#child = spawn('nsenter', words, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
    });
  }

  async stop(): Promise<{ requests: number; failed: number; lastFailureMs: number }> {
    this.#child.stdin?.end();
    await once(this.#child, 'close');
    return JSON.parse(this.#said) as { requests: number; failed: number; lastFailureMs: number };
  }
}

async function taskLoad(cluster: TestCluster, name: string): Promise<TaskLoad> {
  const self = await cluster.json<{ Swarm: { NodeID: string } }>(1, '/info');
  const client = (await cluster.tasks(1, name)).find(({ NodeID }) => NodeID === self.Swarm.NodeID);
  const shown = await cluster.json<{ Services: Record<string, { VIP: string }> }>(1, '/networks/bench?verbose=1');
  const pid = client?.Status.ContainerStatus?.PID ?? assert.fail('no task on node 1');
  return new TaskLoad(pid, shown.Services[name]?.VIP ?? assert.fail('no virtual address'));
}

const loadOn = (cluster: TestCluster, nodes: readonly number[]) =>
  startLoad({
    urls: nodes.map((node) => `http://${cluster.address(node)}:${PORT}/plain`),
    newConnectionsPerSecond: RATE,
    keepAliveClients: 0,
  });

/** Its cable is out and its daemon killed at the same time. */
async function dead(cluster: TestCluster, name: string): Promise<Row> {
  const gateway = gatewayOf(cluster, 3);
  const load = await taskLoad(cluster, name);
  await sleep(2_000);
  cluster.inNode(3, 'ip', 'link', 'set', 'eth0', 'down');
  process.kill(cluster.pid(3), 'SIGKILL');
  const killedMs = Date.now();
  await sleep(8_000);
  const { requests, failed, lastFailureMs } = await load.stop();
  mend(cluster, 3, gateway);
  await cluster.start();
  return {
    what: `a node dies: the last failed connection to a virtual address was made after (${failed} of ${requests} failed)`,
    measured: ms(Math.max(0, lastFailureMs - killedMs)),
    goal: '≤ 4 s',
  };
}

async function cut(cluster: TestCluster, name: string): Promise<Row> {
  const gateway = gatewayOf(cluster, 3);
  cluster.inNode(3, 'ip', 'link', 'set', 'eth0', 'down');
  await sleep(CUT_MS);
  mend(cluster, 3, gateway);
  const mendedMs = performance.now();
  const load = loadOn(cluster, [1, 2, 3]);
  const isReady = async (): Promise<boolean> =>
    (await cluster.docker(1, 'node', 'ls', '--format', '{{.Status}}')) === 'Ready\nReady\nReady';
  await cluster.until(isReady, { withinMs: 20_000, what: 'the node is back' });
  const backMs = performance.now() - mendedMs;
  await sleep(3_000);
  const { requests, failures, lastFailureMs } = await load.stop();
  await cluster.running(1, name, FIRST_TASKS);
  return {
    what: `a node is back after ${CUT_MS / 1_000} s without cable: the last failed connection was made after (${failures.length} of ${requests}); the managers count on it after`,
    measured: `${ms(Math.max(0, lastFailureMs - mendedMs))}; ${ms(backMs)}`,
    goal: '≤ 1 s',
  };
}

const gatewayOf = (cluster: TestCluster, node: number): string =>
  /via ([\d.]+)/.exec(cluster.inNode(node, 'ip', 'route', 'show', 'default'))?.[1] ?? '';

function mend(cluster: TestCluster, node: number, gateway: string): void {
  cluster.inNode(node, 'ip', 'link', 'set', 'eth0', 'up');
  cluster.inNode(node, 'ip', 'route', 'replace', 'default', 'via', gateway);
}
