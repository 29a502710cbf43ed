import assert from 'node:assert/strict';
import { formatAddress, parseAddress } from '../../base/ipv4.ts';

describe('an IPv4 address', () => {
  for (const text of ['0.0.0.0', '10.0.1.2', '192.168.255.1', '255.255.255.255']) {
    it(`${text} is read, and written as it was`, () => assert.equal(formatAddress(parseAddress(text)), text));
  }
  it('is a number in the order of its bytes', () => assert.equal(parseAddress('1.2.3.4'), 0x01020304));
  for (const text of [
    '',
    '1',
    '1.2.3',
    '1.2.3.',
    '.1.2.3',
    '1..2.3',
    '1.2.3.4.5',
    '1.2.3.4.',
    '1.2.3.256',
    '1.2.3.0001',
    '1.2.3.4 ',
    '1.2.3.-4',
    '1.2.3.x',
    '::1',
    '١.2.3.4',
  ]) {
    it(`is not '${text}'`, () =>
      assert.throws(() => parseAddress(text), { message: `address '${text}' is not an IPv4 address` }));
  }
});
