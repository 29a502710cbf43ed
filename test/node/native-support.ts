// A busybox root file system and requests over it, for the tests of the C helper. Root only.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { silentLog } from '../../base/log.ts';
import type { LaunchRequest, NativeRuntime, OutputFrame, ProcessSpec, Shim } from '../../runtime/native/contract.ts';
import {
  DEFAULT_CAPABILITIES,
  DEFAULT_MASKED_PATHS,
  DEFAULT_READ_ONLY_PATHS,
  defaultMounts,
} from '../../runtime/native/defaults.ts';
import { requireRoot, requireTool } from '../support/requirements.ts';
import { openNativeRuntime } from '../../runtime/native/native-runtime.ts';

const BUSYBOX = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path));

/** First line of the `before` of tests that run containers. */
export function requireBench(context: Mocha.Context): void {
  requireRoot(context);
  requireTool(context, BUSYBOX ?? '/usr/bin/busybox');
}

export class Bench {
  readonly directory = mkdtempSync('/tmp/shoal-native-');
  readonly suffix = this.directory.slice(-6);
  readonly lower = join(this.directory, 'lower');
  readonly cacheDirectory = process.env['SHOAL_TEST_CACHE'] ?? '/tmp/shoal-native-cache';
  #count = 0;
  #cgroupRoots: readonly { version: 1 | 2; path: string }[] = cgroupRoots();

  constructor() {
    makeBusybox(this.lower);
    for (const name of ['run', 'state', 'c']) mkdirSync(join(this.directory, name), { mode: 0o700 });
  }

  open(): Promise<NativeRuntime> {
    return openNativeRuntime({
      runDirectory: join(this.directory, 'run'),
      cacheDirectory: this.cacheDirectory,
      log: silentLog,
    });
  }

