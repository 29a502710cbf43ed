import assert from 'node:assert/strict';
import { parseAddress } from '../../runtime/network/addresses.ts';
import { ingressRules } from '../../runtime/network/ingress.ts';
import { MessageWriter, readMessages } from '../../runtime/network/netlink.ts';
import { emptyRuleset, listRows, listSets, planChange } from '../../runtime/network/ruleset.ts';
import { remoteTargets } from '../../runtime/network/ruleset-ingress.ts';
import { planFrames, wayRules } from '../../runtime/network/ruleset-ways.ts';
import { addMarkRule, hasMarkRule, putNode, readNodes, wayKey } from '../../runtime/network/way-messages.ts';
import { wayNodes } from '../../runtime/network/ways.ts';

const WAYS = { link: 'sw01234567', mtu: 1450, mark: 0x5a_0400 };
const elsewhere = { address: '192.0.2.2', port: 8080, wayPort: 4789 };
const map = (protocol: 'tcp' | 'udp', ...remote: { address: string; port: number; wayPort?: number }[]) => [
  { protocol, publishedPort: 8080, local: [], remote },
];
const setsOf = (ports: ReturnType<typeof map>) => {
  const ingress = ingressRules(ports);
  const sets = listSets({ ...emptyRuleset, ingress, remote: remoteTargets(ingress) });
  return [sets.get('ingress_kept')?.size, sets.get('ingress_itself')?.size, sets.get('ingress_remote')?.size];
};

describe('ways to other nodes', () => {
  it('are for TCP to nodes that can lead answers back', () => {
    assert.deepEqual(setsOf(map('tcp', elsewhere)), [1, 1, 1]);
    assert.deepEqual(setsOf(map('tcp', { address: '192.0.2.2', port: 8080 })), [0, 0, 1]);
    assert.deepEqual(setsOf(map('udp', elsewhere)), [0, 0, 1]);
    const keys = wayNodes([...map('tcp', elsewhere, { address: '192.0.2.3', port: 8080 }), ...map('udp', elsewhere)]);
    assert.deepEqual(keys.map(wayKey), ['192.0.2.2:4789']);
  });

  it('have rules only while there is a link, and leave the others as they are', () => {
    assert.deepEqual(wayRules(undefined), []);
    const [without, ways] = [listRows(emptyRuleset), listRows({ ...emptyRuleset, ways: WAYS })];
    assert.equal(without.get('way_asked'), undefined);
    assert.equal(ways.get('way_asked')?.length, 5);
    assert.equal(ways.get('postrouting')?.length, (without.get('postrouting')?.length ?? 0) + 1);
    assert.deepEqual(ways.get('publish'), without.get('publish'));
    assert.equal(planChange('t', { ...emptyRuleset, ways: WAYS }, { ...emptyRuleset, ways: { ...WAYS } }), undefined);
    assert.notEqual(planChange('t', emptyRuleset, { ...emptyRuleset, ways: WAYS }), undefined);
  });

  it('change the frames of their link alone', () => {
    const { rows } = planFrames('t', WAYS);
    assert.deepEqual([...rows.keys()], ['out', 'in']);
  });

  it('are read back as they were put', () => {
    const writer = new MessageWriter();
    const nodes = [4789, 4790].map((port, at) => ({ address: parseAddress(`192.0.2.${at + 2}`), port }));
    for (const node of nodes) putNode(writer, 7, node);
    const bytes = writer.finish();
    assert.deepEqual(readNodes(bytes, 7, 4789), nodes);
    assert.deepEqual(readNodes(bytes, 8, 4789), []);
    const rule = new MessageWriter();
    addMarkRule(rule, WAYS.mark);
    const asked = rule.finish();
    assert.equal([...readMessages(asked)].length, 1);
    assert.ok(hasMarkRule(asked, WAYS.mark));
    assert.ok(!hasMarkRule(asked, 0x5a_0404), 'of another daemon');
    assert.ok(!hasMarkRule(bytes, WAYS.mark));
  });
});
