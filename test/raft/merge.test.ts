import assert from 'node:assert/strict';
import type { Append, AppendResponse, Entry, Message } from '../../manager/raft/core/types.ts';
import { merged } from '../../manager/raft/merge.ts';

const entry = (index: number, term = 3, bytes = 10): Entry => ({
  index,
  term,
  kind: 'data',
  bytes: new Uint8Array(bytes),
});
const append = (prevIndex: number, entries: readonly Entry[], changes: Partial<Append> = {}): Append => ({
  type: 'append',
  from: 'a',
  to: 'b',
  term: 3,
  prevIndex,
  prevTerm: 3,
  entries,
  commit: 0,
  ...changes,
});
const answer = (index: number, changes: Partial<AppendResponse> = {}): AppendResponse => ({
  type: 'append-response',
  from: 'b',
  to: 'a',
  term: 3,
  index,
  rejected: false,
  hintIndex: 0,
  hintTerm: 0,
  ...changes,
});
const heartbeat: Message = { type: 'heartbeat', from: 'a', to: 'b', term: 3, commit: 1, round: 1 };

describe('messages that leave together', () => {
  it('become one append, with the last commit index', () => {
    const row = [append(4, [entry(5)]), append(5, [], { commit: 4 }), append(5, [entry(6), entry(7)], { commit: 5 })];
    assert.deepEqual(merged(row), [append(4, [entry(5), entry(6), entry(7)], { commit: 5 })]);
  });

  it('keep apart appends that do not go on where the last one ended', () => {
    for (const second of [append(6, [entry(7)]), append(5, [entry(6)], { prevTerm: 2 }), append(3, [entry(4)])]) {
      const row = [append(4, [entry(5)]), second];
      assert.deepEqual(merged(row), row);
    }
  });

  it('keep apart what belongs to different terms, and what lies around another message', () => {
    const terms = [append(4, [entry(5)]), append(5, [entry(6)], { term: 4 })];
    assert.deepEqual(merged(terms), terms);
    const around = [append(4, [entry(5)]), heartbeat, append(5, [entry(6)])];
    assert.deepEqual(merged(around), around);
  });

  it('do not grow beyond the size of an append', () => {
    const big = 100 * 1024;
    const row = [append(4, [entry(5, 3, big)]), append(5, [entry(6, 3, big)]), append(6, [entry(7, 3, big)])];
    assert.deepEqual(
      merged(row).map(({ entries }) => entries.length),
      [2, 1],
    );
  });

  it('become the last acknowledgement; refusals stay', () => {
    assert.deepEqual(merged([answer(5), answer(6), answer(9)]), [answer(9)]);
    assert.deepEqual(merged([answer(9), answer(6)]), [answer(9)]);
    const row = [answer(5), answer(8, { rejected: true }), answer(6), answer(6, { term: 4 })];
    assert.deepEqual(merged(row), row);
  });
});
