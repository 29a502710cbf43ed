import { macOfAddress } from '../../base/ipv4.ts';
import assert from 'node:assert/strict';
import {
  contains,
  formatAddress,
  formatSubnet,
  freeSubnet,
  overlaps,
  parseAddress,
  parseMac,
  parseSubnet,
} from '../../runtime/network/addresses.ts';

describe('addresses', () => {
  for (const text of ['0.0.0.0', '10.1.2.3', '172.17.0.2', '255.255.255.255']) {
    it(`reads and writes ${text}`, () => assert.equal(formatAddress(parseAddress(text)), text));
  }
  for (const text of ['', '1.2.3', '1.2.3.256', '1.2.3.4.5', 'a.b.c.d', '1.2.3.4 ', '::1']) {
    it(`refuses '${text}' as an address`, () => assert.throws(() => parseAddress(text), { code: 'invalid' }));
  }
  for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0.1/24', '10.0.0.0/x']) {
    it(`refuses '${text}' as a subnet`, () => assert.throws(() => parseSubnet(text), { code: 'invalid' }));
  }

  it('knows what lies in a subnet, also at both ends of the address space', () => {
    assert.ok(contains(parseSubnet('192.168.0.0/16'), parseAddress('192.168.255.255')));
    assert.ok(!contains(parseSubnet('192.168.0.0/16'), parseAddress('192.169.0.0')));
    assert.ok(contains(parseSubnet('0.0.0.0/0'), parseAddress('255.255.255.255')));
  });

  it('sees that a subnet overlaps one inside it, in both orders', () => {
    const [wide, narrow] = [parseSubnet('172.16.0.0/12'), parseSubnet('172.17.0.0/16')];
    assert.ok(overlaps(wide, narrow) && overlaps(narrow, wide));
    assert.ok(!overlaps(narrow, parseSubnet('172.18.0.0/16')));
  });

  it('takes the first of the default pools that nothing uses', () => {
    assert.equal(formatSubnet(freeSubnet([])), '172.17.0.0/16');
    assert.equal(formatSubnet(freeSubnet([parseSubnet('172.17.5.0/24')])), '172.18.0.0/16');
    assert.equal(formatSubnet(freeSubnet([parseSubnet('172.16.0.0/12')])), '192.168.0.0/20');
    assert.throws(() => freeSubnet([parseSubnet('0.0.0.0/0')]), { code: 'exhausted' });
  });

  it('makes the MAC address from the IPv4 address', () => {
    assert.equal(macOfAddress(parseAddress('172.17.0.2')), '02:42:ac:11:00:02');
    assert.throws(() => parseMac('01:00:00:00:00:01'), /multicast/);
    assert.throws(() => parseMac('02:42'), { code: 'invalid' });
  });
});
