// Planted bugs: the simulator must catch each of them, or it proves nothing. Each is a change of one place in a copy of
// the compiled production code; production itself knows no switch for them.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Modules } from './modules.ts';

export interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** A seed known to catch it, tried first to save time; any other of the budget will do as well. */
  readonly caughtBySeed?: number;
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'forgets over a restart whom it voted for',
    file: 'core/raft.js',
    from: 'this.#vote = initial.hardState.vote;',
    to: 'this.#vote = undefined;',
  },
  {
    name: 'acknowledges entries before they are durable',
    file: 'member.js',
    from: 'await storage.save(write);',
    to: 'peers.send(ready.messagesAfterWrite); await storage.save(write);',
  },
  {
    name: 'does not flush the log',
    file: 'write-ahead-log.js',
    from: 'await this.#segment.file.sync();',
    to: '',
  },
  {
    name: 'does not flush the directory after a new segment',
    file: 'write-ahead-log.js',
    from: 'await deps.disk.rename(temporary, nameOf(number));\n    await deps.disk.syncDirectory(LOG_DIRECTORY);',
    to: 'await deps.disk.rename(temporary, nameOf(number));',
  },
  {
    name: 'commits entries of earlier terms by counting copies',
    file: 'core/leader.js',
    from: 'if (index <= log.committed || log.termAt(index) !== term)',
    to: 'if (index <= log.committed)',
  },
  {
    name: 'counts learners in majorities',
    file: 'core/membership.js',
    from: 'membership.members.filter((member) => !member.learner)',
    to: 'membership.members',
  },
  {
    name: 'votes for candidates with an older log',
    file: 'core/raft.js',
    from: 'mayVote && this.#isUpToDate(message) &&',
    to: 'mayVote &&',
  },
  {
    name: 'answers reads without asking a majority',
    file: 'core/leader.js',
    from: 'this.#reads.confirm(round)',
    to: 'this.#reads.confirm(Infinity)',
  },
  {
    name: 'takes a late heartbeat answer for one to the newest round',
    file: 'core/leader.js',
    from: 'Math.max(progress.ackedRound, message.round)',
    to: 'this.#round',
    caughtBySeed: 33,
  },
  {
    name: 'accepts entries without comparing what precedes them',
    file: 'core/follower.js',
    from: 'if (!log.matches(prevIndex, prevTerm))',
    to: 'if (prevIndex > log.lastIndex)',
    caughtBySeed: 16,
  },
  {
    name: 'changes the membership twice at once',
    file: 'core/leader.js',
    from: 'return this.#changeIndex > this.#deps.log.applied || !this.#hasCommittedInTerm();',
    to: 'return false;',
  },
  {
    name: 'lets a voter vote twice in a term',
    file: 'core/raft.js',
    from: 'const isFree = this.#vote === undefined && this.#leaderId === undefined;',
    to: 'const isFree = this.#leaderId === undefined;',
  },
];

/** The production code with one bug in it, for as long as it is held. */
export async function mutate(mutant: Mutant): Promise<{ modules: Modules } & AsyncDisposable> {
  const dist = resolve(import.meta.dirname, '../..');
  const folder = await mkdtemp(join(tmpdir(), 'shoal-mutant-'));
  await cp(join(dist, 'base'), join(folder, 'dist/base'), { recursive: true });
  await cp(join(dist, 'manager/raft'), join(folder, 'dist/manager/raft'), { recursive: true });
  await writeFile(join(folder, 'package.json'), '{"type":"module"}');
  const path = join(folder, 'dist/manager/raft', mutant.file);
  const source = await readFile(path, 'utf8');
  const places = source.split(mutant.from).length - 1;
  if (places !== 1) throw new Error(`the place of mutant '${mutant.name}' is there ${places} times in ${mutant.file}`);
  await writeFile(
    path,
    source.replace(mutant.from, () => mutant.to),
  );
  return { modules: await load(folder), [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

async function load(folder: string): Promise<Modules> {
  const from = (file: string): Promise<Partial<Modules>> =>
    import(pathToFileURL(join(folder, 'dist/manager/raft', file)).href) as Promise<Partial<Modules>>;
  const files = ['core/raft.js', 'member.js', 'storage.js', 'judgement.js', 'inspect.js'];
  const loaded = await Promise.all(files.map(from));
  return Object.assign({}, ...loaded) as Modules;
}
