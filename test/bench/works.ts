// The works of the bench: what is done, on how many nodes, and what it yields. One call is one measurement.
import { callEngine } from '../../deploy/engine.ts';
import { API_WORKS } from './api-works.ts';
import { hundred, type Work } from './work.ts';
import { BUSYBOX_IMAGE, type BenchEngine, client, proportionalBytes, SECOND_IMAGE } from './engines.ts';

const first = (engine: BenchEngine): string => engine.sockets[0] as string;
const runOnce =
  (...network: readonly string[]) =>
  async (engine: BenchEngine): Promise<number> =>
    (await client(first(engine), 'run', '--rm', ...network, BUSYBOX_IMAGE, 'true')).ms;

export const WORKS: readonly Work[] = [
  {
    name: 'client alone (docker version)',
    unit: 'ms',
    nodes: 1,
    goal: '',
    rounds: 7,
    run: async (engine) => (await client(first(engine), 'version')).ms,
  },
  { name: 'run --rm true, bridge', unit: 'ms', nodes: 1, goal: '≤ 60', rounds: 9, run: runOnce() },
  {
    name: 'run --rm true, no network',
    unit: 'ms',
    nodes: 1,
    goal: '≤ 50',
    rounds: 9,
    run: runOnce('--network', 'none'),
  },
  {
    name: 'run --rm true, host network',
    unit: 'ms',
    nodes: 1,
    goal: '≤ 45',
    rounds: 9,
    run: runOnce('--network', 'host'),
  },
  { name: 'exec true', unit: 'ms', nodes: 1, goal: '≤ 30', rounds: 9, run: execTrue },
  {
    name: '100 × run -d, 8 at a time',
    unit: 'ms',
    nodes: 1,
    goal: '≤ 1200',
    rounds: 5,
    run: (engine) => burst(engine, 'create'),
  },
  { name: 'rm -f of 100', unit: 'ms', nodes: 1, goal: '≤ 500', rounds: 5, run: (engine) => burst(engine, 'remove') },
  { name: 'engine memory, 100 idle containers', unit: 'MB', nodes: 1, goal: '≤ 110', rounds: 5, run: memory },
  ...API_WORKS,
  { name: 'scale 10 → 50 → 100', unit: 'ms', nodes: 1, goal: '≤ 700', rounds: 5, run: scale },
  {
    name: 'create 30 tasks on 3 nodes',
    unit: 'ms',
    nodes: 3,
    goal: '≤ 600',
    rounds: 5,
    run: (engine) => thirty(engine, 'create'),
  },
  {
    name: 'roll 30 tasks, parallelism 10',
    unit: 'ms',
    nodes: 3,
    goal: '≤ 1000',
    rounds: 5,
    run: (engine) => thirty(engine, 'roll'),
  },
  { name: 'leader killed → accepted write', unit: 'ms', nodes: 3, goal: '≤ 700', rounds: 5, run: leaderLoss },
  {
    name: 'machine and leader lost → tasks elsewhere',
    unit: 'ms',
    nodes: 3,
    goal: '< 5000',
    rounds: 5,
    run: machineLoss,
  },
];

async function execTrue(engine: BenchEngine): Promise<number> {
  const socket = first(engine);
  const id = (await client(socket, 'run', '-d', BUSYBOX_IMAGE)).stdout;
  try {
    return (await client(socket, 'exec', id, 'true')).ms;
  } finally {
    await client(socket, 'rm', '-f', id);
  }
}

async function burst(engine: BenchEngine, measured: 'create' | 'remove'): Promise<number> {
  const { ids, ms } = await hundred(first(engine));
  const removal = await client(first(engine), 'rm', '-f', ...ids);
  return measured === 'create' ? ms : removal.ms;
}

async function memory(engine: BenchEngine): Promise<number> {
  const { ids } = await hundred(first(engine));
  try {
    return proportionalBytes(engine.enginePids()) / 1e6;
  } finally {
    await client(first(engine), 'rm', '-f', ...ids);
  }
}

async function scale(engine: BenchEngine): Promise<number> {
  const socket = first(engine);
  await create(socket, 'scaled', 10, SLEEPS);
  await running(socket, 'scaled', 10);
  const startMs = performance.now();
  for (const count of [50, 100]) {
    await client(socket, 'service', 'scale', '-d', `scaled=${count}`);
    await running(socket, 'scaled', count);
  }
  const took = performance.now() - startMs;
  await client(socket, 'service', 'scale', '-d', 'scaled=1');
  await running(socket, 'scaled', 1);
  await removed(socket, 'scaled');
  return took;
}

async function thirty(engine: BenchEngine, measured: 'create' | 'roll'): Promise<number> {
  const socket = first(engine);
  let startMs = performance.now();
  await create(socket, 'thirty', 30, ENDS_WHEN_TOLD, '--update-parallelism', '10', '--update-delay', '0s');
  await running(socket, 'thirty', 30);
  const created = performance.now() - startMs;
  startMs = performance.now();
  if (measured === 'roll') {
    await client(socket, 'service', 'update', '-q', '-d', '--no-resolve-image', '--image', SECOND_IMAGE, 'thirty');
    await running(socket, 'thirty', 30, { image: SECOND_IMAGE });
  }
  const rolled = performance.now() - startMs;
  await removed(socket, 'thirty');
  return measured === 'create' ? created : rolled;
}

