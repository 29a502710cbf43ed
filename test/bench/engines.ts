// The engines that are measured, each started alone in network namespaces of its own and driven by the same client.
import { execFile, type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { callEngine } from '../../deploy/engine.ts';
import { TestCluster } from '../support/cluster.ts';

const run = promisify(execFile);
export const BUSYBOX_IMAGE = 'bench-busybox:1';
export const SECOND_IMAGE = 'bench-busybox:2';

export interface BenchEngine extends AsyncDisposable {
  readonly name: 'docker' | 'shoal';
  readonly sockets: readonly string[];
  /** Process ids of the engine on its first node: daemon, helpers and shims, not what containers run. */
  enginePids(): number[];
  daemonPid(): number;
  /** Words before a program that is to run in the first node's network. */
  readonly inside: readonly [program: string, ...words: string[]];
  /** Kills a node whole: its daemon, helpers and containers, after its cable was pulled. */
  killNode(node: number): Promise<void>;
  killDaemon(node: number): void;
  restartDaemons(): Promise<void>;
  version(): Promise<string>;
}

/** The stock client; resolves with its output and the wall time it took, in milliseconds. */
export async function client(socket: string, ...args: readonly string[]): Promise<{ stdout: string; ms: number }> {
  const startMs = performance.now();
  const { stdout } = await run('docker', ['-H', `unix://${socket}`, ...args], {
    maxBuffer: 64 << 20,
    timeout: 300_000,
  });
  return { stdout: stdout.trim(), ms: performance.now() - startMs };
}

/** Gives every node both names of one image: a static busybox. */
export async function importBusybox(engine: BenchEngine): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-image-'));
  try {
    mkdirSync(join(folder, 'bin'));
    const script =
      'cp "$(command -v busybox)" "$0/bin/" && for name in sh sleep true; do ln -s busybox "$0/bin/$name"; done && tar -C "$0" -cf "$0.tar" .';
    await run('sh', ['-c', script, folder]);
    for (const socket of engine.sockets) {
      for (const image of [BUSYBOX_IMAGE, SECOND_IMAGE]) {
        await client(socket, 'import', '-c', 'CMD ["sleep","3600"]', `${folder}.tar`, image);
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(`${folder}.tar`, { force: true });
  }
}

export async function startShoal(nodes: number, name = 'bench'): Promise<BenchEngine> {
  const cluster = new TestCluster(name);
  await cluster.start('--nodes', String(nodes), '--no-demo');
  return {
    name: 'shoal',
    sockets: Array.from({ length: nodes }, (_, index) => cluster.socket(index + 1)),
    enginePids: () => processesBelow(join(cluster.cgroup(1), 'daemon')),
    daemonPid: () => cluster.pid(1),
    inside: ['nsenter', `--net=/run/netns/${cluster.name}-node1`],
    killDaemon: (node) => void process.kill(cluster.pid(node), 'SIGKILL'),
    async killNode(node) {
      cluster.inNode(node, 'ip', 'link', 'set', 'eth0', 'down');
      for (const pid of processesBelow(cluster.cgroup(node))) tryKill(pid);
    },
    async restartDaemons() {
      for (let node = 1; node <= nodes; node++) cluster.inNode(node, 'ip', 'link', 'set', 'eth0', 'up');
      await cluster.start('--nodes', String(nodes), '--no-demo');
    },
    version: async () => (await client(cluster.socket(1), 'version', '--format', '{{.Server.Version}}')).stdout,
    [Symbol.asyncDispose]: () => cluster.stop(),
  };
}

export const dockerAvailable = (): boolean =>
  ['/usr/sbin/dockerd', '/usr/bin/dockerd'].some((path) => existsSync(path));

interface DockerNode {
  readonly namespace: string;
  readonly socket: string;
  readonly folder: string;
  readonly address: string;
  readonly settings: readonly string[]; // further words for dockerd
  daemon: ChildProcess;
}

/** Debian's Docker Engine, one for each node, on a bridge of their own, with private roots and sockets. */
export async function startDocker(
  count: number,
  settings: readonly string[] = [],
  name = 'bench',
): Promise<BenchEngine> {
  const root = mkdtempSync(join(tmpdir(), `${name}-docker-`));
  chmodSync(root, 0o711); // for a root that is remapped
  const lan = `${name}-lan`;
  await run('ip', ['netns', 'add', lan]);
  await run('ip', ['-n', lan, 'link', 'add', 'lan', 'type', 'bridge']);
  await run('ip', ['-n', lan, 'link', 'set', 'lan', 'up']);
  const nodes: DockerNode[] = [];
  for (let number = 1; number <= count; number++) nodes.push(await makeDockerNode(root, number, settings, name));
  await Promise.all(nodes.map((node) => answering(node)));
  const [first, ...others] = nodes as [DockerNode, ...DockerNode[]];
  await client(first.socket, 'swarm', 'init', '--advertise-addr', first.address);
  const token = (await client(first.socket, 'swarm', 'join-token', '-q', 'manager')).stdout;
  for (const node of others) {
    await client(
      node.socket,
      'swarm',
      'join',
      '--advertise-addr',
      node.address,
      '--token',
      token,
      `${first.address}:2377`,
    );
  }
  return {
    name: 'docker',
    sockets: nodes.map((node) => node.socket),
    enginePids: () => processesNaming(first.folder),
    daemonPid: () => first.daemon.pid ?? 0,
    inside: ['nsenter', `--net=/run/netns/${first.namespace}`],
    killDaemon: (node) => void nodes[node - 1]?.daemon.kill('SIGKILL'),
    async killNode(number) {
      const node = nodes[number - 1];
      if (!node) return;
      await run('ip', ['-n', node.namespace, 'link', 'set', 'eth0', 'down']);
      for (const pid of dockerTree(node)) tryKill(pid);
    },
    async restartDaemons() {
      for (const node of nodes) {
        await run('ip', ['-n', node.namespace, 'link', 'set', 'eth0', 'up']);
        if (node.daemon.exitCode === null && node.daemon.signalCode === null) continue;
        for (const pid of processesNaming(node.folder)) tryKill(pid);
        rmSync(join(node.folder, 'pid'), { force: true });
        node.daemon = spawnDockerd(node);
        await answering(node);
      }
    },
    version: async () => (await client(first.socket, 'version', '--format', '{{.Server.Version}}')).stdout,
    async [Symbol.asyncDispose]() {
      for (const node of nodes) await stopDocker(node);
      for (const name of [...nodes.map((node) => node.namespace), lan]) await run('ip', ['netns', 'del', name]);
      rmSync(root, { recursive: true, force: true });
    },
  };
}

async function makeDockerNode(
  root: string,
  number: number,
  settings: readonly string[],
  name: string,
): Promise<DockerNode> {
  const lan = `${name}-lan`;
  const namespace = `${name}-docker${number}`;
  const folder = join(root, String(number));
  const address = `198.18.251.${number}`;
  mkdirSync(folder);
  await run('ip', ['netns', 'add', namespace]);
  await run('ip', [
    '-n',
    lan,
    'link',
    'add',
    `port${number}`,
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'netns',
    namespace,
  ]);
  for (const words of [`link set port${number} master lan`, `link set port${number} up`])
    await run('ip', ['-n', lan, ...words.split(' ')]);
  for (const words of ['link set lo up', `addr add ${address}/24 dev eth0`, 'link set eth0 up'])
    await run('ip', ['-n', namespace, ...words.split(' ')]);
  const node = { namespace, folder, address, settings, socket: join(folder, 'd.sock') };
  return { ...node, daemon: spawnDockerd(node) };
}

function spawnDockerd(node: Omit<DockerNode, 'daemon'>): ChildProcess {
  const { folder, namespace, socket, settings } = node;
  const roots = [
    '--data-root',
    join(folder, 'data'),
    '--exec-root',
    join(folder, 'exec'),
    '--pidfile',
    join(folder, 'pid'),
  ];
  return spawn(
    'nsenter',
    [`--net=/run/netns/${namespace}`, 'dockerd', ...roots, ...settings, '-H', `unix://${socket}`],
    {
      stdio: 'ignore',
    },
  );
}

async function answering(node: DockerNode): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (performance.now() < deadline) {
    const reply = await callEngine(node.socket, 'GET', '/_ping', { timeoutMs: 1_000 }).catch(() => undefined);
    if (reply?.status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`dockerd in ${node.namespace} does not answer`);
}

async function stopDocker(node: DockerNode): Promise<void> {
  await client(node.socket, 'swarm', 'leave', '--force').catch(() => undefined); // it may be dead already
  const ended = new Promise((resolve) => node.daemon.once('close', resolve));
  const over = node.daemon.exitCode !== null || node.daemon.signalCode !== null;
  if (!over && node.daemon.kill('SIGTERM'))
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 20_000))]);
  for (const pid of dockerTree(node)) tryKill(pid);
  await run('sh', ['-c', `grep ${node.folder} /proc/mounts | cut -d' ' -f2 | sort -r | xargs -r umount -l`]);
}

