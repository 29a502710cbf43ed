import assert from 'node:assert/strict';
import { parseOptions } from '../../deploy/options.ts';
import { freeSubnet, planCluster, preferredSubnet } from '../../deploy/plan.ts';

const planOf = (name: string) =>
  planCluster({
    name,
    nodeCount: 3,
    runDirectory: `/run/${name}`,
    stateDirectory: `/s/${name}`,
    program: '/p',
    subnet: 7,
  });

describe('the plan of a local cluster', () => {
  it('shares nothing between clusters of different names', () => {
    const texts = (name: string): string[] =>
      planOf(name).nodes.flatMap((node) => [node.namespace, node.socket, node.dataRoot, node.execRoot, node.cgroup]);
    const both = [...texts('shoal'), ...texts('other')];
    assert.equal(new Set(both).size, both.length);
  });

  it('keeps link names within what the kernel takes', () => {
    assert.ok(planOf('a123456789').network.hostLink.length <= 15);
  });

  it('takes the next subnet when the preferred one is in use', () => {
    const preferred = preferredSubnet('shoal');
    assert.equal(freeSubnet('shoal', new Set()), preferred);
    assert.notEqual(freeSubnet('shoal', new Set([preferred])), preferred);
  });

  it('says so when every subnet is in use', () => {
    assert.throws(() => freeSubnet('shoal', new Set(Array.from({ length: 251 }, (_, i) => i))), /in use/);
  });
});

describe('the words of npm start', () => {
  it('have defaults', () => {
    const options = parseOptions(['start']);
    assert.deepEqual(
      [options.name, options.nodeCount, options.demo, options.runDirectory],
      ['shoal', 3, true, '/run/shoal'],
    );
  });

  for (const [args, words] of [
    [['start', '--nodes', '0'], /1 to 9/],
    [['start', '--nodes', 'x'], /1 to 9/],
    [['start', '--run-dir', 'x'], /absolute/],
    [['start', '--run-dir', `/${'x'.repeat(70)}`], /longer/],
    [['start', '--nosuch'], /nosuch/],
    [['begin'], /start or stop/],
  ] as const) {
    it(`refuse ${args.join(' ').slice(0, 40)}`, () => assert.throws(() => parseOptions(args), words));
  }
});
