import assert from 'node:assert/strict';
import { matchesConstraints, parseConstraint } from '../../proto/constraints.ts';
import type { Node, NodeId } from '../../proto/objects.ts';

const node: Node = {
  id: 'n1' as NodeId,
  version: 1,
  createdAtMs: 0,
  updatedAtMs: 0,
  role: 'worker',
  spec: { name: '', role: 'worker', availability: 'active', labels: { disk: 'ssd', 'rack.row': '7' } },
  description: {
    hostname: 'web-1',
    platform: { os: 'linux', architecture: 'x86_64' },
    resources: { nanoCpus: 0, memoryBytes: 0 },
    engine: { version: '1', labels: { zone: 'east' }, plugins: [] },
  },
  status: { state: 'ready', message: '', address: '10.1.2.3', sinceMs: 0 },
};

describe('constraints', () => {
  for (const [text, expected] of [
    ['node.labels.disk==ssd', true],
    ['node.labels.disk == SSD', true],
    ['node.labels.rack.row==7', true],
    ['node.labels.disk!=ssd', false],
    ['node.labels.absent==x', false],
    ['node.labels.absent!=x', true],
    ['engine.labels.zone==east', true],
    ['node.id==n1', true],
    ['node.id!=n1', false],
    ['node.hostname==WEB-1', true],
    ['node.role==manager', false],
    ['node.role!=manager', true],
    ['node.platform.os==linux', true],
    ['node.platform.arch==aarch64', false],
    ['node.ip==10.1.0.0/16', true],
    ['node.ip!=10.1.2.3', false],
    ['node.ip==fe80::/10', false],
    ['unknown.key==x', false],
    ['unknown.key!=x', false],
  ] as const) {
    it(`${expected ? 'accepts' : 'refuses'} the node for ${text}`, () => {
      assert.equal(matchesConstraints([parseConstraint(text)], node), expected);
    });
  }

  it('needs all of several', () => {
    const both = [parseConstraint('node.labels.disk==ssd'), parseConstraint('node.role==manager')];
    assert.equal(matchesConstraints(both, node), false);
  });

  for (const [text, message] of [
    ['node.role', 'constraint expected one operator from ==, !='],
    ['node.role=worker', 'constraint expected one operator from ==, !='],
    ['==worker', "key '' is invalid"],
    ['no de==worker', "key 'no de' is invalid"],
    ['node.role==', "value '' is invalid"],
    ['a.b==c==d', "value 'c==d' is invalid"],
  ] as const) {
    it(`refuses '${text}'`, () => assert.throws(() => parseConstraint(text), { code: 'invalid', message }));
  }
});
