// What a clean stop must give back: links, namespaces, mounts, cgroups, packet rules, sysctls, files and processes.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';

/** One line for each thing on the machine that a run could leave behind, sorted. */
export function machineSnapshot(marks: readonly string[]): string[] {
  return [
    ...Object.keys(networkInterfaces()).map((name) => `link ${name}`),
    ...readdirSync('/sys/class/net').map((name) => `link ${name}`),
    ...listOrNone('/run/netns').map((name) => `netns ${name}`),
    ...mountPoints().map((target) => `mount ${target}`),
    ...tool('find', ['/sys/fs/cgroup', '-type', 'd']).map((path) => `cgroup ${path}`),
    ...tool('nft', ['list', 'ruleset']).filter((line) => line.startsWith('table')),
    ...sysctls(),
    ...markedFiles(marks).map((path) => `file ${path}`),
    ...markedProcesses(marks).map((text) => `process ${text}`),
  ].toSorted();
}

/** What is in `after` and was not in `before`. */
export function leftBehind(before: readonly string[], after: readonly string[]): string[] {
  const known = new Set(before);
  return [...new Set(after)].filter((line) => !known.has(line));
}

function mountPoints(): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(' ')[1] ?? '');
}

function sysctls(): string[] {
  const names = ['net/ipv4/ip_forward', 'net/ipv4/conf/all/route_localnet', 'net/ipv4/conf/default/rp_filter'];
  return names.map((name) => `sysctl ${name}=${readFileSync(`/proc/sys/${name}`, 'utf8').trim()}`);
}

function markedFiles(marks: readonly string[]): string[] {
  const names = marks.flatMap((mark, index) => [...(index > 0 ? ['-o'] : []), '-name', `*${mark}*`]);
  return tool('find', ['/run', '/var/lib', '/tmp', '-xdev', '(', ...names, ')']);
}

function markedProcesses(marks: readonly string[]): string[] {
  const own = new Set([process.pid, process.ppid]);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && !own.has(Number(name)))
    .map((pid) => readOrNothing(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim())
    .filter((line) => marks.some((mark) => line.includes(mark)) && !line.includes('mocha'));
}

function listOrNone(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // the folder comes with the first named namespace
  }
}

function readOrNothing(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // the process ended while we looked
  }
}

/** Lines of a tool's output; `find` exits with 1 when a folder vanishes under it, which is fine here. */
function tool(command: string, args: readonly string[]): string[] {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      .split('\n')
      .filter(Boolean);
  } catch (error) {
    const partial = error instanceof Error && 'stdout' in error ? String(error.stdout) : '';
    return partial.split('\n').filter(Boolean);
  }
}
