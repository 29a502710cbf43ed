// Hashes layers: small ones here, big ones in a thread that is started when needed and ends after a while without work.
import { stat } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import type { Clock, Timer } from '../../base/clock.ts';
import { CodedError, type ErrorCode } from '../../base/errors.ts';
import { digestLayer, type LayerDigest } from './digest.ts';

const INLINE_BYTES_MAX = 4 * 1024 * 1024;
const IDLE_MS = 10_000;

interface Waiting {
  resolve(result: LayerDigest): void;
  reject(error: Error): void;
}

type Answer =
  | { readonly number: number; readonly result: LayerDigest }
  | { readonly number: number; readonly code: ErrorCode; readonly message: string };

export class Digester implements AsyncDisposable {
  #worker: Worker | undefined;
  #idle: Timer | undefined;
  #number = 0;
  readonly #waiting = new Map<number, Waiting>();
  readonly #clock: Clock;

  constructor(options: { clock: Clock }) {
    this.#clock = options.clock;
  }

  async digest(path: string): Promise<LayerDigest> {
    if ((await stat(path)).size <= INLINE_BYTES_MAX) return digestLayer(path);
    const number = ++this.#number;
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      this.#thread().postMessage({ number, path });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#idle?.cancel();
    await this.#worker?.terminate();
  }

  #thread(): Worker {
    this.#idle?.cancel();
    if (this.#worker) return this.#worker;
    const worker = new Worker(new URL('./digest-worker.js', import.meta.url));
    worker.unref();
    worker.on('message', (answer: Answer) => this.#take(answer));
    worker.on('error', (cause) =>
      this.#lose(worker, new CodedError('internal', 'the hashing thread failed', { cause })),
    );
    worker.on('exit', () => this.#lose(worker, new CodedError('aborted', 'the hashing thread ended')));
    this.#worker = worker;
    return worker;
  }

  #take(answer: Answer): void {
    const waiting = this.#waiting.get(answer.number);
    this.#waiting.delete(answer.number);
    if ('result' in answer) waiting?.resolve(answer.result);
    else waiting?.reject(new CodedError(answer.code, answer.message));
    if (this.#waiting.size === 0) this.#idle = this.#clock.after(IDLE_MS, () => void this.#worker?.terminate());
  }

  #lose(worker: Worker, error: CodedError): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }
}
