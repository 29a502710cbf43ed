// Registers for the checker, kept in a real cluster: a service without tasks, whose label is the value. It is read on any
// manager, and written only if it still has the version that was read, which is a compare-and-set on its value.
import { type IncomingHttpHeaders, request } from 'node:http';
import { errnoOf } from '../../base/errors.ts';
import type { Operation, RegisterInput, RegisterOutput } from '../support/linearizability.ts';

export type RegisterOperation = Operation<RegisterInput, RegisterOutput>;

const ANSWER_WITHIN_MS = 5_000;
/** Nothing was written: the code says so, or nobody listened. */
const NOT_DONE = ['unavailable', 'exhausted', 'aborted'];

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface ServiceJson {
  readonly ID: string;
  readonly Version: { readonly Index: number };
  readonly Spec: { readonly Labels?: Record<string, string> };
}

export interface Seen {
  readonly version: number;
  readonly value: string;
}

const specOf = (name: string, value: string): object => ({
  Name: name,
  Labels: { value },
  TaskTemplate: { ContainerSpec: { Image: 'none:1' } },
  Mode: { Replicated: { Replicas: 0 } },
});

export class Registers {
  readonly history: RegisterOperation[] = [];
  readonly #sockets: readonly string[];
  readonly #ids = new Map<string, string>();

  constructor(sockets: readonly string[]) {
    this.#sockets = sockets;
  }

  get keys(): readonly string[] {
    return [...this.#ids.keys()];
  }

  async create(key: string): Promise<void> {
    const { status, body } = await call(this.#socket(1), 'POST', '/services/create', specOf(key, ''));
    if (status !== 201) throw new Error(`creating ${key}: ${status} ${body}`);
    this.#ids.set(key, (JSON.parse(body) as ServiceJson).ID);
  }

  async remove(): Promise<void> {
    for (const id of this.#ids.values())
      await call(this.#socket(1), 'DELETE', `/services/${id}`).catch(() => undefined);
  }

  /** Undefined when there was no answer that says something. */
  async read(client: number, node: number, key: string): Promise<Seen | undefined> {
    const calledAt = performance.now();
    const reply = await this.#tried(() => call(this.#socket(node), 'GET', `/services/${this.#ids.get(key)}`));
    if (!reply || (reply.status !== 200 && reply.status !== 404)) return undefined;
    const service = reply.status === 200 ? (JSON.parse(reply.body) as ServiceJson) : undefined;
    const value = service ? (service.Spec.Labels?.['value'] ?? '') : 'not found';
    this.#note({ client, key, input: { kind: 'read' }, output: value, calledAt });
    return service && { version: service.Version.Index, value };
  }

  async compareAndSet(client: number, node: number, key: string, seen: Seen, to: string): Promise<void> {
    const path = `/services/${this.#ids.get(key)}/update?version=${seen.version}`;
    const input = { kind: 'compare-and-set', from: seen.value, to } as const;
    const calledAt = performance.now();
    try {
      const { status, headers } = await call(this.#socket(node), 'POST', path, specOf(key, to));
      const code = String(headers['shoal-error'] ?? '');
      if (NOT_DONE.includes(code)) return;
      if (status === 200) this.#note({ client, key, input, output: true, calledAt });
      else if (code === 'out-of-sequence') this.#note({ client, key, input, output: false, calledAt });
      else if (code === 'not-found') this.#note({ client, key, input: { kind: 'read' }, output: code, calledAt });
      else this.#note({ client, key, input, calledAt });
    } catch (error) {
      if (!isUnheard(error)) this.#note({ client, key, input, calledAt });
    }
  }

  /** The number of the manager that leads, as some manager has it, asked without any guarantee. */
  async leader(): Promise<number | undefined> {
    for (const socket of this.#sockets) {
      const reply = await this.#tried(() => call(socket, 'GET', '/nodes?stale=true'));
      if (reply?.status !== 200) continue;
      const nodes = JSON.parse(reply.body) as {
        Description: { Hostname: string };
        ManagerStatus?: { Leader?: boolean };
      }[];
      const leader = nodes.find(({ ManagerStatus }) => ManagerStatus?.Leader);
      if (leader) return Number(leader.Description.Hostname.slice('node'.length));
    }
    return undefined;
  }

  async #tried(ask: () => Promise<Reply>): Promise<Reply | undefined> {
    try {
      return await ask();
    } catch {
      return undefined; // killed, frozen or cut off: a read that was not answered says nothing
    }
  }

  #note(operation: Omit<RegisterOperation, 'returnedAt'>): void {
    this.history.push({ ...operation, returnedAt: performance.now() });
  }

  #socket(node: number): string {
    const socket = this.#sockets[node - 1];
    if (!socket) throw new Error(`there is no node ${node}`);
    return socket;
  }
}

/** The request never reached a daemon. */
const isUnheard = (error: unknown): boolean => ['ECONNREFUSED', 'ENOENT'].includes(errnoOf(error) ?? '');

function call(socketPath: string, method: string, path: string, json?: object): Promise<Reply> {
  const body = json && Buffer.from(JSON.stringify(json));
  const headers = body ? { 'Content-Type': 'application/json', 'Content-Length': body.length } : {};
  const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path: `/v1.47${path}`, headers, signal }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () => {
        const { statusCode: status = 0, headers: answered } = incoming;
        resolve({ status, headers: answered, body: Buffer.concat(chunks).toString('utf8') });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
