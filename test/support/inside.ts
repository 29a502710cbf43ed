// Looks names up and connects as a process of a container would, from within its network.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

const PRELUDE = `
  const dns = new (require('node:dns').promises.Resolver)({ timeout: 1000, tries: 1 });
  dns.setServers(['127.0.0.11']);
  const resolve = (name) => dns.resolve4(name).then((list) => list.sort(), (error) => error.code);
  const ask = (host) => new Promise((done) => {
    const request = require('node:http').get({ host, port: 80, path: '/plain', timeout: 1500, agent: false }, (reply) => {
      let text = ''; reply.on('data', (part) => { text += part }); reply.on('end', () => done(text.trim()));
    });
    request.on('timeout', () => { done('TIMEOUT'); request.destroy() });
    request.on('error', (error) => done(error.code));
  });`;

/** The body of a function that may use `resolve(name)` and `ask(address)`; its answer travels as JSON. */
export async function insideOf<T>(pid: number, source: string): Promise<T> {
  const script = `${PRELUDE}; (async () => { console.log(JSON.stringify(await (async () => { ${source} })())) })()`;
  const { stdout } = await run('nsenter', [`--net=/proc/${pid}/ns/net`, process.execPath, '-e', script], {
    timeout: 30_000,
  });
  return JSON.parse(stdout) as T;
}
