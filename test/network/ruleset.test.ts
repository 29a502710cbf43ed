import assert from 'node:assert/strict';
import { parseAddress, parseAddress6, parseSubnet, parseSubnet6 } from '../../runtime/network/addresses.ts';
import { readAttributes, readMessages, readText } from '../../runtime/network/netlink.ts';
import {
  emptyRuleset,
  listRows,
  listSets,
  planChange,
  planRemoval,
  planReplacement,
  type Ruleset,
} from '../../runtime/network/ruleset.ts';
import { ingressKey, type IngressRule, remoteTargets } from '../../runtime/network/ruleset-ingress.ts';
import { type PublishedPort, publishedKey } from '../../runtime/network/ruleset-published.ts';

const KINDS: Readonly<Record<number, string>> = {
  16: 'begin',
  17: 'end',
  0xa00: 'table',
  0xa02: 'delete table',
  0xa03: 'chain',
  0xa05: 'delete chain',
  0xa06: 'rule',
  0xa08: 'flush',
  0xa09: 'set',
  0xa0c: 'elements',
  0xa0e: 'delete elements',
};

/** A transaction as lines: what is done, and to what. */
function outline(bytes: Buffer | undefined): string[] {
  return [...readMessages(bytes ?? Buffer.alloc(0))].map(({ type, body }) => {
    const attributes = readAttributes(body.subarray(4));
    const name = type === 0xa03 || type === 0xa05 ? attributes.get(3) : attributes.get(2);
    return [KINDS[type] ?? `type ${type}`, name && type !== 0xa00 ? readText(name) : ''].join(' ').trim();
  });
}

/** The expressions of all rules of a chain, in hexadecimal. */
function rulesOf(bytes: Buffer, chain: string): string[] {
  return [...readMessages(bytes)]
    .filter((message) => message.type === 0xa06)
    .map((message) => readAttributes(message.body.subarray(4)))
    .filter((attributes) => readText(attributes.get(2)) === chain)
    .map((attributes) => attributes.get(4)?.toString('hex') ?? '');
}

const bridge = {
  name: 'br0',
  subnets: [parseSubnet('172.17.0.0/20')],
  subnets6: [],
  internal: false,
  masquerade: true,
  talkInside: true,
};

const port = (hostPort: number, address: string, hostAddress = 0): PublishedPort => ({
  protocol: 'tcp',
  hostAddress,
  hostPort,
  to: { address: parseAddress(address), port: 80 },
});

const service = (number: number, addresses: readonly string[], remote = false): IngressRule => ({
  protocol: 'tcp',
  port: number,
  remote,
  targets: addresses.map((address) => ({ address: parseAddress(address), port: 80 })),
});

const ruleset = (more: {
  published?: PublishedPort[];
  ingress?: IngressRule[];
  bridges?: Ruleset['bridges'];
}): Ruleset => ({
  bridges: more.bridges ?? [],
  published: new Map(more.published?.map((entry) => [publishedKey(entry), entry])),
  ingress6: new Map(),
  ...withRemote(new Map(more.ingress?.map((entry) => [ingressKey(entry), entry]))),
});

const withRemote = (ingress: Ruleset['ingress']): Pick<Ruleset, 'ingress' | 'remote'> => ({
  ingress,
  remote: remoteTargets(ingress),
});

const NUMGEN = Buffer.from('numgen').toString('hex');
/** What nft 1.0.6 sends for `jhash ip saddr mod 256 seed 0x5a0a1000`, by the first register alone. */
const SOURCE_HASHED = [
  '340001800c0001007061796c6f61640024000280',
  '08000100000000010800020000000001080003000000000c0800040000000004',
  '4c0001800900010068617368000000003c000280',
  '0800010000000001080002000000000108000300000000040800040000000100',
  '080005005a0a100008000600000000000800070000000000',
].join('');

const change = (from: Ruleset, to: Ruleset): string[] => outline(planChange('t', from, to)).slice(1, -2);

