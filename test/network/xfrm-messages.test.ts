import assert from 'node:assert/strict';
import { parseAddress } from '../../runtime/network/addresses.ts';
import { MessageWriter } from '../../runtime/network/netlink.ts';
import {
  addEspLink,
  addEspState,
  deleteEspPolicy,
  deleteEspState,
  dumpEspPolicies,
  dumpEspStates,
  putEspPolicy,
  readEspPolicies,
  readEspStates,
} from '../../runtime/network/xfrm-messages.ts';

const zeros = (bytes: number): string => '00'.repeat(bytes);
const of = (address: string): string => `${parseAddress(address).toString(16)}${zeros(12)}`;

const [source, destination] = [parseAddress('192.0.2.1'), parseAddress('192.0.2.2')];
const [left, right] = [parseAddress('128.0.0.1'), parseAddress('128.0.0.2')];
const key = Uint8Array.from({ length: 20 }, (_, at) => at);
const state = { source, destination, spi: 0x1234, interfaceId: 4343, bytesMax: 2n ** 46n, key };
const outward = {
  direction: 'out',
  interfaceId: 4343,
  from: left,
  to: right,
  source,
  destination,
  spi: 0x1234,
} as const;
const inward = { direction: 'in', interfaceId: 4343, from: right, to: left, source, destination, spi: 0 } as const;
const INTERFACE = '08001f00f7100000';
const selector = (from: string, to: string): string => `${of(to)}${of(from)}${zeros(8)}02002020${zeros(12)}`;

/**
 * What iproute2 6.1 sends for the command, behind the header; it only leaves out that an attribute is nested, and
 * the end of a kind's name.
 */
const OF_IPROUTE2 = [
  [
    `xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1234 reqid 4343 mode tunnel replay-window 1024 flag esn
      limit byte-hard 70368744177664 aead rfc4106(gcm(aes)) 0x0001…13 128 if_id 4343`,
    (writer: MessageWriter) => addEspState(writer, state),
    [16, 0x005],
    [
      zeros(56), // selector
      `${of('192.0.2.2')}00001234`,
      `32${zeros(3)}${of('192.0.2.1')}`,
      `${'ff'.repeat(8)}0000000000400000${'ff'.repeat(16)}`, // limits: of bytes, the hard one
      zeros(32), // times: none
      zeros(32 + 12 + 4), // so far, statistics, number
      'f7100000',
      '0200', // family
      '01', // tunnel
      '00',
      `80${zeros(7)}`, // a counter of 64 bits
      '60001200', // an attribute of 96 bytes: XFRMA_ALG_AEAD
      `726663343130362867636d28616573292900${zeros(46)}`,
      'a000000080000000',
      '000102030405060708090a0b0c0d0e0f10111213',
      `1c00170020000000${zeros(16)}00040000`, // the window: 32 words, 1024 bits
      INTERFACE,
    ],
  ],
  [
    `xfrm policy update src 128.0.0.1/32 dst 128.0.0.2/32 dir out if_id 4343 tmpl src 192.0.2.1 dst 192.0.2.2 proto esp
      spi 0x1234 reqid 4343 mode tunnel`,
    (writer: MessageWriter) => putEspPolicy(writer, outward),
    [25, 0x005],
    [
      selector('128.0.0.1', '128.0.0.2'),
      `${'ff'.repeat(32)}${zeros(32)}`,
      zeros(32 + 8), // so far, priority, index
      `01${zeros(7)}`,
      `44000500${of('192.0.2.2')}00001234`,
      `32${zeros(3)}02000000${of('192.0.2.1')}`,
      `f710000001000000${'ff'.repeat(12)}`,
      INTERFACE,
    ],
  ],
  [
    'xfrm policy delete src 128.0.0.2/32 dst 128.0.0.1/32 dir in if_id 4343',
    (writer: MessageWriter) => deleteEspPolicy(writer, inward),
    [20, 0x005],
    [selector('128.0.0.2', '128.0.0.1'), zeros(8), INTERFACE],
  ],
  [
    'xfrm state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1234',
    (writer: MessageWriter) => deleteEspState(writer, state),
    [17, 0x005],
    [of('192.0.2.2'), `00001234${'02003200'}`, `14000d00${of('192.0.2.1')}`],
  ],
  [
    'link add xf4343 type xfrm if_id 4343',
    (writer: MessageWriter) => addEspLink(writer, { name: 'xf4343', interfaceId: 4343 }),
    [16, 0x605],
    [
      zeros(16),
      `0b000300${Buffer.from('xf4343').toString('hex')}0000`,
      `1c00128009000100${Buffer.from('xfrm').toString('hex')}00000000`,
      '0c00028008000200f7100000',
    ],
  ],
] as const;

describe('ESP', () => {
  for (const [command, write, head, body] of OF_IPROUTE2) {
    it(`is said in the bytes of ip ${command.split(' ', 3).join(' ')}`, () => {
      const writer = new MessageWriter();
      write(writer);
      const bytes = writer.finish();
      assert.deepEqual([bytes.readUInt16LE(4), bytes.readUInt16LE(6)], head);
      assert.equal(bytes.readUInt32LE(0), bytes.length);
      assert.equal(bytes.subarray(16).toString('hex'), body.join(''));
    });
  }

  it('is asked for with a header alone, as ip xfrm policy list asks', () => {
    for (const [messages, type] of [
      [dumpEspStates(), '1200'],
      [dumpEspPolicies(), '1500'],
    ] as const) {
      assert.equal(messages.toString('hex'), `10000000${type}0103${zeros(8)}`);
    }
  });

  /** As the kernel shows it: another type, and in a state what it has counted. */
  const shown = (
    type: number,
    write: (writer: MessageWriter) => void,
    counts: readonly (readonly [number, number])[],
  ) => {
    const writer = new MessageWriter();
    write(writer);
    const bytes = Buffer.from(writer.finish());
    bytes.writeUInt16LE(type, 4);
    for (const [at, count] of counts) bytes.writeUInt32LE(count, 16 + at);
    return bytes;
  };

  it('is read as it was said, with what was counted: packets, those that came twice, those that were altered', () => {
    const counts = [
      [168, 9],
      [196, 2],
      [200, 3],
    ] as const; // curlft.packets, stats.replay, stats.integrity_failed
    const [found] = readEspStates(shown(16, (writer) => addEspState(writer, state), counts));
    assert.deepEqual(found, { ...state, packets: 9, replayed: 2, altered: 3 });
    for (const policy of [outward, inward]) {
      assert.deepEqual(readEspPolicies(shown(19, (writer) => putEspPolicy(writer, policy), [])), [policy]);
    }
  });

  it('is not read of what belongs to no link, or is not ESP of IPv4', () => {
    const say = (writer: MessageWriter) => addEspState(writer, state);
    const whole = shown(16, say, []);
    const bare = Buffer.from(whole.subarray(0, 16 + 224));
    bare.writeUInt32LE(bare.length, 0);
    const six = Buffer.from(whole);
    six.writeUInt16LE(10, 16 + 212);
    const header = Buffer.from(whole);
    header.writeUInt8(51, 16 + 76);
    assert.deepEqual(readEspStates(Buffer.concat([bare, six, header])), []);
    assert.equal(readEspStates(Buffer.concat([bare, whole, six])).length, 1);
    const forward = shown(19, (writer) => putEspPolicy(writer, inward), []);
    forward.writeUInt8(2, 16 + 160);
    assert.deepEqual(readEspPolicies(forward), []);
  });
});
