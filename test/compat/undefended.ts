// `npm run compat attacks`: builds with one defence taken out each. A test that tries a past escape must
// succeed with the build as it is and fail with the defence gone: otherwise it proves nothing.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { errnoOf } from '../../base/errors.ts';
import { nativeBinary } from '../../runtime/native/binary.ts';
import { type Edit, UNDEFENDED } from './undefended-builds.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const TEST_MS = 120_000;

/** The number of attacks that do not tell a build with the defence from one without. */
export async function runUndefended(only: string): Promise<number> {
  const chosen = UNDEFENDED.filter(({ without }) => without.includes(only));
  let idle = 0;
  const sound = await Checkout.make([]);
  for (const [file, title] of chosen.flatMap(({ attacks }) => attacks)) {
    const failure = sound.failure(file, title);
    if (failure !== undefined) idle += 1;
    console.log(`${failure === undefined ? 'held   ' : `BROKEN (${failure})`} ${file}: ${title}, with every defence`);
  }
  sound.remove();
  for (const { without, edits, attacks } of chosen) {
    const checkout = await Checkout.make(edits);
    for (const [file, title] of attacks) {
      const failure = checkout.failure(file, title);
      if (failure === undefined) idle += 1;
      console.log(`${failure === undefined ? 'UNSEEN ' : 'through'} ${file}: ${title}, without ${without}`);
      if (failure !== undefined) console.log(`          ${failure}`);
    }
    checkout.remove();
  }
  console.log(idle === 0 ? `${chosen.length} defences, each needed` : `${idle} tests say nothing about their defence`);
  return idle;
}

const pathOf = (folder: string, [name]: Edit): string =>
  join(folder, name.startsWith('dist/') ? name : join('runtime/native', name));

/** The source without the defence; throws where that is not there just once. */
export function planted(edit: Edit, folder = ROOT): string {
  const [name, before, after] = edit;
  const source = readFileSync(pathOf(folder, edit), 'utf8');
  const places = source.split(before).length - 1;
  if (places !== 1) throw new Error(`the defence in ${name} is there ${places} times: ${before}`);
  return source.replace(before, () => after);
}

/** A copy of the compiled project, changed, whose helper is compiled from changed sources. */
class Checkout {
  readonly #folder = mkdtempSync(join(tmpdir(), 'shoal-undefended-'));

  /** The helper is compiled here: one that does not compile would fail every test. */
  static async make(edits: readonly Edit[]): Promise<Checkout> {
    const checkout = new Checkout(edits);
    await nativeBinary(checkout.#cache, join(checkout.#folder, 'runtime/native'));
    return checkout;
  }

  private constructor(edits: readonly Edit[]) {
    const leaveOut = new Set([join(ROOT, 'dist/native')]);
    cpSync(join(ROOT, 'dist'), join(this.#folder, 'dist'), { recursive: true, filter: (path) => !leaveOut.has(path) });
    cpSync(join(ROOT, 'runtime/native'), join(this.#folder, 'runtime/native'), { recursive: true });
    for (const name of ['package.json', 'proto', 'node_modules', 'test'])
      symlinkSync(join(ROOT, name), join(this.#folder, name));
    for (const edit of edits) this.#plant(edit);
  }

  #plant(edit: Edit): void {
    writeFileSync(pathOf(this.#folder, edit), planted(edit, this.#folder));
  }

  get #cache(): string {
    return join(this.#folder, 'dist/native');
  }

  /** How the test fails, in a line; undefined: it passes. */
  failure(file: string, title: string): string | undefined {
    const path = join(this.#folder, `dist/test/node/${file}.test.js`);
    const args = [
      join(ROOT, 'node_modules/mocha/bin/mocha.js'),
      '--no-package',
      '--timeout',
      '30000',
      '--reporter',
      'json',
      '--fgrep',
      title,
      path,
    ];
    const env = { ...process.env, SHOAL_TEST_CACHE: this.#cache };
    const { stdout, error } = spawnSync(process.execPath, args, {
      env,
      encoding: 'utf8',
      timeout: TEST_MS,
      maxBuffer: 64 << 20,
    });
    if (error && errnoOf(error) === 'ETIMEDOUT') return 'it does not come to an end';
    const { stats, failures } = JSON.parse(stdout.slice(stdout.indexOf('{\n'))) as {
      stats: { passes: number; failures: number };
      failures: readonly { fullTitle: string; err: { message?: string } }[];
    };
    const hook = failures.find(({ fullTitle }) => fullTitle.includes('"before'));
    if (hook) throw new Error(`${file} came to no test: ${hook.fullTitle}: ${hook.err.message}`);
    if (stats.passes + stats.failures === 0)
      throw new Error(`${file} has no test that runs here with ${title} in its title`);
    return failures[0] && `${failures[0].err.message}`.split('\n')[0];
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
