import assert from 'node:assert/strict';
import { parseAddress } from '../../runtime/network/addresses.ts';
import { MessageWriter } from '../../runtime/network/netlink.ts';
import { addEspState } from '../../runtime/network/xfrm-messages.ts';

const zeros = (bytes: number): string => '00'.repeat(bytes);

/**
 * What iproute2 6.1 sends for `ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1234 reqid 7 mode tunnel
 * replay-window 32 aead 'rfc4106(gcm(aes))' 0x0001…13 128`, behind the header.
 */
const OF_IPROUTE2 = [
  zeros(56), // selector
  `c0000202${zeros(12)}`,
  '00001234',
  `32${zeros(3)}`,
  `c0000201${zeros(12)}`,
  'ff'.repeat(32), // limits: none
  zeros(32), // times: none
  zeros(32), // so far
  zeros(12), // statistics
  zeros(4),
  '07000000',
  '0200', // family
  '01', // tunnel
  '20',
  zeros(8),
  '60001200', // an attribute of 96 bytes: XFRMA_ALG_AEAD
  `726663343130362867636d28616573292900${zeros(46)}`,
  'a0000000',
  '80000000',
  '000102030405060708090a0b0c0d0e0f10111213',
].join('');

describe('a state of ESP', () => {
  it('is the bytes that iproute2 sends', () => {
    const writer = new MessageWriter();
    addEspState(writer, {
      source: parseAddress('192.0.2.1'),
      destination: parseAddress('192.0.2.2'),
      spi: 0x1234,
      request: 7,
      replayWindow: 32,
      key: Uint8Array.from({ length: 20 }, (_, at) => at),
    });
    const bytes = writer.finish();
    assert.deepEqual([bytes.readUInt32LE(0), bytes.readUInt16LE(4), bytes.readUInt16LE(6)], [336, 16, 5]);
    assert.equal(bytes.subarray(16).toString('hex'), OF_IPROUTE2);
  });
});
