import assert from 'node:assert/strict';
import { parseAddress6 } from '../../runtime/network/addresses.ts';
import {
  type ConnectionFilter,
  FrameReader,
  helloFrame,
  KIND,
  readHello,
  readNetlinkResult,
  readResults,
  runFrame,
} from '../../runtime/network/netd-protocol.ts';
import { eachAttribute, MessageWriter, readAttributes, readMessages, readText } from '../../runtime/network/netlink.ts';
import { parseRange } from '../../runtime/network/ports.ts';

describe('netlink messages', () => {
  it('are read as they were written, padded to four bytes', () => {
    const writer = new MessageWriter();
    writer.message(16, 5, Buffer.from([1, 2, 3, 4]), () => {
      writer.text(3, 'name');
      writer.nested(18, () => {
        writer.u8(1, 7);
        writer.u16big(2, 0x1234);
        writer.u32(3, 0xdeadbeef);
      });
    });
    writer.message(17, 0, Buffer.alloc(0));
    const messages = [...readMessages(writer.finish())];
    assert.deepEqual(
      messages.map(({ type, flags }) => [type, flags]),
      [
        [16, 5],
        [17, 1],
      ],
    );
    const attributes = readAttributes(messages[0]?.body.subarray(4) ?? Buffer.alloc(0));
    assert.equal(readText(attributes.get(3)), 'name');
    const inner = readAttributes(attributes.get(18) ?? Buffer.alloc(0));
    assert.deepEqual(
      [...inner.values()].map((value) => value.toString('hex')),
      ['07', '1234', 'efbeadde'],
    );
  });

  it('end where their lengths do not fit, instead of reading beyond', () => {
    const writer = new MessageWriter();
    writer.message(16, 0, Buffer.alloc(4), () => writer.text(1, 'text'));
    const whole = writer.finish();
    for (let length = 0; length < whole.length; length++) {
      assert.deepEqual([...readMessages(whole.subarray(0, length))], []);
    }
    assert.deepEqual([...eachAttribute(Buffer.from([2, 0, 1, 0]))], []);
    assert.deepEqual([...eachAttribute(Buffer.from([9, 0, 1, 0, 5, 5]))], []);
  });

  it('refuse an attribute that its length field can not hold', () => {
    const writer = new MessageWriter();
    assert.throws(() => writer.message(1, 0, Buffer.alloc(0), () => writer.bytes(1, Buffer.alloc(65_532))), RangeError);
  });
});

describe('frames to and from netd', () => {
  it('are cut from a stream wherever it is split', () => {
    const stream = Buffer.concat([helloFrame(1), runFrame(2, [{ do: 'release-port', handle: 9 }])]);
    for (let cut = 0; cut <= stream.length; cut++) {
      const reader = new FrameReader();
      const frames = [...reader.push(stream.subarray(0, cut)), ...reader.push(stream.subarray(cut))];
      assert.deepEqual(
        frames.map(({ id, kind }) => [id, kind]),
        [
          [1, KIND.hello],
          [2, KIND.run],
        ],
      );
    }
  });

  it('refuse a length that no frame has', () => {
    assert.throws(() => new FrameReader().push(Buffer.from([1, 0, 0, 0])), { code: 'internal' });
  });

  it('write a filter with only the fields that were given', () => {
    const frame = runFrame(1, [
      { do: 'forget-connections', filters: [{ protocol: 'udp', askedPort: 53, serverAddress: 0x0a000002 }] },
    ]);
    assert.equal(frame.subarray(-17).toString('hex'), '0d110035000004' + '0400000000' + '040a000002');
  });

  it('write a filter of IPv6 by its address, or by saying so', () => {
    const tail = (filter: ConnectionFilter, length: number): string =>
      runFrame(1, [{ do: 'forget-connections', filters: [filter] }])
        .subarray(-length)
        .toString('hex');
    const address = 'fd000000000000000000000000000002';
    assert.equal(
      tail({ serverAddress: parseAddress6('fd00::2') }, 29),
      `08000000000006` + '0400000000' + `10${address}`,
    );
    assert.equal(
      tail({ family: 6, protocol: 'udp', askedPort: 53 }, 17),
      '05110035000006' + '0400000000' + '0400000000',
    );
  });

  it('are refused when they are too large', () => {
    const messages = Buffer.alloc(16 << 20);
    assert.throws(() => runFrame(1, [{ do: 'netlink', family: 0, where: '', messages }]), { code: 'exhausted' });
  });

  it('tell the results of the steps that were done', () => {
    const body = Buffer.from('02000000' + '00000000' + '02000000' + 'abcd' + '11000000' + '03000000' + '626164', 'hex');
    assert.deepEqual(readResults(body), [
      { errno: 0, bytes: Buffer.from('abcd', 'hex') },
      { errno: 17, bytes: Buffer.from('bad') },
    ]);
  });

  it('tell which netlink messages failed, before the answers', () => {
    const bytes = Buffer.from('01000000' + '02000000' + '0d000000' + '0200' + '6e6f' + 'ffff', 'hex');
    assert.deepEqual(readNetlinkResult(bytes), {
      failures: [{ index: 2, errno: 13, text: 'no' }],
      messages: Buffer.from('ffff', 'hex'),
    });
  });

  it('begin with who netd is', () => {
    const body = Buffer.from('0100' + '0200' + '07000000' + '03000000' + '0300' + '612062' + '0200' + '6868', 'hex');
    assert.deepEqual(readHello(body), {
      protocolMin: 1,
      protocolMax: 2,
      pid: 7,
      homeFd: 3,
      features: ['a', 'b'],
      sourceHash: 'hh',
    });
  });
});

describe('the range of free ports', () => {
  for (const [text, first, last] of [
    ['32768\t60999\n', 32_768, 60_999],
    ['', 49_153, 65_535],
    ['60999 32768', 49_153, 65_535],
    ['1 99999', 49_153, 65_535],
  ] as const) {
    it(`is ${first}-${last} for '${text.trim()}'`, () => assert.deepEqual(parseRange(text), { first, last }));
  }
});
