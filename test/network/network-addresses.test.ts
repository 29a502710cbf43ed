import assert from 'node:assert/strict';
import { formatAddress, parseAddress } from '../../runtime/network/addresses.ts';
import { NetworkAddresses } from '../../runtime/network/network-addresses.ts';
import { checkedPools } from '../../runtime/network/pool-request.ts';
import { parseSubnet } from '../../runtime/network/addresses.ts';
import { seededRandom } from '../../base/random.ts';

const pool = (subnet: string, more: object = {}) => checkedPools([{ subnet, ...more }], [])[0] as never;

describe('addresses of a network', () => {
  it('come from its range only, but may be asked for outside of it', () => {
    const addresses = new NetworkAddresses('red', [pool('10.0.0.0/24', { range: '10.0.0.64/30' })]);
    const given = [0, 0, 0, 0].map(() => formatAddress(addresses.take(0)));
    assert.deepEqual(given, ['10.0.0.64', '10.0.0.65', '10.0.0.66', '10.0.0.67']);
    addresses.claim(parseAddress('10.0.0.9'));
    assert.throws(() => addresses.take(0), { code: 'exhausted', message: /network red \(10\.0\.0\.0\/24\) is full/ });
    assert.throws(() => addresses.claim(parseAddress('10.0.1.9')), { message: /network red has 10\.0\.0\.0\/24/ });
  });

  it('are never those that others have', () => {
    const auxiliary = { printer: '10.0.0.2', scanner: '10.0.0.3' };
    const addresses = new NetworkAddresses('red', [pool('10.0.0.0/29', { auxiliary, gateway: '10.0.0.6' })]);
    assert.deepEqual(
      [0, 0, 0].map(() => formatAddress(addresses.take(0))),
      ['10.0.0.1', '10.0.0.4', '10.0.0.5'],
    );
    assert.throws(() => addresses.claim(parseAddress('10.0.0.2')), { code: 'conflict' });
  });

  it('go on in the next subnet, and rest before they are given again (moby#37338)', () => {
    const addresses = new NetworkAddresses('red', [pool('10.0.0.0/30'), pool('10.0.1.0/29')]);
    const first = addresses.take(0);
    assert.equal(formatAddress(first), '10.0.0.2');
    addresses.release(first, 0);
    assert.equal(formatAddress(addresses.take(1_000)), '10.0.1.2');
    assert.deepEqual(addresses.placeOf(parseAddress('10.0.1.2')).subnet, parseSubnet('10.0.1.0/29'));
    assert.equal(addresses.take(30_000), first);
  });

  it('are all there again after 10000 takes and releases (moby#40989)', () => {
    const random = seededRandom(5);
    const addresses = new NetworkAddresses('red', [pool('10.0.0.0/26')]);
    const free = addresses.freeCount;
    const held: number[] = [];
    for (let step = 0; step < 10_000; step += 1) {
      if (held.length > 0 && random.fraction() < 0.5) {
        addresses.release(held.splice(Math.floor(random.fraction() * held.length), 1)[0] as number, step);
      } else if (held.length < free) {
        const address = addresses.take(step);
        assert.ok(!held.includes(address));
        held.push(address);
      }
    }
    for (const address of held) addresses.release(address, 10_000);
    addresses.release(addresses.take(100_000), 100_000);
    assert.equal(addresses.freeCount, free - 1); // the last one rests
  });
});

describe('subnets that are asked for', () => {
  const taken = [{ subnet: parseSubnet('10.77.0.0/24'), owner: 'other' }];
  for (const [what, asked, words] of [
    ['overlap', [{ subnet: '10.77.0.128/25' }], /10\.77\.0\.128\/25 overlaps with 10\.77\.0\.0\/24 of network other/],
    ['overlap each other', [{ subnet: '10.1.0.0/16' }, { subnet: '10.1.2.0/24' }], /the same request/],
    ['are too small', [{ subnet: '10.1.0.0/31' }], /between \/8 and \/30/],
    ['have host bits', [{ subnet: '10.1.0.1/24' }], /the network address is 10\.1\.0\.0\/24/],
    ['have a range elsewhere', [{ subnet: '10.1.0.0/24', range: '10.2.0.0/25' }], /no matching subnet for range/],
    ['have a gateway elsewhere', [{ subnet: '10.1.0.0/24', gateway: '10.2.0.1' }], /no matching subnet for gateway/],
    [
      'have another address elsewhere',
      [{ subnet: '10.1.0.0/24', auxiliary: { nas: '10.2.0.1' } }],
      /auxiliary address nas/,
    ],
  ] as const) {
    it(`are refused when they ${what}`, () => {
      assert.throws(() => checkedPools(asked, taken), { message: words });
    });
  }
});