describe('the packet rules', () => {
  // What nft 1.0.6 sends for the rule in the title, taken from the wire.
  const FROM_NFT: [chain: string, rule: string, hex: string][] = [
    [
      'prerouting',
      'meta nfproto ipv4 fib daddr type local jump publish',
      '24000180090001006d6574610000000014000280080002000000000f08000100000000012c00018008000100636d700020000280080001000000000108000200000000000c00038005000100020000002800018008000100666962001c0002800800030000000002080002000000000308000100000000012c00018008000100636d700020000280080001000000000108000200000000000c00038008000100020000003c0001800e000100696d6d6564696174650000002800028008000100000000001c0002801800028008000100fffffffd0c0002007075626c69736800',
    ],
    [
      'into_bridge',
      'ct status dnat accept',
      '2000018007000100637400001400028008000200000000020800010000000001440001800c0001006269747769736500340002800800010000000001080002000000000108000300000000040c00048008000100200000000c00058008000100000000002c00018008000100636d700020000280080001000000000108000200000000010c0003800800010000000000300001800e000100696d6d6564696174650000001c0002800800010000000000100002800c0002800800010000000001',
    ],
    [
      'out_of_bridge',
      'ct state invalid drop',
      '2000018007000100637400001400028008000200000000000800010000000001440001800c0001006269747769736500340002800800010000000001080002000000000108000300000000040c00048008000100010000000c00058008000100000000002c00018008000100636d700020000280080001000000000108000200000000010c0003800800010000000000300001800e000100696d6d6564696174650000001c0002800800010000000000100002800c0002800800010000000000',
    ],
    [
      'postrouting',
      'oifname != "br0" ip saddr 172.17.0.0/20 masquerade',
      '24000180090001006d6574610000000014000280080002000000000708000100000000013800018008000100636d70002c0002800800010000000001080002000000000118000380140001006272300000000000000000000000000024000180090001006d6574610000000014000280080002000000000f08000100000000012c00018008000100636d700020000280080001000000000108000200000000000c0003800500010002000000340001800c0001007061796c6f6164002400028008000100000000010800020000000001080003000000000c0800040000000004440001800c0001006269747769736500340002800800010000000001080002000000000108000300000000040c00048008000100fffff0000c00058008000100000000002c00018008000100636d700020000280080001000000000108000200000000000c00038008000100ac11000014000180090001006d6173710000000004000280',
    ],
  ];
  for (const [chain, rule, hex] of FROM_NFT) {
    it(`has in ${chain}: ${rule}`, () => {
      assert.ok(rulesOf(planReplacement('t', ruleset({ bridges: [bridge] })), chain).includes(hex));
    });
  }

  it('passes a connection on to another node at most twice: ip ttl <= 21 return', () => {
    const hex =
      '24000180090001006d6574610000000014000280080002000000000f08000100000000012c00018008000100636d700020000280080001000000000108000200000000000c0003800500010002000000340001800c0001007061796c6f6164002400028008000100000000010800020000000001080003000000000808000400000000012c00018008000100636d700020000280080001000000000108000200000000030c0003800500010015000000300001800e000100696d6d6564696174650000001c0002800800010000000000100002800c00028008000100fffffffb';
    const rules = (remote: boolean): string[] =>
      rulesOf(planReplacement('t', ruleset({ ingress: [service(90, ['192.0.2.7'], remote)] })), 'ingress_tcp_90');
    assert.equal(rules(true)[0], hex);
    assert.equal(rules(false).length, 1);
  });

  it('replaces the whole table in one transaction', () => {
    const lines = outline(planReplacement('t', ruleset({ bridges: [bridge] })));
    assert.deepEqual(lines.slice(0, 4), ['begin', 'table', 'delete table', 'table']);
    assert.deepEqual(lines.slice(-2), ['table', 'end']);
    assert.equal(lines.filter((line) => line === 'begin' || line === 'end').length, 2);
  });

  it('sends nothing when nothing changed', () => {
    const some = ruleset({
      bridges: [bridge],
      published: [port(80, '10.0.0.2')],
      ingress: [service(90, ['10.0.0.3'])],
    });
    assert.equal(planChange('t', some, structuredClone(some)), undefined);
    assert.equal(planChange('t', emptyRuleset, ruleset({})), undefined);
  });

  it('knows the ports of services that nobody serves at the moment, and who the nodes are', () => {
    assert.deepEqual(change(emptyRuleset, ruleset({ ingress: [service(90, [])] })), ['elements ingress_tcp']);
    const known = (...peers: number[]): Ruleset => ({
      ...emptyRuleset,
      dataPort: { port: 4789, ...(peers.length > 0 && { peers: new Set(peers) }) },
    });
    assert.equal(change(known(), known(1)).filter((line) => line === 'rule input').length, 3);
    assert.deepEqual(change(known(1, 2), known(2, 3)), ['delete elements peers', 'elements peers']);
    assert.deepEqual([...(listSets(known(0x0a000001)).get('peers') ?? [])], ['0a000001']);
    assert.equal(planChange('t', known(1), known(1)), undefined);
  });

  it('changes only the ports that changed', () => {
    const from = ruleset({ published: [port(80, '10.0.0.2'), port(81, '10.0.0.3'), port(82, '10.0.0.4', 7)] });
    const to = ruleset({ published: [port(80, '10.0.0.2'), port(81, '10.0.0.9')] });
    assert.deepEqual(change(from, to), [
      'delete elements published',
      'elements published',
      'delete elements published_on_address',
    ]);
  });

  it('makes a new service known only after its chain is whole', () => {
    assert.deepEqual(change(emptyRuleset, ruleset({ ingress: [service(90, ['10.0.0.3', '10.0.0.4'])] })), [
      'elements ingress_tcp',
      'chain ingress_tcp_90',
      'set __map%d',
      'elements __map%d',
      'rule ingress_tcp_90',
      'rule ingress_tcp_90',
      'elements ingress',
    ]);
  });

  it('replaces the targets of one service without touching another', () => {
    const [from, to] = [['10.0.0.3', '10.0.0.4'], ['10.0.0.4']].map((addresses) =>
      ruleset({ ingress: [service(90, addresses), service(91, ['10.0.0.5', '10.0.0.6'])] }),
    );
    assert.ok(from && to);
    assert.deepEqual(change(from, to), ['flush ingress_tcp_90', 'rule ingress_tcp_90']);
  });

  it('takes a service away when it has no targets left', () => {
    const from = ruleset({ ingress: [service(90, ['10.0.0.3'])] });
    const removal = ['delete elements ingress', 'flush ingress_tcp_90', 'delete chain ingress_tcp_90'];
    assert.deepEqual(change(from, ruleset({ ingress: [service(90, [])] })), removal);
    assert.deepEqual(change(from, emptyRuleset), ['delete elements ingress_tcp', ...removal]);
  });

  it('knows the targets on other nodes, each once', () => {
    const far = ruleset({ ingress: [service(90, ['192.0.2.7'], true), service(91, ['192.0.2.7'], true)] });
    assert.ok(change(emptyRuleset, far).includes('elements ingress_remote'));
    const one = ruleset({ ingress: [service(90, ['192.0.2.7'], true)] });
    assert.ok(!change(far, one).includes('delete elements ingress_remote'));
    assert.ok(
      change(one, ruleset({ ingress: [service(90, ['192.0.2.7'])] })).includes('delete elements ingress_remote'),
    );
  });

  it('renews the rules of the bridges when one comes or goes', () => {
    const lines = change(emptyRuleset, ruleset({ bridges: [bridge] }));
    assert.deepEqual(lines.slice(0, 3), ['flush input', 'flush forward', 'flush postrouting']);
    assert.equal(lines.filter((line) => line.startsWith('rule loopback')).length, 0);
    assert.equal(lines.filter((line) => line === 'rule forward').length, 3);
    assert.equal(lines.filter((line) => line === 'rule postrouting').length, 4);
    assert.deepEqual(lines.slice(-2), ['elements bridges', 'elements bridges_inside']);
  });

  it('has as many rules that every packet passes for many bridges as for one', () => {
    const named = (name: string, more = {}): typeof bridge => ({ ...bridge, name, ...more });
    const bridges = [named('b'), named('c', { internal: true }), named('d', { talkInside: false })];
    const [one, many] = [[bridge], bridges].map((some) => ({
      ...ruleset({ bridges: some }),
      dataPort: { port: 4789 },
    }));
    for (const chain of ['forward', 'input', 'into_bridge', 'out_of_bridge']) {
      assert.deepEqual(listRows(many as Ruleset).get(chain), listRows(one as Ruleset).get(chain));
    }
    const names = (set: string): string[] =>
      [...(listSets(many as Ruleset).get(set) ?? [])].map((hex) =>
        Buffer.from(hex, 'hex').toString().replaceAll('\0', ''),
      );
    assert.deepEqual(
      [names('bridges'), names('bridges_internal'), names('bridges_inside')],
      [['b', 'c', 'd'], ['c'], ['bb', 'cc']],
    );
    const gone = change(many as Ruleset, one as Ruleset);
    assert.ok(
      ['bridges', 'bridges_internal', 'bridges_inside'].every((set) => gone.includes(`delete elements ${set}`)),
    );
  });

  it('has for IPv6 a port in each family of its own, and the way of ::1 while a bridge has an address', () => {
    const six = { ...bridge, subnets6: [parseSubnet6('fd00:1::/64')], gateway6: parseAddress6('fd00:1::1') };
    const to = { address: parseAddress6('fd00:1::2'), port: 80 };
    const on = (hostAddress: bigint): PublishedPort => ({ protocol: 'tcp', hostAddress, hostPort: 80, to });
    const published = [port(80, '10.0.0.2'), on(0n), on(1n)];
    const lines = change(emptyRuleset, ruleset({ bridges: [six], published }));
    const counts = (prefix: string): number => lines.filter((line) => line === prefix).length;
    assert.deepEqual([counts('rule loopback'), counts('rule loopback_back'), counts('rule postrouting')], [3, 1, 7]);
    const sets = listSets(ruleset({ published }));
    assert.deepEqual([...(sets.get('published') ?? [])], ['0600000000500000:0a00000200500000']);
    const target = 'fd000001000000000000000000000002' + '00500000';
    assert.deepEqual([...(sets.get('published6') ?? [])], [`0600000000500000:${target}`]);
    // Who asks at ::1 is seen to ask at an address that no wire has.
    const door = 'fd53686f616c00000000000000000001';
    assert.deepEqual([...(sets.get('published6_on_address') ?? [])], [`${door}0600000000500000:${target}`]);
  });

  it('plans 50 services of 100 targets without an attribute that overflows', () => {
    const addresses = Array.from({ length: 3_000 }, (_, index) => `10.1.${index >> 8}.${index & 255}`);
    const many = Array.from({ length: 50 }, (_, index) => service(8000 + index, addresses.slice(0, 100)));
    const bytes = planReplacement('t', ruleset({ ingress: [...many, service(9000, addresses)] }));
    assert.equal(outline(bytes).filter((line) => line === 'elements __map%d').length, 53);
  });

  it('chooses by the client’s address where a service keeps its clients', () => {
    const addresses = ['172.17.0.2', '172.17.0.3', '172.17.0.4'];
    const any = service(8080, addresses);
    const kept: IngressRule = { ...any, byClient: true };
    const [randomly, byClient] = [any, kept].map((rule) => ruleset({ ingress: [rule] })) as [Ruleset, Ruleset];
    const [rule = '', constant] = rulesOf(planReplacement('t', byClient), 'ingress_tcp_8080');
    assert.ok(rule.includes(SOURCE_HASHED) && !rule.includes(NUMGEN), rule);
    assert.ok(constant, 'packets that are under way find the constant');
    const [random = ''] = rulesOf(planReplacement('t', randomly), 'ingress_tcp_8080');
    assert.ok(random.includes(NUMGEN) && !random.includes(SOURCE_HASHED));
    const replaced = ['flush ingress_tcp_8080', 'set __map%d', 'elements __map%d'];
    for (const [from, to] of [
      [randomly, byClient],
      [byClient, randomly],
    ] as const) {
      assert.deepEqual(change(from, to).slice(0, 3), replaced);
    }
    assert.deepEqual(change(byClient, ruleset({ ingress: [{ ...kept }] })), []);
    const mark = (of: Ruleset) => listRows(of).get('ingress_tcp_8080')?.[0];
    assert.notEqual(mark(byClient), mark(randomly), 'the audit tells them apart');
  });

  it('removes its table, also when it is not there', () => {
    assert.deepEqual(outline(planRemoval('t')), ['begin', 'table', 'delete table', 'end']);
  });
});
