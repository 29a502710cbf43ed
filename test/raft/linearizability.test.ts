import assert from 'node:assert/strict';
import {
  checkLinearizable,
  type Operation,
  register,
  type RegisterInput,
  type RegisterOutput,
} from '../support/linearizability.ts';

type Step = Operation<RegisterInput, RegisterOutput>;

const at = (client: number, from: number, to: number, input: RegisterInput, output?: RegisterOutput): Step => ({
  client,
  key: 'x',
  input,
  calledAt: from,
  returnedAt: to,
  ...(output !== undefined && { output }),
});
const write = (client: number, from: number, to: number, value: string): Step =>
  at(client, from, to, { kind: 'write', value }, '');
const lostWrite = (client: number, from: number, to: number, value: string): Step =>
  at(client, from, to, { kind: 'write', value });
const read = (client: number, from: number, to: number, value: string): Step =>
  at(client, from, to, { kind: 'read' }, value);
const cas = (client: number, from: number, to: number, change: [string, string], done?: boolean): Step =>
  at(client, from, to, { kind: 'compare-and-set', from: change[0], to: change[1] }, done);

const GOOD: readonly (readonly [string, readonly Step[]])[] = [
  ['nothing', []],
  ['one after the other', [write(1, 0, 1, 'a'), read(2, 2, 3, 'a')]],
  ['a read during a write sees the old value', [write(1, 0, 10, 'a'), read(2, 1, 2, '')]],
  ['a read during a write sees the new value', [write(1, 0, 10, 'a'), read(2, 1, 2, 'a')]],
  ['two reads during a write, old then new', [write(1, 0, 10, 'a'), read(2, 1, 2, ''), read(2, 3, 4, 'a')]],
  [
    'writes that overlap may be seen in either order',
    [write(1, 0, 10, 'a'), write(2, 0, 10, 'b'), read(3, 11, 12, 'a')],
  ],
  ['a write without an answer that never happened', [lostWrite(1, 0, 1, 'a'), read(2, 5, 6, ''), read(2, 7, 8, '')]],
  ['a write without an answer that happened late', [lostWrite(1, 0, 1, 'a'), read(2, 5, 6, ''), read(2, 7, 8, 'a')]],
  ['a chain of compare-and-sets', [cas(1, 0, 1, ['', 'a'], true), cas(2, 2, 3, ['a', 'b'], true), read(3, 4, 5, 'b')]],
  ['of two that compete one fails', [cas(1, 0, 9, ['', 'a'], true), cas(2, 1, 8, ['', 'b'], false)]],
  ['an unanswered one explains a failure', [cas(1, 0, 1, ['', 'a']), cas(2, 5, 6, ['', 'b'], false)]],
];

const BAD: readonly (readonly [string, readonly Step[]])[] = [
  ['a stale read', [write(1, 0, 1, 'a'), read(2, 2, 3, '')]],
  ['a lost write', [write(1, 0, 1, 'a'), write(1, 2, 3, 'b'), read(2, 4, 5, 'a')]],
  ['a read of what nobody wrote', [write(1, 0, 1, 'a'), read(2, 2, 3, 'c')]],
  ['new, then old, during one write', [write(1, 0, 10, 'a'), read(2, 1, 2, 'a'), read(3, 3, 4, '')]],
  ['a value that comes back', [write(1, 0, 1, 'a'), write(1, 2, 3, 'b'), read(2, 4, 5, 'b'), read(2, 6, 7, 'a')]],
  ['two that both win', [cas(1, 0, 9, ['', 'a'], true), cas(2, 0, 9, ['', 'b'], true)]],
  ['a failure without a reason', [cas(1, 0, 1, ['', 'a'], false)]],
  ['a write that happens before its call', [read(2, 0, 1, 'a'), write(1, 2, 3, 'a')]],
  [
    'two readers who disagree on the order of two writes',
    [write(1, 0, 20, 'a'), write(2, 0, 20, 'b'), read(3, 1, 2, 'a'), read(3, 3, 4, 'b'), read(4, 5, 6, 'a')],
  ],
  ['an unanswered write seen, then unseen', [lostWrite(1, 0, 1, 'a'), read(2, 2, 3, 'a'), read(2, 4, 5, '')]],
];

describe('the linearizability checker', () => {
  for (const [name, history] of GOOD) {
    it(`accepts ${name}`, () => assert.equal(checkLinearizable(history, register('')).linearizable, true));
  }
  for (const [name, history] of BAD) {
    it(`refuses ${name}`, () => assert.equal(checkLinearizable(history, register('')).linearizable, false));
  }

  it('judges every key by itself, and names the one that is wrong', () => {
    const other = { ...read(2, 2, 3, ''), key: 'y' };
    assert.equal(checkLinearizable([write(1, 0, 1, 'a'), other], register('')).linearizable, true);
    const stale = { ...read(2, 4, 5, 'z'), key: 'y' };
    const judgement = checkLinearizable([write(1, 0, 1, 'a'), other, stale], register(''));
    assert.ok(!judgement.linearizable);
    assert.equal(judgement.key, 'y');
    assert.equal(judgement.stuckAt, stale);
  });

  it('is quick with many that overlap and many unanswered', () => {
    const history: Step[] = [];
    for (let number = 0; number < 300; number += 1) {
      const value = (at: number): string => (at < 0 ? '' : `v${at}`);
      history.push(cas(number % 5, number * 10, number * 10 + 45, [value(number - 1), value(number)], true));
      if (number % 7 === 0) history.push(cas(6, number * 10, number * 10 + 5, [`v${number + 3}`, `lost${number}`]));
      history.push(read(7, number * 10 + 46, number * 10 + 47, value(number)));
    }
    const fine = checkLinearizable(
      history.filter(({ client }) => client < 7),
      register(''),
    );
    assert.equal(fine.linearizable, true);
    assert.ok(fine.steps < 100_000, `${fine.steps} steps`);
  });

  it('gives up, as a failure, when its budget is used up', () => {
    const history = [write(1, 0, 1, 'a'), read(2, 2, 3, 'a'), read(2, 4, 5, 'a')];
    const judgement = checkLinearizable(history, register(''), { stepsMax: 2 });
    assert.ok(!judgement.linearizable);
    assert.equal(judgement.because, 'undecided');
  });
});
