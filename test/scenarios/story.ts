// Stories about the consensus core: one command a line, carried out on cores with simple disks and a network whose messages
// wait until they are let go. The commands are explained in README.md beside the stories.
import assert from 'node:assert/strict';
import type { MembershipChange } from '../../manager/raft/core/membership.ts';
import { votersOf } from '../../manager/raft/core/membership.ts';
import type { Message, RaftLimits } from '../../manager/raft/core/types.ts';
import { type Cast, Stage } from './stage.ts';

const SETTINGS: readonly string[] = ['members', 'learners', 'log', 'term', 'vote', 'limit'];

export function tell(text: string): void {
  const lines = text.split('\n').map((line, at) => ({ line: line.replace(/#.*/, '').trim(), number: at + 1 }));
  const said = lines.filter(({ line }) => line !== '');
  const cast: Cast = { members: [], learners: [], logs: new Map(), terms: new Map(), votes: new Map(), limits: {} };
  const opening = said.findIndex(({ line }) => !SETTINGS.includes(line.split(' ')[0] ?? ''));
  for (const { line } of said.slice(0, opening)) set(cast, line.split(/\s+/));
  const stage = new Stage(cast);
  for (const { line, number } of said.slice(opening)) {
    try {
      act(stage, line.split(/\s+/));
    } catch (cause) {
      throw new Error(`line ${number}, ‘${line}’: ${cause instanceof Error ? cause.message : String(cause)}`, {
        cause,
      });
    }
  }
}

function set(cast: Cast, [word, first = '', ...rest]: string[]): void {
  const numbers = rest.map(Number);
  if (word === 'members') cast.members.push(first, ...rest);
  else if (word === 'learners') cast.learners.push(first, ...rest);
  else if (word === 'log') cast.logs.set(first, numbers);
  else if (word === 'term') cast.terms.set(first, numbers[0] ?? 0);
  else if (word === 'vote') cast.votes.set(first, rest[0] ?? '');
  else cast.limits[first as keyof RaftLimits] = numbers[0] ?? 0;
}

function act(stage: Stage, [word = '', first = '', ...rest]: string[]): void {
  switch (word) {
    case 'cut':
      return void stage.cut.add(first);
    case 'join':
      return void stage.cut.delete(first);
    case 'tick':
      return stage.tick(first, Number(rest[0] ?? 1));
    case 'elect':
      return stage.elect(first);
    case 'run':
      return stage.run();
    case 'round':
      stage.round();
      return;
    case 'hold':
      return void stage.held.add(first);
    case 'flush':
      return stage.flush(first);
    case 'crash':
      return stage.crash(first);
    case 'restart':
      return stage.restart(first);
    case 'save':
      return stage.save(first, rest[0] as Message['type']);
    case 'replay':
      return stage.replay();
    case 'compact':
      return stage.compact(first, Number(rest[0]));
    case 'snapshot':
      return stage.core(first).snapshotReported(rest[0] ?? '', rest[1] === 'arrived');
    case 'suspect':
      return stage.core(first).suspectLeader(rest[0] ?? '');
    case 'send':
      return stage.send(first, rest);
    case 'propose':
    case 'read':
    case 'transfer':
    case 'add':
    case 'promote':
    case 'remove':
    case 'replace':
      return ask(stage, word, first, rest);
    case 'expect':
      return expect(stage, [first, ...rest]);
    default:
      throw new Error('no such command');
  }
}

/** `… refused REASON` at the end says that it must be. */
function ask(stage: Stage, word: string, id: string, rest: readonly string[]): void {
  const at = rest.indexOf('refused');
  const words = at < 0 ? rest : rest.slice(0, at);
  assert.equal(askFor(stage, word, id, words), at < 0 ? undefined : rest[at + 1]);
}

function askFor(stage: Stage, word: string, id: string, words: readonly string[]): string | undefined {
  const core = stage.core(id);
  const [subject = ''] = words;
  if (word === 'propose') return core.propose(words.map((text) => Buffer.from(text)));
  if (word === 'read') return core.read(Number(subject));
  if (word === 'transfer') return core.transferLeadership(subject);
  return core.proposeChange(changeOf(word, words));
}

function changeOf(word: string, [id = '', , replacing = '']: readonly string[]): MembershipChange {
  if (word === 'add') return { op: 'add-learner', id, address: id };
  if (word === 'replace') return { op: 'replace', id: replacing, replaces: id };
  return { op: word === 'promote' ? 'promote' : 'remove', id };
}

function expect(stage: Stage, words: string[]): void {
  if (words[0] === 'read' || words[0] === 'no') return expectRead(stage, words);
  if (words[0] === 'sent') return expectSent(stage, words);
  const [id = '', what = '', ...rest] = words;
  const core = stage.core(id);
  switch (what) {
    case 'term':
      return assert.equal(core.term, Number(rest[0]));
    case 'commit':
      return assert.equal(core.committed, Number(rest[0]));
    case 'applied':
      return assert.deepEqual(stage.appliedBy(id), rest);
    case 'log':
      return assert.deepEqual(stage.termsOf(id), rest.map(Number));
    case 'voters':
      return assert.deepEqual([...votersOf(core.membership)].sort(), rest);
    case 'removed':
      return assert.deepEqual(core.membership.removed, rest);
    case 'follows':
      return assert.equal(core.leaderId, rest[0]);
    default:
      return assert.equal(core.role, what);
  }
}

function expectRead(stage: Stage, words: readonly string[]): void {
  if (words[0] === 'no') return assert.equal(stage.reads.get(Number(words[2])), undefined);
  assert.equal(stage.reads.get(Number(words[1])), Number(words[3]));
}

/** `expect sent TYPE FROM>TO COUNT`: since the last `expect sent` of any kind. */
function expectSent(stage: Stage, [, type, link, count]: readonly string[]): void {
  const found = stage.sent.filter((message) => message.type === type && `${message.from}>${message.to}` === link);
  assert.equal(found.length, Number(count));
  stage.sent.length = 0;
}
