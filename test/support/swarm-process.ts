// A node of a swarm in a process of its own, so that it can be killed or frozen as a machine would be. Tasks run on
// nothing. The parent speaks to it over Node's channel; run as a program, this file is that node.
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../base/clock.ts';
import { CodedError, codeOf, type ErrorCode, sentenceOf } from '../../base/errors.ts';
import { createLog, silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { SwarmNode } from '../../daemon/swarm-node.ts';
import type { ControlMethod, ControlReply, ControlRequest } from '../../proto/control.ts';
import { FakeExecutor } from './fake-executor.ts';
import { freeTriple, INIT_DEFAULTS } from './test-swarm.ts';

type Ask =
  | { readonly what: 'init'; readonly address: string }
  | { readonly what: 'join'; readonly address: string; readonly remote: string; readonly token: string }
  | { readonly what: 'resume' | 'stop' | 'info' | 'executor' }
  | { readonly what: 'leave'; readonly force: boolean }
  | { readonly what: 'control'; readonly method: ControlMethod; readonly request: unknown };
type Question = Ask & { readonly id: number };
type Answer = { readonly id: number; readonly value?: unknown; readonly error?: { code: ErrorCode; message: string } };

export class SwarmProcess implements AsyncDisposable {
  readonly name: string;
  readonly address: string;
  readonly #dataRoot: string;
  #child: ChildProcess;
  #next = 0;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: unknown) => void }>();

  private constructor(name: string, address: string, dataRoot: string) {
    this.name = name;
    this.address = address;
    this.#dataRoot = dataRoot;
    this.#child = this.#spawn();
  }

  static async start(name: string): Promise<SwarmProcess> {
    const dataRoot = await mkdtemp(join(tmpdir(), 'shoal-process-'));
    return new SwarmProcess(name, `127.0.0.1:${await freeTriple()}`, dataRoot);
  }

  async init(): Promise<void> {
    await this.#ask({ what: 'init', address: this.address });
  }

  async join(remote: SwarmProcess, role: 'worker' | 'manager'): Promise<void> {
    const { cluster } = await remote.control('GetCluster', {});
    await this.#ask({ what: 'join', address: this.address, remote: remote.address, token: cluster.tokens[role] });
  }

  async control<M extends ControlMethod>(method: M, request: ControlRequest<M>): Promise<ControlReply<M>> {
    return (await this.#ask({ what: 'control', method, request })) as ControlReply<M>;
  }

  async info(): Promise<ReturnType<SwarmNode['info']>> {
    return (await this.#ask({ what: 'info' })) as ReturnType<SwarmNode['info']>;
  }

  async leave(force: boolean): Promise<void> {
    await this.#ask({ what: 'leave', force });
  }

  /** What its executor did so far, and what runs on it. */
  async executor(): Promise<{ events: string[]; running: string[] }> {
    return (await this.#ask({ what: 'executor' })) as { events: string[]; running: string[] };
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  /** A new process on the same disk. */
  async restart(): Promise<void> {
    this.#child = this.#spawn();
    await this.#ask({ what: 'resume' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await rm(this.#dataRoot, { recursive: true, force: true });
  }

  #spawn(): ChildProcess {
    const child = fork(fileURLToPath(import.meta.url), [this.name, this.#dataRoot]);
    child.on('message', (answer: Answer) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if (answer.error) waiting?.reject(new CodedError(answer.error.code, answer.error.message));
      else waiting?.resolve(answer.value);
    });
    child.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new CodedError('aborted', 'the process is gone'));
      this.#waiting.clear();
    });
    return child;
  }

  async #ask(ask: Ask): Promise<unknown> {
    const id = ++this.#next;
    return await new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ ...ask, id } satisfies Question);
    });
  }
}

async function serve(name: string, dataRoot: string): Promise<void> {
  const log = process.env['SHOAL_TEST_LOG'] ? createLog({ level: 'debug', fields: { node: name } }) : silentLog;
  const executor = new FakeExecutor({}, name);
  const means = { clock: systemClock, random: systemRandom, log };
  const node = new SwarmNode({ dataRoot, defaultAdvertiseAddress: '', executor, ...means });
  process.on('message', (question: Question) => {
    answer(question, node, executor).then(
      (value) => process.send?.({ id: question.id, value } satisfies Answer),
      (error: unknown) => {
        process.send?.({
          id: question.id,
          error: { code: codeOf(error), message: sentenceOf(error) },
        } satisfies Answer);
      },
    );
  });
  process.on('disconnect', () => process.exit(0));
}

async function answer(question: Question, node: SwarmNode, executor: FakeExecutor): Promise<unknown> {
  switch (question.what) {
    case 'init':
      return await node.init({
        ...INIT_DEFAULTS,
        listenAddress: question.address,
        advertiseAddress: question.address,
      });
    case 'join':
      return await node.join({
        listenAddress: question.address,
        advertiseAddress: question.address,
        dataPathAddress: '',
        remoteAddresses: [question.remote],
        joinToken: question.token,
        availability: 'active',
      });
    case 'resume':
      return await node.resume();
    case 'leave':
      return await node.leave({ force: question.force });
    case 'stop':
      return await node[Symbol.asyncDispose]();
    case 'info':
      return node.info();
    case 'executor':
      return {
        events: executor.events,
        running: [...executor.containers].flatMap(([id, { state }]) => (state === 'running' ? [id] : [])),
      };
    case 'control':
      return await node.control().call(question.method, question.request as never);
  }
}

const [, program, name, dataRoot] = process.argv;
if (program === fileURLToPath(import.meta.url) && name && dataRoot) await serve(name, dataRoot);
