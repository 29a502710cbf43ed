// Works without the stock client: the API over one kept connection, the daemon's memory, its restart, images.
import { type ClientRequest, Agent, request } from 'node:http';
import { readFileSync } from 'node:fs';
import { callEngine } from '../../deploy/engine.ts';
import { dockerArchive, tarOf } from '../image/support.ts';
import { RealRegistry } from '../support/real-registry.ts';
import { BUSYBOX_IMAGE, type BenchEngine, client, proportionalBytes } from './engines.ts';
import { holdOfLoop, unpackRate } from './inside-works.ts';
import { hundred, type Work } from './work.ts';

const TIMES = 15;
const PULL_LAYERS = 10;
const PULL_LAYER_BYTES = 4 << 20;

export const API_WORKS: readonly Work[] = [
  {
    name: 'create, start, wait, remove over one connection',
    unit: 'ms',
    nodes: 1,
    goal: '≤ 15',
    rounds: 5,
    run: (engine) => repeated(engine, lifeOfOne),
  },
  { name: 'exec true over the API', unit: 'ms', nodes: 1, goal: '≤ 6', rounds: 5, run: execs },
  { name: 'engine memory, idle', unit: 'MB', nodes: 1, goal: '≤ 85', rounds: 3, run: idleMemory },
  {
    name: "a start's hold of the event loop, p99 of 100",
    unit: 'ms',
    nodes: 1,
    goal: '≤ 2',
    rounds: 3,
    shoalOnly: true,
    run: holdOfLoop,
  },
  {
    name: 'daemon killed, 100 running → right ps',
    unit: 'ms',
    nodes: 1,
    goal: '≤ 300',
    rounds: 3,
    shoalOnly: true,
    run: restart,
  },
  {
    name: 'image unpacked into memory',
    unit: 'MB/s',
    nodes: 1,
    goal: '≥ 200',
    rounds: 3,
    shoalOnly: true,
    run: unpackRate,
  },
  { name: 'pull of 10 layers', unit: 'ms', nodes: 1, goal: "≤ Docker's", rounds: 5, run: pull },
];

