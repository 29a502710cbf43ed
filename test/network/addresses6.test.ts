import assert from 'node:assert/strict';
import { AddressPool6 } from '../../runtime/network/address-pool6.ts';
import {
  contains6,
  formatAddress6,
  formatHost,
  formatSubnet6,
  overlaps6,
  parseAddress6,
  parseIp,
  parseSubnet6,
} from '../../runtime/network/addresses.ts';
import { NetworkAddresses6 } from '../../runtime/network/network-addresses6.ts';
import { checkedPools6 } from '../../runtime/network/pool-request.ts';

const pool = (text: string, range?: string): AddressPool6 => {
  const subnet = parseSubnet6(text);
  return new AddressPool6(subnet, [subnet.base + 1n], range === undefined ? undefined : parseSubnet6(range));
};
const text = (address: bigint | undefined): string => (address === undefined ? 'none' : formatAddress6(address));

describe('IPv6 subnets', () => {
  for (const subnet of ['fd00:1::/64', '::/0', 'fd00::8/125', '2001:db8::1/128']) {
    it(`reads and writes ${subnet}`, () => assert.equal(formatSubnet6(parseSubnet6(subnet)), subnet));
  }
  for (const subnet of ['fd00::1/64', 'fd00::/129', 'fd00::', 'fd00::/x', '10.0.0.0/8', 'fe80::%1/64']) {
    it(`refuses '${subnet}'`, () => assert.throws(() => parseSubnet6(subnet), { code: 'invalid' }));
  }

  it('know what lies in them, and overlap in both orders', () => {
    const [wide, narrow] = [parseSubnet6('fd00::/16'), parseSubnet6('fd00:1::/64')];
    assert.ok(contains6(wide, parseAddress6('fd00:ffff::1')) && !contains6(wide, parseAddress6('fd01::')));
    assert.ok(overlaps6(wide, narrow) && overlaps6(narrow, wide) && !overlaps6(narrow, parseSubnet6('fd00:2::/64')));
  });

  it('stand before a port in brackets', () => {
    assert.deepEqual(
      ['::1', '10.0.0.1'].map((each) => formatHost(parseIp(each))),
      ['[::1]', '10.0.0.1'],
    );
  });
});

describe('a pool of IPv6 addresses', () => {
  it('hands them out in order and never the gateway, to the last', () => {
    const addresses = pool('fd00::/125');
    const given = Array.from({ length: 7 }, () => text(addresses.tryTake(0)));
    assert.deepEqual(given, ['fd00::2', 'fd00::3', 'fd00::4', 'fd00::5', 'fd00::6', 'fd00::7', 'none']);
  });

  it('lets a freed one rest for half a minute, unless nothing else is left', () => {
    const addresses = pool('fd00::/126');
    const [first, second] = [addresses.tryTake(0) ?? 0n, addresses.tryTake(0) ?? 0n];
    addresses.release(second, 10);
    addresses.release(first, 20);
    assert.equal(text(addresses.tryTake(30_009)), 'none');
    assert.equal(text(addresses.tryTakeTired(30_009)), text(second));
    assert.equal(text(addresses.tryTake(30_019)), 'none');
    assert.equal(text(addresses.tryTake(30_020)), text(first));
  });

  it('chooses from the range, and takes others that are asked for', () => {
    const addresses = pool('fd00::/64', 'fd00::10/124');
    assert.equal(text(addresses.tryTakeAt(2n, 0)), 'none');
    assert.equal(text(addresses.tryTakeAt(0x12n, 0)), 'fd00::12');
    assert.deepEqual([text(addresses.tryTake(0)), text(addresses.tryTake(0))], ['fd00::10', 'fd00::11']);
    addresses.claim(parseAddress6('fd00::2'));
    assert.throws(() => addresses.claim(parseAddress6('fd00::2')), { code: 'conflict' });
    assert.throws(() => addresses.claim(parseAddress6('fd00::1')), { code: 'conflict' });
    assert.equal(text(addresses.tryTake(0)), 'fd00::13');
  });
});

describe('the IPv6 addresses of a network', () => {
  const networkOf = (...subnets: string[]): NetworkAddresses6 =>
    new NetworkAddresses6(
      'red',
      checkedPools6(
        subnets.map((subnet) => ({ subnet })),
        [],
      ),
    );

  it('follow the IPv4 address, and avoid what is taken', () => {
    const addresses = networkOf('fd00::/64');
    assert.equal(text(addresses.take(0, 7)), 'fd00::7');
    assert.equal(text(addresses.take(0, 7)), 'fd00::2');
    assert.equal(text(addresses.take(0, 1)), 'fd00::3'); // the first is the gateway
    addresses.release(parseAddress6('fd00::7'), 0);
    assert.equal(text(addresses.take(1_000, 7)), 'fd00::4'); // it rests
  });

  it('go on in the next subnet, and say by name when all are full', () => {
    const addresses = networkOf('fd00::/126', 'fd01::/126');
    const given = [9, 9, 9, 9].map((offset) => text(addresses.take(0, offset)));
    assert.deepEqual(given, ['fd00::2', 'fd00::3', 'fd01::2', 'fd01::3']);
    assert.throws(() => addresses.take(0, 9), {
      code: 'exhausted',
      message: /IPv6.*network red \(fd00::\/126, fd01::\/126\)/,
    });
    assert.equal(formatAddress6(addresses.placeOf(parseAddress6('fd01::2')).gateway), 'fd01::1');
    assert.throws(() => addresses.claim(parseAddress6('fd02::2')), {
      code: 'invalid',
      message: /network red has fd00/,
    });
  });

  for (const [why, asked] of [
    ['a gateway elsewhere', { subnet: 'fd00::/64', gateway: 'fd01::1' }],
    ['a range elsewhere', { subnet: 'fd00::/64', range: 'fd01::/80' }],
    ['no room', { subnet: 'fd00::/127' }],
    ['IPv4 in IPv6', { subnet: 'fd00::/64', auxiliary: { nas: '10.0.0.1' } }],
  ] as const) {
    it(`are refused for ${why}`, () => assert.throws(() => checkedPools6([asked], []), { code: 'invalid' }));
  }
});
