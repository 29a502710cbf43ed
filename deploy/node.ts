// One node: its daemon in the node's own network and UTS namespace and cgroup.
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { killNodeCgroup, makeNodeCgroup, nodeCgroupPath, nodeProcesses, removeCgroups } from './cgroups.ts';
import { callEngine } from './engine.ts';
import type { ClusterPlan, NodePlan } from './plan.ts';
import { ended } from './processes.ts';

const READY_WITHIN_MS = 20_000;

/** True when the node's daemon answers. */
export async function isUp(node: NodePlan): Promise<boolean> {
  if (!existsSync(node.socket)) return false;
  try {
    return (await callEngine(node.socket, 'GET', '/_ping', { timeoutMs: 2_000 })).status === 200;
  } catch {
    return false; // a socket without a listener: the daemon died
  }
}

/**
 * Starts the daemon and resolves when it serves its socket. The daemon outlives this process; one that does not answer
 * in time is ended, so that the next start finds its data free.
 */
export async function startDaemon(plan: ClusterPlan, node: NodePlan, readyWithinMs = READY_WITHIN_MS): Promise<void> {
  const cgroupProcesses = makeNodeCgroup(node.cgroup);
  mkdirSync(node.dataRoot, { recursive: true, mode: 0o710 });
  writeFileSync(node.cgroupFile, `${nodeCgroupPath(node.cgroup)}\n`);
  const log = openSync(node.logFile, 'a', 0o600);
  // The shell moves itself into the cgroup and becomes, step by step, the daemon.
  const script = 'echo $$ > "$1" && shift && exec "$@"';
  const inside = 'hostname "$1" && shift && exec "$@"';
  const child = spawn(
    'sh',
    [
      '-c',
      script,
      'sh',
      cgroupProcesses,
      'nsenter',
      `--net=/run/netns/${node.namespace}`,
      'unshare',
      '--uts',
      'sh',
      '-c',
      inside,
      'sh',
      node.name,
      process.execPath,
      ...daemonArguments(plan, node),
    ],
    { detached: true, stdio: ['ignore', log, log, 'pipe'], env: { ...daemonEnvironment(), SHOALD_READY_FD: '3' } },
  );
  closeSync(log);
  try {
    await ready(child, readyWithinMs);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL'); // with what it started
    throw new Error(`${node.name} ${why}; its log: ${node.logFile}\n${lastLines(node.logFile)}`);
  } finally {
    // Nothing of it may keep this process from its end.
    child.removeAllListeners();
    child.stdio[3]?.destroy();
    child.unref();
  }
}

/** Resolves when the daemon says on its fourth descriptor that it serves. */
function ready(child: ChildProcess, withinMs: number): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`did not answer within ${withinMs / 1000} s`)), withinMs);
    child.stdio[3]?.once('data', () => {
      clearTimeout(timer);
      resolve();
    });
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`ended with exit status ${code}`));
    });
  });
}

function daemonArguments(plan: ClusterPlan, node: NodePlan): string[] {
  return [
    '--max-semi-space-size=4', // as in daemon/main.ts: docs/performance.md has the weighing
    join(plan.program, 'dist/daemon/main.js'),
    '-H',
    `unix://${node.socket}`,
    '--data-root',
    node.dataRoot,
    '--exec-root',
    node.execRoot,
    '--pidfile',
    node.pidFile,
    '--cgroup-parent',
    node.cgroup,
    '--swarm-default-advertise-addr',
    node.address,
    '--dashboard',
    `${node.address}:9000`,
  ];
}

/** The daemon gets no more of this shell's environment than it needs. */
function daemonEnvironment(): NodeJS.ProcessEnv {
  const { PATH, HOME, LANG } = process.env;
  return { PATH: `${PATH ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`, HOME: HOME ?? '/root', LANG: LANG ?? 'C.UTF-8' };
}

function lastLines(file: string): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-5).join('\n');
}

/** Ends the daemon, gracefully first, then everything of the node; nothing of it is left but its data root. */
export async function stopNode(node: NodePlan): Promise<void> {
  const processes = nodeProcesses(node.cgroup);
  const pid = existsSync(node.pidFile) ? Number(readFileSync(node.pidFile, 'utf8')) : 0;
  if (pid > 0 && isDaemon(pid, node)) {
    process.kill(pid, 'SIGTERM');
    await ended([pid], { withinMs: 10_000, reaped: false });
  }
  await killNodeCgroup(node.cgroup);
  await removeCgroups(node.cgroup);
  await ended(processes, { withinMs: 10_000, reaped: true });
  for (const path of [node.socket, node.pidFile, node.cgroupFile]) rmSync(path, { force: true });
}

/** A pid file can be old: the process must be ours by its command line. */
function isDaemon(pid: number, node: NodePlan): boolean {
  const file = `/proc/${pid}/cmdline`;
  return existsSync(file) && readFileSync(file, 'utf8').split('\0').includes(node.dataRoot);
}

export function makeRunDirectory(plan: ClusterPlan): void {
  mkdirSync(plan.runDirectory, { recursive: true });
  chmodSync(plan.runDirectory, 0o755);
}
