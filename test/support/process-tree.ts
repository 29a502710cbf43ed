// A process and what it started, read from /proc.
import { readdirSync, readFileSync } from 'node:fs';
import process from 'node:process';

export interface ProcessInTree {
  readonly pid: number;
  readonly depth: number; // 0 for the root
  readonly command: string; // with arguments, at most 200 characters
  readonly waitsIn: string; // the kernel's function, or '0' where it runs
}

/** `root` and its descendants, each parent before its children. Processes that end meanwhile are left out. */
export function processTree(root: number): ProcessInTree[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = Number(/^PPid:\s+(\d+)/m.exec(read(Number(name), 'status'))?.[1] ?? -1);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const tree: ProcessInTree[] = [];
  const visit = (pid: number, depth: number): void => {
    const command = read(pid, 'cmdline').replaceAll('\0', ' ').trim().slice(0, 200);
    tree.push({ pid, depth, command, waitsIn: read(pid, 'wchan') });
    for (const child of children.get(pid) ?? []) visit(child, depth + 1);
  };
  visit(root, 0);
  return tree;
}

/** Kills each, the root first, so that it starts no more. */
export function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // ended meanwhile
    }
  }
}

function read(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return ''; // ended meanwhile
  }
}
