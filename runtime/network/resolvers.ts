// The resolver at 127.0.0.11 of every container that is in a network with names: its sockets, what it sees, and the two
// packet rules that lead port 53 there. The questions are answered by a thread, started with the first such container.
import { Worker } from 'node:worker_threads';
import type { Clock, Timer } from '../../base/clock.ts';
import { CodedError, sentenceOf } from '../../base/errors.ts';
import type { Background } from '../../base/background.ts';
import type { Log } from '../../base/log.ts';
import type { Endpoint, Upstream } from './contract.ts';
import type { FromNameWorker, NameWorkerData, ToNameWorker } from './name-protocol.ts';
import type { Scope } from './name-resolver.ts';
import type { NameChange, Names } from './names.ts';
import type { Netd } from './netd.ts';
import { NETLINK_NETFILTER } from './netd-protocol.ts';
import { planResolverRules } from './resolver-rules.ts';

const OPEN_TIMEOUT_MS = 5_000;
const END_TIMEOUT_MS = 1_000;

export interface ResolverParts {
  readonly netd: () => Netd;
  readonly names: Names;
  readonly clock: Pick<Clock, 'after'>;
  readonly background: Background;
  readonly log: Log;
  /** How the process that opens sockets inside namespaces is started. */
  readonly opener: NameWorkerData;
  /** What the machine itself asks. */
  readonly machineUpstreams: () => Promise<readonly Upstream[]>;
}

interface Served {
  scope: Scope;
  opening: Promise<void> | undefined;
  settle: ((error: CodedError | undefined) => void) | undefined;
}

export class Resolvers {
  readonly #parts: ResolverParts;
  readonly #served = new Map<string, Served>();
  #worker: Worker | undefined;
  #upstreams: readonly Upstream[] = [];
  #closed = false;

  constructor(parts: ResolverParts) {
    this.#parts = parts;
  }

  /** Passed on as it happens; a thread that starts later gets all of them. */
  tell(change: NameChange): void {
    this.#post({ do: 'names', changes: [change] });
  }

  /** Resolves when questions of this namespace are answered by what `scope` says. */
  async serve(path: string, scope: Scope): Promise<void> {
    const known = this.#served.get(path);
    if (known) {
      known.scope = scope;
      this.#post({ do: 'serve', path, scope });
      await known.opening;
      return;
    }
    await this.refreshUpstreams();
    const served: Served = { scope, opening: undefined, settle: undefined };
    this.#served.set(path, served);
    try {
      await this.#open(path, served);
    } catch (error) {
      if (this.#served.get(path) === served) this.stop(path);
      throw error;
    }
  }

  isServing(path: string): boolean {
    return this.#served.has(path);
  }

  stop(path: string): void {
    if (!this.#served.delete(path)) return;
    this.#post({ do: 'stop', path });
  }

  /** The machine may have moved to another network. */
  async refreshUpstreams(): Promise<void> {
    const upstreams = await this.#parts.machineUpstreams();
    if (JSON.stringify(upstreams) === JSON.stringify(this.#upstreams)) return;
    this.#upstreams = upstreams;
    this.#post({ do: 'upstreams', upstreams });
  }

  /** The thread ends its process and itself; one that does not is ended. */
  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    if (!worker) return;
    const gone = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    const timer = this.#parts.clock.after(END_TIMEOUT_MS, () => void worker.terminate());
    worker.ref();
    worker.postMessage({ do: 'end' } satisfies ToNameWorker);
    await gone;
    timer.cancel();
  }

  #open(path: string, served: Served): Promise<void> {
    this.#worker ??= this.#start();
    const opening = this.#opened(path, served).finally(() => {
      served.opening = undefined;
    });
    served.opening = opening;
    this.#post({ do: 'serve', path, scope: served.scope });
    return opening;
  }

  #opened(path: string, served: Served): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const timer: Timer = this.#parts.clock.after(OPEN_TIMEOUT_MS, () =>
        served.settle?.(new CodedError('deadline', `the resolver for ${path} did not open in time`)),
      );
      served.settle = (error) => {
        timer.cancel();
        served.settle = undefined;
        if (error) reject(error);
        else resolve();
      };
    });
  }

  #post(message: ToNameWorker): void {
    this.#worker?.postMessage(message);
  }

  #start(): Worker {
    const worker = new Worker(new URL('./name-worker.js', import.meta.url), { workerData: this.#parts.opener });
    worker.on('message', (message: FromNameWorker) => this.#onMessage(message));
    worker.on('error', (error) => this.#parts.log.error('the resolver thread failed', { reason: sentenceOf(error) }));
    worker.on('exit', () => this.#onExit(worker));
    worker.unref();
    worker.postMessage({ do: 'names', changes: this.#parts.names.snapshot() } satisfies ToNameWorker);
    worker.postMessage({ do: 'upstreams', upstreams: this.#upstreams } satisfies ToNameWorker);
    return worker;
  }

  #onMessage(message: FromNameWorker): void {
    if (message.say === 'log') {
      this.#parts.log.warn(message.event, message.fields);
      return;
    }
    const served = this.#served.get(message.path);
    if (!served) return;
    if (message.say === 'refused') {
      served.settle?.(new CodedError('internal', `the resolver of a container: ${message.reason}`));
      return;
    }
    this.#parts.background.run('lead to the resolver', () => this.#leadTo(message.path, message, served));
  }

  async #leadTo(path: string, ports: { port: number; streamPort: number }, served: Served): Promise<void> {
    const step = { do: 'netlink', family: NETLINK_NETFILTER, where: path, messages: planResolverRules(ports) } as const;
    try {
      await this.#parts.netd().do('leading a container to its resolver', [step]);
      served.settle?.(undefined);
    } catch (cause) {
      const error = new CodedError('internal', sentenceOf(cause), { cause });
      if (!served.settle) throw error;
      served.settle(error);
    }
  }

  /** Not wanted: all sockets are gone with it. */
  #onExit(worker: Worker): void {
    if (worker !== this.#worker) return;
    this.#worker = undefined;
    if (this.#closed) return;
    this.#parts.log.warn('the resolver thread is started anew', { containers: this.#served.size });
    for (const [path, served] of this.#served) {
      served.settle?.(new CodedError('unavailable', 'the resolver thread went away'));
      this.#parts.background.run('open a resolver again', () => this.#open(path, served));
    }
  }
}

/** What a container sees that is in these networks. Undefined: none of them has names. */
export function scopeOf(endpoints: readonly Endpoint[]): Scope | undefined {
  const named = endpoints.filter((endpoint) => endpoint.names !== undefined);
  if (named.length === 0) return undefined;
  const links = named.flatMap((endpoint) => endpoint.links ?? []);
  return {
    networks: named.map(({ networkId, networkName }) => ({ id: networkId, name: networkName })),
    links: Object.fromEntries(links.map(({ alias, to }) => [alias.toLowerCase(), to.toLowerCase()])),
    upstreams: endpoints.find(({ upstreams }) => upstreams)?.upstreams ?? [],
    forwards: endpoints.some(({ gateway, gateway6 }) => gateway !== '' || (gateway6 ?? '') !== ''),
  };
}
