// The helper's binary, made from the C sources of this folder by the system's compiler when first needed,
// and kept under the hash of those sources.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { access, constants, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CodedError, errnoOf, fail } from '../../base/errors.ts';
import { PACKAGE_ROOT } from '../../base/package-root.ts';

export interface NativeBinary {
  readonly path: string;
  readonly sourceHash: string; // of the sources and the flags
}

const run = promisify(execFile);
const SOURCES = join(PACKAGE_ROOT, 'runtime/native');
const FLAGS = ['-O2', '-std=gnu11', '-D_GNU_SOURCE'];
const COMPILERS = ['cc', 'gcc', 'clang', 'musl-gcc'];
const COMPILE_MS_MAX = 120_000;

/** The binary for these sources; compiled if `cacheDirectory` does not have it yet. */
export async function nativeBinary(cacheDirectory: string, sources = SOURCES): Promise<NativeBinary> {
  const files = readdirSync(sources)
    .filter((name) => name.endsWith('.c') || name.endsWith('.h'))
    .sort();
  if (files.length === 0) fail('internal', `the C sources are missing from ${sources}`);
  const sourceHash = hashOf(sources, files);
  const path = join(cacheDirectory, `shoal-native-${sourceHash}`);
  if (!(await isExecutable(path))) {
    await mkdir(cacheDirectory, { recursive: true, mode: 0o710 });
    await compile(
      files.filter((name) => name.endsWith('.c')).map((name) => join(sources, name)),
      path,
    );
  }
  return { path, sourceHash };
}

/** Not one by one through the thread pool: a daemon that begins has nothing else to do, and waits a tenth as long. */
function hashOf(directory: string, files: readonly string[]): string {
  const hash = createHash('sha256').update(FLAGS.join(' '));
  for (const name of files) hash.update(`\0${name}\0`).update(readFileSync(join(directory, name)));
  return hash.digest('hex').slice(0, 16);
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Statically where the machine has a static C library: smaller in memory and independent of later upgrades. */
async function compile(sources: readonly string[], path: string): Promise<void> {
  const compiler = await findCompiler();
  const temporary = `${path}.${process.pid}`;
  try {
    await compileWith(compiler, ['-static', ...FLAGS], sources, temporary).catch(() =>
      compileWith(compiler, FLAGS, sources, temporary),
    );
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

async function compileWith(compiler: string, flags: readonly string[], sources: readonly string[], path: string) {
  try {
    await run(compiler, [...flags, '-o', path, ...sources], { timeout: COMPILE_MS_MAX });
  } catch (cause) {
    throw new CodedError('internal', `compiling the C helper with ${compiler}`, { cause });
  }
}

async function findCompiler(): Promise<string> {
  for (const directory of (process.env['PATH'] ?? '/usr/bin:/bin').split(':')) {
    for (const name of COMPILERS) {
      if (await isExecutable(join(directory, name)).catch(() => false)) return join(directory, name);
    }
  }
  return fail(
    'unavailable',
    'no C compiler was found: the container helper is compiled on first use; install one (Debian, Ubuntu: apt install gcc libc6-dev)',
  );
}
