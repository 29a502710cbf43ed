// netd as a program of its own for tests, built once for each state of its sources.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SOURCES = join(import.meta.dirname, '../../../runtime/native');

export function netdBinary(): string {
  const names = readdirSync(SOURCES).filter((name) => /^netd.*\.[ch]$/.test(name));
  const hash = createHash('sha256');
  for (const name of names.sort()) hash.update(readFileSync(join(SOURCES, name)));
  const directory = join(import.meta.dirname, '../../native');
  const path = join(directory, `netd-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(path)) return path;
  mkdirSync(directory, { recursive: true });
  const main = join(directory, 'netd-main.c');
  writeFileSync(main, '#include "netd.h"\nint main(int argc, char **argv) { return netd_main(argc, argv); }\n');
  const files = names.filter((name) => name.endsWith('.c')).map((name) => join(SOURCES, name));
  const output = `${path}.${process.pid}`;
  execFileSync('cc', [
    '-O2',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-D_GNU_SOURCE',
    '-static',
    '-I',
    SOURCES,
    '-o',
    output,
    main,
    ...files,
  ]);
  renameSync(output, path);
  return path;
}
