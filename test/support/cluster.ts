// A whole cluster for tests, started and stopped as a person does it, under a name of its own.
import { execFile, execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { callEngine, type Reply } from '../../deploy/engine.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const run = promisify(execFile);

export interface TaskJson {
  readonly ID: string;
  readonly ServiceID: string;
  readonly NodeID?: string;
  readonly Slot?: number;
  readonly DesiredState: string;
  readonly Spec: { readonly ContainerSpec: { readonly Image: string } };
  readonly Status: {
    readonly State: string;
    readonly Err?: string;
    readonly ContainerStatus?: { readonly ContainerID: string; readonly PID: number; readonly ExitCode: number };
  };
}

export class TestCluster implements AsyncDisposable {
  readonly name: string;
  readonly runDirectory: string;
  readonly #words: readonly string[];

  constructor(name: string) {
    this.name = name;
    this.runDirectory = `/run/${name}`;
    this.#words = ['--name', name];
  }

  /** As `npm start -- --detach`; also starts again what a test killed. */
  async start(...options: readonly string[]): Promise<string> {
    const args = [join(ROOT, 'shoal.js'), 'start', '--detach', ...this.#words, ...options];
    const { stdout } = await run(process.execPath, args, { cwd: ROOT, timeout: 120_000 });
    return stdout;
  }

  async stop(...options: readonly string[]): Promise<void> {
    await run(process.execPath, [join(ROOT, 'shoal.js'), 'stop', ...this.#words, ...options], {
      cwd: ROOT,
      timeout: 60_000,
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  socket(node: number): string {
    return `${this.runDirectory}/node${node}.sock`;
  }

  pid(node: number): number {
    return Number(readFileSync(`${this.runDirectory}/node${node}.pid`, 'utf8'));
  }

  cgroup(node: number): string {
    return readFileSync(`${this.runDirectory}/node${node}.cgroup`, 'utf8').trim();
  }

  /** The stock client against one node; rejects with its standard error. */
  async docker(node: number, ...args: readonly string[]): Promise<string> {
    const { stdout } = await run('docker', ['-H', `unix://${this.socket(node)}`, ...args], { timeout: 120_000 });
    return stdout.trimEnd();
  }

  api(node: number, method: string, path: string, json?: unknown): Promise<Reply> {
    return callEngine(this.socket(node), method, path, json === undefined ? {} : { json });
  }

  async json<T>(node: number, path: string): Promise<T> {
    const reply = await this.api(node, 'GET', path);
    if (reply.status >= 400) throw new Error(`GET ${path}: ${reply.status} ${reply.body}`);
    return JSON.parse(reply.body) as T;
  }

  tasks(node: number, service: string, desired: 'running' | 'shutdown' = 'running'): Promise<TaskJson[]> {
    const filters = encodeURIComponent(JSON.stringify({ service: [service], 'desired-state': [desired] }));
    return this.json<TaskJson[]>(node, `/tasks?filters=${filters}`);
  }

  /** Resolves with the tasks once `count` of them run (of `image`, if given) and no other is wanted. */
  async running(
    node: number,
    service: string,
    count: number,
    options: { image?: string; withinMs?: number } = {},
  ): Promise<TaskJson[]> {
    const fits = (task: TaskJson): boolean =>
      task.Status.State === 'running' && (!options.image || task.Spec.ContainerSpec.Image.startsWith(options.image));
    return await this.until(
      async () => {
        const tasks = await this.tasks(node, service);
        return tasks.length === count && tasks.every(fits) ? tasks : undefined;
      },
      { withinMs: options.withinMs ?? 30_000, what: `${count} running tasks of ${service}` },
    );
  }

  /** Asks until the answer is neither undefined nor false; the Engine API has no event for what tests wait for. */
  async until<T>(ask: () => Promise<T | undefined | false>, options: { withinMs: number; what: string }): Promise<T> {
    const deadline = performance.now() + options.withinMs;
    let last: unknown;
    for (;;) {
      try {
        const answer = await ask();
        if (answer !== undefined && answer !== false) return answer;
        last = undefined;
      } catch (error) {
        last = error; // a node that is being killed refuses for a moment
      }
      if (performance.now() > deadline) {
        throw new Error(`not within ${options.withinMs} ms: ${options.what}`, { cause: last });
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** The number of the node that leads, as any of the asked nodes sees it. */
  async leader(nodes: readonly number[] = [1, 2, 3]): Promise<number> {
    return await this.until(
      async () => {
        for (const node of nodes) {
          const list = await this.docker(node, 'node', 'ls', '--format', '{{.Self}} {{.ManagerStatus}}').catch(
            () => '',
          );
          if (list.split('\n').includes('true Leader')) return node;
        }
        return undefined;
      },
      { withinMs: 10_000, what: 'a leader' },
    );
  }

  /** Runs a command in the node's network namespace. */
  inNode(node: number, command: string, ...args: readonly string[]): string {
    return execFileSync('nsenter', [`--net=/run/netns/${this.name}-node${node}`, command, ...args], {
      encoding: 'utf8',
    });
  }

  /** Runs a command on the switch, to which all nodes are cabled. */
  inSwitch(command: string, ...args: readonly string[]): string {
    return execFileSync('nsenter', [`--net=/run/netns/${this.name}-switch`, command, ...args], { encoding: 'utf8' });
  }

  /** Runs a command where the node has a network between nodes. */
  inSandbox(node: number, networkId: string, command: string, ...args: readonly string[]): string {
    const path = join(this.runDirectory, `node${node}`, 'overlay', networkId);
    return execFileSync('nsenter', [`--net=${path}`, command, ...args], { encoding: 'utf8', stdio: 'pipe' });
  }

  address(node: number): string {
    const line = this.inNode(node, 'ip', '-o', '-4', 'addr', 'show', 'dev', 'eth0');
    return /inet ([\d.]+)\//.exec(line)?.[1] ?? '';
  }
}
