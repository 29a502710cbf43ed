// A copy of the production code with its assertions off, and copies of that copy with one bug each. Patches are applied to
// the TypeScript source, of which the one changed file is compiled anew.
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { applyTo, type Mutant } from './patch.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');
const ROOMS = ['base', 'manager/raft'];

const ASSERTIONS_OFF = `// Copies for mutants assert nothing: what is wrong has to be seen from outside.
export class InvariantError extends Error {}
export function invariant(_condition: unknown, _message: string): void {}
`;

export class Workshop implements AsyncDisposable {
  readonly #folder: string;

  static async open(): Promise<Workshop> {
    const workshop = new Workshop(await mkdtemp(join(tmpdir(), 'shoal-mutants-')));
    await workshop.#prepare();
    return workshop;
  }

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Folder of the compiled copy without a bug. */
  get unpatched(): string {
    return join(this.#folder, 'unpatched');
  }

  /** Makes a compiled copy with the bug in it, and returns its folder. */
  async plant(mutant: Mutant): Promise<string> {
    const folder = join(this.#folder, mutant.name);
    await cp(this.unpatched, folder, { recursive: true });
    const source = join(this.#folder, 'sources', mutant.name);
    const file = join(source, mutant.file);
    await mkdir(resolve(file, '..'), { recursive: true });
    await writeFile(file, applyTo(await readFile(join(ROOT, mutant.file), 'utf8'), mutant));
    await compile(source, folder, { noResolve: true });
    return folder;
  }

  async #prepare(): Promise<void> {
    const source = join(this.#folder, 'sources', 'unpatched');
    for (const room of ROOMS) await cp(join(ROOT, room), join(source, room), { recursive: true });
    await writeFile(join(source, 'base/assert.ts'), ASSERTIONS_OFF);
    await mkdir(this.unpatched, { recursive: true });
    await writeFile(join(this.unpatched, 'package.json'), '{"type":"module"}');
    await compile(source, this.unpatched, { noResolve: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function compile(source: string, target: string, options: { noResolve: boolean }): Promise<void> {
  const config = {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: {
      ...options,
      noCheck: true,
      rootDir: source,
      outDir: target,
      declaration: false,
      sourceMap: false,
      incremental: false,
      tsBuildInfoFile: null,
      types: [],
    },
    include: [join(source, '**/*.ts')],
    exclude: [],
  };
  await writeFile(join(source, 'package.json'), '{"type":"module"}');
  const file = join(source, 'tsconfig.json');
  await writeFile(file, JSON.stringify(config));
  await promisify(execFile)(process.execPath, [TSC, '-p', file]);
}
