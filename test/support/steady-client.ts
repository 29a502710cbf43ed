// A client in a task's network that asks for `web` all the time and counts what it hears.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import type { TaskJson } from './cluster.ts';

export interface Answers {
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

export function clientIn(task: TaskJson): { begun: Promise<unknown>; stop: () => Promise<Answers> } {
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
