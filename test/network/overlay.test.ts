import assert from 'node:assert/strict';
import type { OverlayState } from '../../runtime/network/contract.ts';
import { parseAddress } from '../../runtime/network/addresses.ts';
import { filterInSix, wantedOf, withdrawnIn } from '../../runtime/network/overlay-wanted.ts';
import { putRow, readRows, type Row, rowKey } from '../../runtime/network/overlay-messages.ts';
import { planOverlayChange, planOverlayReplacement } from '../../runtime/network/overlay-ruleset.ts';
import { MessageWriter } from '../../runtime/network/netlink.ts';

const GATEWAY = parseAddress('10.0.1.1');
const network = {
  id: 'n',
  name: 'back',
  vni: 5,
  port: 0,
  subnet: '10.0.1.0/24',
  gateway: '10.0.1.1',
  internal: false,
  attachable: false,
  options: {},
};
const stateOf = (more: Partial<OverlayState>): OverlayState => ({
  network,
  endpoints: [],
  services: [],
  names: [],
  ...more,
});

describe('what a sandbox is to know', () => {
  it('is three rows for each container elsewhere, and none for those here', () => {
    const node = { id: 'n2', address: '192.0.2.2', port: 4789 };
    const endpoints = [
      { address: '10.0.1.3', lost: false },
      { address: '10.0.1.4', lost: false, node },
    ];
    const { rows, rules } = wantedOf(stateOf({ endpoints }), { gateway: GATEWAY });
    assert.deepEqual([...rows.keys()], ['neighbour 10.0.1.4', 'port 10.0.1.4', 'tunnel 10.0.1.4 192.0.2.2 4789']);
    assert.deepEqual([...rules.local], [parseAddress('10.0.1.3')]);
  });

  it('is what a service’s address means, in one order whatever the order it was told in', () => {
    const told = (targets: string[]) =>
      wantedOf(stateOf({ services: [{ virtualAddress: '10.0.1.2', targets }] }), { gateway: GATEWAY });
    const [one, other] = [told(['10.0.1.4', '10.0.1.3']), told(['10.0.1.3', '10.0.1.4', '10.0.1.3'])];
    assert.deepEqual(one, other);
    assert.equal(planOverlayChange(one.rules, other.rules), undefined, 'nothing to do');
    assert.deepEqual([...one.rows.keys()], ['virtual 10.0.1.2']);
  });

  it('is whose clients stay with a task', () => {
    const services = [
      { virtualAddress: '10.0.1.2', targets: ['10.0.1.3'], affinity: 'client-address' },
      { virtualAddress: '10.0.1.9', targets: ['10.0.1.3'] },
    ] as const;
    const { rules } = wantedOf(stateOf({ services }), { gateway: GATEWAY });
    assert.deepEqual([...rules.byClient], [parseAddress('10.0.1.2')]);
  });

  it('comes back from the kernel as it was written', () => {
    const rows: Row[] = [
      { kind: 'neighbour', address: parseAddress('10.0.1.4') },
      { kind: 'port', address: parseAddress('10.0.1.4') },
      { kind: 'tunnel', address: parseAddress('10.0.1.4'), node: parseAddress('192.0.2.2'), port: 4789 },
      { kind: 'tunnel', address: parseAddress('10.0.1.5'), node: parseAddress('192.0.2.3'), port: 4790 },
    ];
    const writer = new MessageWriter();
    for (const row of rows) putRow(writer, row);
    assert.deepEqual(readRows(writer.finish()).map(rowKey), rows.map(rowKey));
  });

  it('changes when a service begins to keep its clients, and not again', () => {
    const rules = (...byClient: number[]) => ({
      services: new Map([[1, [3, 4]]]),
      byClient: new Set(byClient),
      local: new Set<number>(),
      gateway: GATEWAY,
    });
    const plan = planOverlayChange(rules(), rules(1));
    assert.ok(plan?.includes('hash') && !plan.includes('numgen'));
    assert.equal(planOverlayChange(rules(1), rules(1)), undefined);
    assert.ok(planOverlayChange(rules(1), rules())?.includes('numgen'));
  });

  it('changes in one transaction, a service that lost its last task included', () => {
    const rules = (targets: number[]) => ({
      services: new Map([[1, targets]]),
      byClient: new Set<number>(),
      local: new Set<number>(),
      gateway: GATEWAY,
    });
    assert.ok(planOverlayReplacement(rules([3, 4])).length > 0);
    assert.ok(planOverlayChange(rules([3, 4]), rules([])));
    assert.equal(planOverlayChange(rules([]), rules([])), undefined);
    assert.ok(planOverlayChange(rules([]), rules([3])));
  });
});

describe('datagrams that move on', () => {
  const stateWith = (...targets: string[]): OverlayState =>
    stateOf({ services: [{ virtualAddress: '10.0.1.2', targets }] });
  const many = (from: number): string[] => Array.from({ length: 20 }, (_, at) => `10.0.1.${from + at}`);
  const asked = { protocol: 'udp', askedAddress: parseAddress('10.0.1.2') };
  const toServer = (address: string) => ({ ...asked, serverAddress: parseAddress(address) });

  it('are those of targets that left, whoever else stays', () => {
    const filters = withdrawnIn(stateWith('10.0.1.9', ...many(20)), stateWith('10.0.1.9', '10.0.1.10'));
    assert.deepEqual(filters, many(20).map(toServer));
    assert.deepEqual(withdrawnIn(stateWith('10.0.1.9'), stateWith()), [toServer('10.0.1.9')]);
  });

  it('are all that asked for the service where many left and none stayed', () => {
    const filters = withdrawnIn(stateWith(...many(20)), stateWith(...many(40)));
    assert.deepEqual(filters, [asked]);
  });

  it('are looked for by IPv6, too', () => {
    const base = parseAddress('10.0.1.0');
    const base6 = 0xfd00n << 112n;
    const six = [{ four: { base, prefixLength: 24 }, from: base, six: { base: base6, prefixLength: 64 } }];
    assert.deepEqual(filterInSix({ askedAddress: base + 2 }, six), { askedAddress: base6 + 2n });
    assert.deepEqual(filterInSix({ protocol: 'udp', serverAddress: base + 9 }, six), {
      protocol: 'udp',
      serverAddress: base6 + 9n,
    });
  });
});
