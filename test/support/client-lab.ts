// The Engine API over a runtime lab, with a stock docker client of its own: for tests of what people type.
import { request } from 'node:http';
import { join } from 'node:path';
import { type ApiServer, createApiServer } from '../../api/server.ts';
import { systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import { FakeSwarm } from '../api/support/fake-swarm.ts';
import { SYSTEM } from '../api/support/fixture.ts';
import { DockerClient, type Outcome } from './docker-client.ts';
import { LAB_LOG, RuntimeLab } from './runtime-lab.ts';

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

export class ClientLab implements AsyncDisposable {
  readonly lab: RuntimeLab;
  readonly client: DockerClient;
  readonly #api: ApiServer;

  private constructor(lab: RuntimeLab, api: ApiServer, client: DockerClient) {
    this.lab = lab;
    this.#api = api;
    this.client = client;
  }

  static async open(where?: string): Promise<ClientLab> {
    const lab = await RuntimeLab.open(where);
    const common = { clock: systemClock, random: systemRandom, log: LAB_LOG };
    const api = createApiServer({ ...common, runtime: lab.runtime, swarm: new FakeSwarm(), system: SYSTEM });
    const path = join(lab.root, 'api.sock');
    await api.listen({ kind: 'unix', path, mode: 0o600 });
    return new ClientLab(lab, api, new DockerClient(path));
  }

  ok(...args: string[]): Promise<string> {
    return this.client.ok(...args);
  }

  run(...args: string[]): Promise<Outcome> {
    return this.client.run(args);
  }

  /** What a shell says in a new container with these options. */
  async sh(script: string, ...options: string[]): Promise<string> {
    return await this.ok('run', '--rm', ...options, 'bb', 'sh', '-c', script);
  }

  http(method: string, path: string, body?: Uint8Array, type = 'application/x-tar'): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const headers = body === undefined ? {} : { 'Content-Type': type, 'Content-Length': body.length };
      const options = { socketPath: join(this.lab.root, 'api.sock'), method, path, headers, agent: false };
      const asked = request(options, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks) });
        });
      });
      asked.on('error', reject);
      asked.end(body);
    });
  }

  async removeAll(): Promise<void> {
    const ids = (await this.ok('ps', '-aq')).split('\n').filter(Boolean);
    if (ids.length > 0) await this.ok('rm', '-fv', ...ids);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client[Symbol.dispose]();
    await this.#api.close();
    await this.lab[Symbol.asyncDispose]();
  }
}
