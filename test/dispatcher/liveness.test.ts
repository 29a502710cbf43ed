import assert from 'node:assert/strict';
import { Liveness } from '../../manager/dispatcher/liveness.ts';

const policy = { downAfterMs: 3_000 };
const nodes = (count: number): string[] => Array.from({ length: count }, (_, at) => `node${at}`);

function after(ids: readonly string[], heard: Readonly<Record<string, number>>): Liveness {
  const liveness = new Liveness();
  liveness.restart(ids, 0);
  for (const [id, atMs] of Object.entries(heard)) liveness.hear(id, atMs);
  return liveness;
}

describe('liveness', () => {
  it('gives a node up after three seconds of silence, not before', () => {
    const liveness = after(nodes(2), { node0: 1_000, node1: 5_000 });
    assert.deepEqual(liveness.judge(nodes(2), 4_000, policy).down, []);
    assert.deepEqual(liveness.judge(nodes(2), 4_001, policy).down, ['node0']);
  });

  it('starts every count anew with a new leader', () => {
    const liveness = after(nodes(2), {});
    liveness.restart(nodes(2), 10_000);
    assert.deepEqual(liveness.judge(nodes(2), 12_900, policy).down, []);
  });

  it('never takes an older message for newer life', () => {
    const liveness = after(['node0'], { node0: 5_000 });
    liveness.hear('node0', 1_000);
    assert.equal(liveness.silentMs('node0', 6_000), 1_000);
  });

  it('looks for the fault here first when more than a fifth of five are silent at once', () => {
    const heard = { node2: 4_000, node3: 4_000, node4: 4_000 };
    const liveness = after(nodes(5), heard);
    const verdict = liveness.judge(nodes(5), 4_500, policy);
    assert.deepEqual(verdict, { down: [], suspected: [], spared: ['node0', 'node1'] });
  });

  it('suspects a node whose beat is late, before it gives it up', () => {
    const liveness = after(nodes(2), { node0: 1_000, node1: 2_900 });
    assert.deepEqual(liveness.judge(nodes(2), 2_800, policy).suspected, []);
    assert.deepEqual(liveness.judge(nodes(2), 2_801, policy).suspected, ['node0']);
    assert.deepEqual(liveness.judge(nodes(2), 4_001, policy), { down: ['node0'], suspected: [], spared: [] });
  });

  it('gives them up in the end', () => {
    const liveness = after(nodes(5), { node2: 9_000, node3: 9_000, node4: 9_000 });
    assert.deepEqual(liveness.judge(nodes(5), 9_001, policy).down, ['node0', 'node1']);
  });

  it('does not spare one of five, nor two of four', () => {
    const one = after(nodes(5), { node1: 4_000, node2: 4_000, node3: 4_000, node4: 4_000 });
    assert.deepEqual(one.judge(nodes(5), 4_500, policy).down, ['node0']);
    const two = after(nodes(4), { node2: 4_000, node3: 4_000 });
    assert.deepEqual(two.judge(nodes(4), 4_500, policy).down, ['node0', 'node1']);
  });
});