/** One connection that is kept; rejects with what the engine says. */
class Kept implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #socketPath: string;

  constructor(engine: BenchEngine) {
    this.#socketPath = engine.sockets[0] as string;
  }

  call(method: string, path: string, json?: object): Promise<Record<string, unknown>> {
    return new Promise((resolve, reject) => {
      const outgoing: ClientRequest = request({
        agent: this.#agent,
        socketPath: this.#socketPath,
        method,
        path,
        headers: json ? { 'Content-Type': 'application/json' } : {},
        signal: AbortSignal.timeout(30_000),
      });
      outgoing.on('error', reject);
      outgoing.on('response', (incoming) => {
        const parts: Buffer[] = [];
        incoming.on('error', reject);
        incoming.on('data', (part: Buffer) => parts.push(part));
        incoming.on('end', () => {
          const text = Buffer.concat(parts).toString();
          if ((incoming.statusCode ?? 500) >= 400) reject(new Error(`${method} ${path}: ${text}`));
          else resolve(incoming.headers['content-type'] === 'application/json' && text ? JSON.parse(text) : {});
        });
      });
      outgoing.end(json === undefined ? undefined : JSON.stringify(json));
    });
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

/** The median of some times after a first that does not count. */
async function repeated(engine: BenchEngine, once: (api: Kept) => Promise<void>): Promise<number> {
  using api = new Kept(engine);
  const times: number[] = [];
  for (let time = 0; time <= TIMES; time++) {
    const startMs = performance.now();
    await once(api);
    if (time > 0) times.push(performance.now() - startMs);
  }
  return times.sort((a, b) => a - b)[TIMES >> 1] ?? 0;
}

async function lifeOfOne(api: Kept): Promise<void> {
  const { Id } = await api.call('POST', '/containers/create', { Image: BUSYBOX_IMAGE, Cmd: ['true'] });
  await api.call('POST', `/containers/${String(Id)}/start`);
  const { StatusCode } = await api.call('POST', `/containers/${String(Id)}/wait`);
  if (StatusCode !== 0) throw new Error(`true ended with ${String(StatusCode)}`);
  await api.call('DELETE', `/containers/${String(Id)}`);
}

async function execs(engine: BenchEngine): Promise<number> {
  const socket = engine.sockets[0] as string;
  const id = (await client(socket, 'run', '-d', BUSYBOX_IMAGE)).stdout;
  try {
    return await repeated(engine, async (api) => {
      const asked = { Cmd: ['true'], AttachStdout: true, AttachStderr: true };
      const { Id } = await api.call('POST', `/containers/${id}/exec`, asked);
      await api.call('POST', `/exec/${String(Id)}/start`, { Detach: false, Tty: false });
    });
  } finally {
    await client(socket, 'rm', '-f', id);
  }
}

async function idleMemory(engine: BenchEngine): Promise<number> {
  return proportionalBytes(engine.enginePids()) / 1e6;
}

/** From the moment that the new daemon's process began. */
async function restart(engine: BenchEngine): Promise<number> {
  const socket = engine.sockets[0] as string;
  const { ids } = await hundred(socket);
  const before = engine.daemonPid();
  engine.killDaemon(1);
  const back = engine.restartDaemons();
  try {
    const rightMs = await Promise.all([untilListed(socket, ids), back]).then(([atMs]) => atMs);
    if (engine.daemonPid() === before) throw new Error('the daemon was not replaced');
    return rightMs - startedMs(engine.daemonPid());
  } finally {
    await back;
    await client(socket, 'rm', '-f', ...ids);
  }
}

/** When all of them were first said to run, in milliseconds since the machine began. */
async function untilListed(socket: string, ids: readonly string[]): Promise<number> {
  for (const endMs = upMs() + 60_000; upMs() < endMs; ) {
    const reply = await callEngine(socket, 'GET', '/containers/json', { timeoutMs: 5_000 }).catch(() => undefined);
    const running = new Set(
      reply?.status === 200 ? (JSON.parse(reply.body) as { Id: string }[]).map(({ Id }) => Id) : [],
    );
    if (ids.every((id) => running.has(id))) return upMs();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  throw new Error('the containers were not listed again');
}

const upMs = (): number => Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000;

function startedMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]) * 10;
}

/** From a registry in the engine's own network, which got the image from that engine. */
async function pull(engine: BenchEngine): Promise<number> {
  using registry = await RealRegistry.start({ inside: engine.inside });
  const socket = engine.sockets[0] as string;
  const image = `${registry.host}/layers:1`;
  const reply = await callEngine(socket, 'POST', '/images/load', { body: await layered(image), timeoutMs: 60_000 });
  if (reply.status !== 200) throw new Error(`load: ${reply.body}`);
  await client(socket, 'push', '-q', image);
  await client(socket, 'rmi', image);
  const { ms } = await client(socket, 'pull', '-q', image);
  await client(socket, 'rmi', image);
  return ms;
}

/** Layers of many small files and a large one, half of which compresses. */
async function layered(tag: string): Promise<Buffer> {
  const layers = await Promise.all(
    Array.from({ length: PULL_LAYERS }, (_, layer) => {
      const noise = (length: number, seed: number): Buffer => {
        const bytes = Buffer.alloc(length);
        let state = (seed + 1) * 2_654_435_761;
        for (let at = 0; at < length / 2; at += 4) {
          state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
          bytes.writeUInt32LE(state, at);
        }
        return bytes;
      };
      const small = Array.from({ length: 200 }, (_, file) => {
        return [`layer${layer}/file${file}`, noise(4096, layer * 1000 + file)] as const;
      });
      return tarOf([...small, [`layer${layer}/large`, noise(PULL_LAYER_BYTES, layer)]]);
    }),
  );
  return dockerArchive({ tags: [tag], layers });
}