async function leaderLoss(engine: BenchEngine): Promise<number> {
  const leader = await leaderOf(engine);
  const survivor = engine.sockets[leader % engine.sockets.length] as string;
  const startMs = performance.now();
  engine.killDaemon(leader);
  await accepted(survivor, 'probe');
  const took = performance.now() - startMs;
  await engine.restartDaemons();
  await allReady(survivor, engine.sockets.length);
  await removed(survivor, 'probe');
  return took;
}

async function machineLoss(engine: BenchEngine): Promise<number> {
  const leader = await leaderOf(engine);
  const survivor = engine.sockets[leader % engine.sockets.length] as string;
  await create(survivor, 'moved', 30, SLEEPS);
  await running(survivor, 'moved', 30);
  const startMs = performance.now();
  await engine.killNode(leader);
  await running(survivor, 'moved', 30, { nodes: 2 });
  const took = performance.now() - startMs;
  await removed(survivor, 'moved');
  await engine.restartDaemons();
  await allReady(survivor, engine.sockets.length);
  return took;
}

// ---- Steps ----

/** As a server does; `sleep` as the first process of a container ignores SIGTERM, and each roll would wait for its grace. */
const ENDS_WHEN_TOLD = ['sh', '-c', 'trap exit TERM; sleep 3600 & wait'];
const SLEEPS = ['sleep', '3600'];

async function create(
  socket: string,
  name: string,
  replicas: number,
  command: readonly string[],
  ...more: readonly string[]
): Promise<void> {
  const words = ['service', 'create', '-q', '-d', '--no-resolve-image', '--name', name, '--replicas', String(replicas)];
  await client(
    socket,
    ...words,
    '--stop-grace-period',
    '1s',
    '--restart-delay',
    '0s',
    ...more,
    BUSYBOX_IMAGE,
    ...command,
  );
}

interface TaskJson {
  readonly NodeID?: string;
  readonly Status: { readonly State: string };
  readonly Spec: { readonly ContainerSpec: { readonly Image: string } };
}

async function tasksOf(socket: string, service: string, desired: 'running' | 'shutdown'): Promise<TaskJson[]> {
  const filters = encodeURIComponent(JSON.stringify({ service: [service], 'desired-state': [desired] }));
  const reply = await callEngine(socket, 'GET', `/tasks?filters=${filters}`, { timeoutMs: 5_000 });
  return reply.status === 200 ? (JSON.parse(reply.body) as TaskJson[]) : [];
}

async function running(
  socket: string,
  service: string,
  count: number,
  options: { image?: string; nodes?: number } = {},
): Promise<void> {
  await until(`${count} running tasks of ${service}`, async () => {
    const tasks = (await tasksOf(socket, service, 'running')).filter(
      ({ Status, Spec }) => Status.State === 'running' && Spec.ContainerSpec.Image.startsWith(options.image ?? ''),
    );
    const nodes = new Set(tasks.map((task) => task.NodeID)).size;
    return tasks.length === count && (options.nodes === undefined || nodes === options.nodes);
  });
}

/** Removes a service and waits until the engine has ended its containers, so that the next measurement starts clean. */
async function removed(socket: string, name: string): Promise<void> {
  await client(socket, 'service', 'rm', name);
  await until(`${name} is gone`, async () => {
    const reply = await callEngine(
      socket,
      'GET',
      `/containers/json?filters=${encodeURIComponent(JSON.stringify({ label: [`com.docker.swarm.service.name=${name}`] }))}`,
    );
    return reply.status === 200 && (JSON.parse(reply.body) as unknown[]).length === 0;
  });
}

async function accepted(socket: string, name: string): Promise<void> {
  const spec = {
    Name: name,
    TaskTemplate: { ContainerSpec: { Image: BUSYBOX_IMAGE } },
    Mode: { Replicated: { Replicas: 0 } },
  };
  await until('an accepted write', async () => {
    const reply = await callEngine(socket, 'POST', '/services/create', { json: spec, timeoutMs: 5_000 });
    return reply.status === 201 || reply.status === 409;
  });
}

async function leaderOf(engine: BenchEngine): Promise<number> {
  let leader = 0;
  await until('a leader', async () => {
    for (const [index, socket] of engine.sockets.entries()) {
      const { stdout } = await client(socket, 'node', 'ls', '--format', '{{.Self}} {{.ManagerStatus}}');
      if (stdout.split('\n').includes('true Leader')) leader = index + 1;
    }
    return leader > 0;
  });
  return leader;
}

async function allReady(socket: string, count: number): Promise<void> {
  await until('all nodes are ready', async () => {
    const { stdout } = await client(socket, 'node', 'ls', '--format', '{{.Status}} {{.ManagerStatus}}');
    return stdout.split('\n').filter((line) => /^Ready (Leader|Reachable)$/.test(line)).length === count;
  });
}

async function until(what: string, ask: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 180_000;
  while (!(await ask().catch(() => false))) {
    if (performance.now() > deadline) throw new Error(`not within 180 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
