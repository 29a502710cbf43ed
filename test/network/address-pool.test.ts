import assert from 'node:assert/strict';
import { seededRandom } from '../../base/random.ts';
import { AddressPool } from '../../runtime/network/address-pool.ts';
import { formatAddress, parseAddress, parseSubnet } from '../../runtime/network/addresses.ts';

const pool = (text: string): AddressPool => {
  const subnet = parseSubnet(text);
  return new AddressPool(subnet, subnet.base + 1);
};

describe('address pool', () => {
  it('hands out addresses in order, never network, gateway or broadcast', () => {
    const addresses = pool('10.0.0.0/29');
    const given = Array.from({ length: 5 }, () => formatAddress(addresses.take(0)));
    assert.deepEqual(given, ['10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6']);
    assert.throws(() => addresses.take(0), { code: 'exhausted', message: /10\.0\.0\.0\/29 is full/ });
  });

  it('lets a freed address rest for half a minute', () => {
    const addresses = pool('10.0.0.0/29');
    const first = addresses.take(0);
    addresses.take(0);
    addresses.release(first, 0);
    const next = Array.from({ length: 3 }, () => formatAddress(addresses.take(1_000)));
    assert.ok(!next.includes(formatAddress(first)));
    assert.equal(addresses.take(30_000), first);
  });

  it('gives the longest rested address when nothing else is free', () => {
    const addresses = pool('10.0.0.0/29');
    const given = Array.from({ length: 5 }, () => addresses.take(0));
    addresses.release(given[3] ?? 0, 1);
    addresses.release(given[1] ?? 0, 2);
    assert.equal(addresses.take(3), given[3]);
    assert.equal(addresses.take(3), given[1]);
  });

  it('grants an address that is asked for once, and again while it rests', () => {
    const addresses = pool('10.0.0.0/24');
    const wanted = parseAddress('10.0.0.77');
    addresses.claim(wanted);
    assert.throws(() => addresses.claim(wanted), { code: 'conflict' });
    addresses.release(wanted, 0);
    addresses.claim(wanted);
    assert.throws(() => addresses.claim(parseAddress('10.0.0.1')), { code: 'conflict' });
    assert.throws(() => addresses.claim(parseAddress('10.0.1.1')), { code: 'invalid' });
  });

  it('never gives one address to two holders, over many steps', () => {
    const random = seededRandom(11);
    const addresses = pool('10.0.0.0/25');
    const total = addresses.freeCount;
    const held = new Set<number>();
    for (let step = 0; step < 20_000; step++) {
      if (held.size < total && random.below(2) === 0) {
        const address = addresses.take(step * 10);
        assert.ok(!held.has(address));
        held.add(address);
      } else {
        const [some] = held;
        if (some === undefined) continue;
        held.delete(some);
        addresses.release(some, step * 10);
      }
    }
    for (const address of held) addresses.release(address, 1e9);
    for (let count = 0; count < total; count++) addresses.take(2e9);
    assert.throws(() => addresses.take(2e9), { code: 'exhausted' });
  });
});