  /** A plain container that runs this command. */
  request(
    args: readonly string[],
    changes: Partial<LaunchRequest> = {},
    process: Partial<ProcessSpec> = {},
  ): LaunchRequest {
    const name = `c${this.#count++}`;
    const at = (part: string, mode = 0o700): string => {
      const path = join(this.directory, 'c', name, part);
      mkdirSync(path, { recursive: true, mode });
      return path;
    };
    const id = `${name}-${this.suffix}`;
    return {
      containerId: id,
      runDirectory: at('r'),
      runFiles: [],
      stateDirectory: at('state'),
      log: { path: join(at('log'), 'json.log'), bytesMax: 0, filesMax: 1 },
      stdin: 'null',
      hostname: 'box',
      domainName: '',
      rootfs: { lowers: [this.lower], upper: at('upper', 0o755), work: at('work'), readOnly: false },
      mounts: defaultMounts({ shmBytes: 0, privileged: false, ownIpc: true }),
      namespaces: {
        network: { kind: 'new' },
        pid: { kind: 'new' },
        ipc: { kind: 'new' },
        uts: { kind: 'new' },
        cgroup: { kind: 'new' },
      },
      cgroups: {
        groups: this.#cgroupRoots.map(({ version, path }) => ({
          version,
          path: join(path, `shoal-test-${id}`),
          writes: [],
        })),
      },
      maskedPaths: DEFAULT_MASKED_PATHS,
      readOnlyPaths: DEFAULT_READ_ONLY_PATHS,
      devices: [],
      sysctls: {},
      useInit: false,
      ...changes,
      process: { ...plainProcess(args), ...process },
    };
  }

  /** With these limits where the machine's controllers live; undefined if it lacks one. */
  limit(request: LaunchRequest, limits: { memoryBytes?: number; pids?: number }): LaunchRequest | undefined {
    const groups = request.cgroups.groups.map((group) => {
      const has = (file: string): boolean => existsSync(join(group.path, '..', file));
      const writes: [string, string][] = [];
      if (limits.memoryBytes !== undefined && group.version === 1 && has('memory.limit_in_bytes')) {
        writes.push(['memory.limit_in_bytes', String(limits.memoryBytes)]);
      }
      if (limits.memoryBytes !== undefined && group.version === 2 && controllers(group.path).includes('memory')) {
        writes.push(['memory.max', String(limits.memoryBytes)], ['memory.swap.max', '0']);
      }
      const pids =
        group.version === 1
          ? has('pids.max') || group.path.includes('/pids/')
          : controllers(group.path).includes('pids');
      if (limits.pids !== undefined && pids) writes.push(['pids.max', String(limits.pids)]);
      return { ...group, writes };
    });
    return groups.some(({ writes }) => writes.length > 0)
      ? { ...request, cgroups: { ...request.cgroups, groups } }
      : undefined;
  }

  cgroupFolders(): string[] {
    return this.#cgroupRoots.flatMap(({ path }) =>
      readdirSync(path).filter((name) => name.startsWith('shoal-test-') && name.endsWith(this.suffix)),
    );
  }

  removeCgroups(request: LaunchRequest): void {
    for (const { path } of request.cgroups.groups) if (existsSync(path)) execFileSync('rmdir', [path]);
  }

  /** Shims of this bench. */
  processes(): string[] {
    return readdirSync('/proc').filter((pid) => {
      try {
        return (
          /^\d+$/.test(pid) &&
          readFileSync(`/proc/${pid}/cmdline`, 'latin1').replace(/\0+$/, '').endsWith(`-${this.suffix}`)
        );
      } catch {
        return false; // it ended meanwhile
      }
    });
  }

  /** Also ends what a failed test left running. */
  dispose(): void {
    for (const pid of this.processes()) process.kill(Number(pid), 'SIGKILL');
    for (const { path } of this.#cgroupRoots) {
      for (const name of readdirSync(path)) {
        if (name.startsWith('shoal-test-') && name.endsWith(this.suffix))
          execFileSync('sh', ['-c', `rmdir ${join(path, name)} || { sleep 0.2; rmdir ${join(path, name)}; }`]);
      }
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export function plainProcess(args: readonly string[]): ProcessSpec {
  return {
    args,
    env: ['PATH=/bin'],
    workingDirectory: '/',
    user: '',
    groups: [],
    terminal: false,
    capabilities: DEFAULT_CAPABILITIES,
    noNewPrivileges: false,
    rlimits: [],
    oomScoreAdjustment: 0,
  };
}

/** Everything that both streams say until their end. */
export async function collect(output: AsyncIterable<OutputFrame>): Promise<{ stdout: string; stderr: string }> {
  const parts = { stdout: '', stderr: '' };
  for await (const { stream, bytes } of output) parts[stream] += bytes.toString('latin1');
  return parts;
}

/** Runs to the end and returns what it said and its exit. */
export async function runThrough(runtime: NativeRuntime, bench: Bench, request: LaunchRequest) {
  const shim = await runtime.launch(request);
  const stdio = await shim.attach({ stdin: false, stdout: true, stderr: true });
  await shim.start();
  const output = await collect(stdio.output);
  const exit = await shim.exited;
  await end(shim, bench, request);
  return { ...output, ...exit };
}

export async function end(shim: Shim, bench: Bench, request: LaunchRequest): Promise<void> {
  await shim.kill();
  bench.removeCgroups(request);
}

export const logLines = (request: LaunchRequest): { log: string; stream: string; time: string }[] =>
  readFileSync(request.log?.path ?? '', 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { log: string; stream: string; time: string });

const controllers = (path: string): string => readFileSync(join(path, '..', 'cgroup.controllers'), 'utf8');

function cgroupRoots(): { version: 1 | 2; path: string }[] {
  const roots: { version: 1 | 2; path: string }[] = [];
  for (const line of readFileSync('/proc/mounts', 'utf8').split('\n')) {
    const [, path, type, options] = line.split(' ');
    if (path === undefined || !path.startsWith('/sys/fs/cgroup')) continue;
    if (type === 'cgroup2') roots.push({ version: 2, path });
    if (type === 'cgroup' && /\b(memory|pids|cpu|freezer)\b/.test(options ?? '')) roots.push({ version: 1, path });
  }
  return roots;
}

function makeBusybox(root: string): void {
  for (const name of ['bin', 'etc', 'tmp', 'proc', 'sys', 'dev', 'root', 'home/app'])
    mkdirSync(join(root, name), { recursive: true });
  copyFileSync(BUSYBOX ?? '', join(root, 'bin/busybox'));
  for (const name of execFileSync(join(root, 'bin/busybox'), ['--list'], { encoding: 'utf8' }).split('\n')) {
    if (name !== '' && name !== 'busybox') symlinkSync('busybox', join(root, 'bin', name));
  }
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n');
  writeFileSync(join(root, 'etc/group'), 'root:x:0:root\napp:x:1001:\nextra:x:2000:app\nwheel:x:10:root\n');
}
