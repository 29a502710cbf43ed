// Mutants are unified diffs against the production code, with a few lines before them that say what is planted. They are
// applied by their text alone, wherever it stands now, so that they outlive changes around them.
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Mode } from '../sim/simulate.ts';

export interface Mutant {
  readonly name: string;
  /** What the code does with the bug in it. */
  readonly what: string;
  /** The number of the known pit of Raft implementations that it belongs to. */
  readonly pit: number | undefined;
  readonly mode: Mode;
  /** A seed that is known to find it, tried first. */
  readonly seed: number | undefined;
  /** Relative to the root of the sources. */
  readonly file: string;
  readonly hunks: readonly { readonly before: string; readonly after: string }[];
}

const FOLDER = resolve(import.meta.dirname, '../../../test/mutants');

export function readMutants(): Mutant[] {
  const names = readdirSync(FOLDER).filter((file) => file.endsWith('.patch'));
  return names.sort().map((file) => parseMutant(file.replace('.patch', ''), readFileSync(join(FOLDER, file), 'utf8')));
}

export function parseMutant(name: string, text: string): Mutant {
  const [head = '', ...rest] = text.split(/^@@.*@@.*\n/m);
  const field = (key: string): string | undefined => new RegExp(`^${key}: (.*)$`, 'm').exec(head)?.[1];
  const [what, file] = [field('Planted bug'), /^\+\+\+ b\/(.*)$/m.exec(head)?.[1]];
  if (!what || !file || rest.length === 0) throw new Error(`${name}.patch names no bug, no file or no change`);
  const [pit, seed, mode] = [field('Pit'), field('Seed'), field('Mode')];
  return {
    name,
    what: what.replace(/\.$/, ''),
    pit: pit === undefined ? undefined : Number(pit),
    mode: mode === 'liveness' ? 'liveness' : 'safety',
    seed: seed === undefined ? undefined : Number(seed),
    file,
    hunks: rest.map(parseHunk),
  };
}

function parseHunk(text: string): { before: string; after: string } {
  const lines = text.split('\n').slice(0, -1);
  const side = (without: string): string =>
    lines
      .filter((line) => !line.startsWith(without))
      .map((line) => `${line.slice(1)}\n`)
      .join('');
  return { before: side('+'), after: side('-') };
}

/** The source with the bug in it. Throws when a hunk's place is not there, or is there twice. */
export function applyTo(source: string, { name, hunks }: Mutant): string {
  return hunks.reduce((text, { before, after }) => {
    const places = text.split(before).length - 1;
    if (places !== 1) throw new Error(`the place of ${name}.patch is there ${places} times`);
    return text.replace(before, () => after);
  }, source);
}