/** dockerd, containerd and the shims, all of which name the folder, and everything below them. */
function dockerTree(node: DockerNode): number[] {
  const roots = processesNaming(node.folder);
  const parents = new Map(allPids().map((pid) => [pid, parentOf(pid)]));
  const below = (pid: number): boolean => {
    const parent = parents.get(pid);
    return roots.includes(pid) || (parent !== undefined && parent > 1 && below(parent));
  };
  return [...parents.keys()].filter(below);
}

const allPids = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
const processesNaming = (text: string): number[] =>
  allPids().filter((pid) => readOr(`/proc/${pid}/cmdline`).includes(text));

function parentOf(pid: number): number {
  return Number(readOr(`/proc/${pid}/stat`).split(') ')[1]?.split(' ')[1] ?? 0);
}

function processesBelow(folder: string): number[] {
  const inner = existsSync(folder)
    ? readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    : [];
  const own = readOr(join(folder, 'cgroup.procs')).split('\n').filter(Boolean).map(Number);
  return [...own, ...inner.flatMap((entry) => processesBelow(join(folder, entry.name)))];
}

/** Proportional set size of these processes, in bytes. */
export function proportionalBytes(pids: readonly number[]): number {
  const kilobytes = pids.map((pid) => Number(/^Pss:\s+(\d+)/m.exec(readOr(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0));
  return kilobytes.reduce((sum, value) => sum + value, 0) * 1024;
}

function readOr(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // the process ended while we looked
  }
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
