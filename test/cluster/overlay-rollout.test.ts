// A service is replaced task by task while a container of another node keeps asking for it by its virtual address.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { type TaskJson, TestCluster } from '../support/cluster.ts';
import { requireRoot } from '../support/requirements.ts';

interface Answers {
  readonly versions: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
}

/** In the task's network: 200 new connections a second and ten that are kept, until its input ends. */
const CLIENT = `
  const http = require('node:http');
  const dns = new (require('node:dns').promises.Resolver)({ timeout: 1000, tries: 2 });
  dns.setServers(['127.0.0.11']);
  const versions = {}; const failures = [];
  const kept = new http.Agent({ keepAlive: true, maxSockets: 10 });
  const once = (host, agent) => new Promise((done) => {
    const request = http.get({ host, port: 80, path: '/plain', timeout: 3000, agent }, (reply) => {
      let text = ''; reply.on('data', (part) => { text += part });
      reply.on('end', () => { const v = /version=(\\S+)/.exec(text)?.[1] ?? text; versions[v] = (versions[v] ?? 0) + 1; done() });
    });
    request.on('timeout', () => request.destroy(new Error('timeout')));
    request.on('error', (error) => {
      // A kept connection that the server closed while it was idle is opened anew by every client.
      if (request.reusedSocket && error.code === 'ECONNRESET') return done(once(host, agent));
      failures.push(String(error.code ?? error.message)); done();
    });
  });
  (async () => {
    const [host] = await dns.resolve4('web');
    let over = false;
    process.stdin.on('end', () => { over = true }).resume();
    const under = new Set();
    const begin = (agent) => { const asked = once(host, agent).then(() => under.delete(asked)); under.add(asked) };
    console.log('begun');
    while (!over) {
      for (let n = 0; n < 4; n += 1) begin(false);
      begin(kept);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await Promise.all(under);
    console.log(JSON.stringify({ versions, failures }));
    process.exit(0);
  })();
`;

function clientIn(task: TaskJson): { begun: Promise<unknown>; stop: () => Promise<Answers> } {
  const pid = task.Status.ContainerStatus?.PID ?? 0;
  const child = spawn('nsenter', [`--net=/proc/${pid}/ns/net`, process.execPath, '-e', CLIENT], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const begun = once(child.stdout, 'readable');
  const stop = async (): Promise<Answers> => {
    child.stdin.end();
    const lines = (await text(child.stdout)).trim().split('\n');
    return JSON.parse(lines.at(-1) ?? '') as Answers;
  };
  return { begun, stop };
}

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
