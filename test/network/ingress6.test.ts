import assert from 'node:assert/strict';
import { formatAddress6, parseAddress, parseAddress6 } from '../../runtime/network/addresses.ts';
import type { IngressPort } from '../../runtime/network/contract.ts';
import { ingressRules6, staleDatagrams } from '../../runtime/network/ingress.ts';
import { emptyRuleset, listRows, listSets } from '../../runtime/network/ruleset.ts';
import { wayRules6 } from '../../runtime/network/ruleset-ways6.ts';
import { nodeOfSix, nodeSix, tasksSubnet } from '../../runtime/network/way-addresses.ts';
import { MessageWriter } from '../../runtime/network/netlink.ts';
import { hasGateway6, putRoutes6, readRoutes6 } from '../../runtime/network/way-messages.ts';

const NODE = { address: parseAddress('192.0.2.2'), port: 4789 };
const TASK = 'fd53:7461:1:2::3';

const service = (
  local: readonly string[],
  remote: IngressPort['remote'],
  protocol: 'tcp' | 'udp' = 'tcp',
): IngressPort => ({
  protocol,
  publishedPort: 8080,
  local: local.map((address6) => ({ taskId: 't', address: '172.17.0.3', ...(address6 && { address6 }), port: 80 })),
  remote,
});
const far = { address: '192.0.2.2', port: 8080, wayPort: 4789 };

describe('ingress by IPv6', () => {
  it('finds nodes by addresses that follow from those of IPv4', () => {
    assert.equal(formatAddress6(nodeSix(NODE)), 'fd53:6e6f:6465:12b5::c000:202');
    assert.equal(nodeOfSix(nodeSix(NODE)), NODE.address);
    assert.equal(formatAddress6(tasksSubnet('0a0b0c0d').base), 'fd53:7461:a0b:c0d::');
  });

  it('leads to own tasks that have it, or to nodes that take it', () => {
    const rulesOf = (port: IngressPort, answers = true) =>
      ingressRules6([port], (node) => (answers ? nodeSix(node) : undefined)).get('tcp/8080');
    assert.deepEqual(rulesOf(service([TASK], [far]))?.targets, [{ address: parseAddress6(TASK), port: 80 }]);
    const elsewhere = [{ address: nodeSix(NODE), port: 8080 }];
    assert.deepEqual(rulesOf(service([], [far]))?.targets, elsewhere);
    assert.deepEqual(rulesOf(service([''], [far]))?.targets, elsewhere, 'a task from before there was IPv6');
    assert.deepEqual(rulesOf(service([], [far]), false)?.targets, []);
    assert.deepEqual(rulesOf(service([], [{ address: '192.0.2.2', port: 8080 }]))?.targets, []);
  });

  it('has a rule, a chain and elements for what leads somewhere, and nothing else', () => {
    const ruleset = (port: IngressPort) => ({ ...emptyRuleset, ingress6: ingressRules6([port], nodeSix) });
    const [some, none] = [ruleset(service([TASK], [])), ruleset(service([], []))];
    assert.deepEqual([listSets(some).get('ingress6')?.size, listSets(some).get('ingress6_ports')?.size], [1, 1]);
    assert.deepEqual([listSets(none).get('ingress6')?.size, listSets(none).get('ingress6_ports')?.size], [0, 0]);
    assert.equal(listRows(some).get('ingress6_tcp_8080')?.length, 1);
    assert.equal(listRows(none).get('ingress6_tcp_8080'), undefined);
    assert.equal(listRows(ruleset(service([], [far]))).get('ingress6_tcp_8080')?.length, 2, 'and one against circles');
  });

  it('makes the kernel forget datagrams of IPv6 alone', () => {
    const rules = (local: readonly string[]) => ingressRules6([service(local, [], 'udp')], nodeSix);
    assert.deepEqual(staleDatagrams(rules([TASK]), rules([]), 6), [
      { protocol: 'udp', askedPort: 8080, serverAddress: parseAddress6(TASK), serverPort: 80 },
    ]);
    assert.deepEqual(staleDatagrams(new Map(), rules([TASK]), 6), [{ protocol: 'udp', askedPort: 8080, family: 6 }]);
  });

  it('has rules for the link to other nodes while that carries it', () => {
    const way = { link: 'sw01234567', mtu: 1450, mark: 0x5a_0400 };
    assert.deepEqual(wayRules6(way), []);
    const added = wayRules6({ ...way, six: true }).map(([chain]) => chain);
    assert.deepEqual(added, [
      ...new Array<string>(3).fill('way_zones'),
      ...new Array<string>(2).fill('postrouting'),
      ...new Array<string>(4).fill('way_out'),
    ]);
  });

  it('knows its routes again', () => {
    const writer = new MessageWriter();
    putRoutes6(writer, 7, 0x5a_0400, [4789, 4790]);
    const bytes = writer.finish();
    const found = readRoutes6(bytes, 7, 0x5a_0400, [4789, 4790, 4791]);
    assert.deepEqual([found.answers, [...found.ports]], [true, [4789, 4790]]);
    assert.deepEqual(readRoutes6(bytes, 8, 0x5a_0400, [4789]), { answers: false, ports: new Set() });
    assert.deepEqual([hasGateway6(bytes, 7), hasGateway6(bytes, 8)], [true, false]);
  });
});
