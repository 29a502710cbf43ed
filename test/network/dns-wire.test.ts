import assert from 'node:assert/strict';
import { seededRandom } from '../../base/random.ts';
import { frameOf, StreamFrames } from '../../runtime/network/dns-stream.ts';
import {
  addressOfReverse,
  CODE,
  codeOfAnswer,
  isTruncated,
  lengthMaxOf,
  type Question,
  readQuestion,
  TYPE,
  writeAnswer,
  writeQuestion,
} from '../../runtime/network/dns-wire.ts';

const questionOf = (message: Buffer): Question => {
  const question = readQuestion(message);
  assert.ok(question && 'name' in question);
  return question;
};

describe('DNS messages', () => {
  it('are questions for a name in lower case, with what the client can take', () => {
    const question = questionOf(writeQuestion(4711, 'Web.Example.COM', TYPE.aaaa));
    assert.deepEqual([question.id, question.name, question.type], [4711, 'web.example.com', TYPE.aaaa]);
    assert.equal(lengthMaxOf(question), 512);
    assert.equal(lengthMaxOf(questionOf(writeQuestion(1, 'web', TYPE.a, 4096))), 1232);
    assert.equal(lengthMaxOf(questionOf(writeQuestion(1, 'web', TYPE.a, 100))), 512);
  });

  it('answer with the question, the records, and the bits that a client looks at', () => {
    const message = writeQuestion(7, 'web', TYPE.a, 1232);
    const records = [{ type: TYPE.a, data: Buffer.from([10, 0, 0, 2]), ttlSeconds: 5 } as const];
    const answer = writeAnswer(message, questionOf(message), { code: CODE.ok, records }, 512);
    assert.equal(
      answer.toString('hex'),
      '00078180' +
        '0001000100000001' +
        '03776562000001' +
        '0001' +
        'c00c000100010000000500040a000002' +
        '00002904d0000000000000',
    );
  });

  it('are cut and marked where they are longer than the client can take, and whole over TCP', () => {
    const message = writeQuestion(7, 'tasks.web', TYPE.a);
    const records = Array.from({ length: 100 }, (_, i) => ({
      type: TYPE.a,
      data: Buffer.from([10, 0, 0, i]),
      ttlSeconds: 0,
    }));
    const cut = writeAnswer(message, questionOf(message), { code: CODE.ok, records }, 512);
    assert.ok(cut.length <= 512 && isTruncated(cut));
    const whole = writeAnswer(message, questionOf(message), { code: CODE.ok, records }, 65_535);
    assert.deepEqual([whole.readUInt16BE(6), isTruncated(whole)], [100, false]);
  });

  it('that are nonsense are answered with a code or dropped, and never throw', () => {
    assert.equal(readQuestion(Buffer.alloc(11)), undefined);
    assert.equal(readQuestion(Buffer.from('000081800001000000000000', 'hex')), undefined);
    assert.deepEqual(readQuestion(Buffer.from('000010000001000000000000', 'hex')), { code: CODE.notImplemented });
    assert.deepEqual(readQuestion(Buffer.from('000001000002000000000000', 'hex')), { code: CODE.malformed });
    assert.deepEqual(readQuestion(Buffer.from('00000100000100000000000003776562', 'hex')), { code: CODE.malformed });
    const random = seededRandom(3);
    for (let round = 0; round < 5_000; round += 1) {
      const message = Buffer.from(random.bytes(Math.floor(random.fraction() * 80)));
      const question = readQuestion(message);
      if (!question || 'code' in question) continue;
      const answer = writeAnswer(message, question, { code: CODE.failed, records: [] }, 512);
      assert.equal(codeOfAnswer(answer), CODE.failed);
    }
  });

  it('ask backwards for IPv4 and IPv6 addresses', () => {
    assert.equal(addressOfReverse('2.0.17.172.in-addr.arpa'), '172.17.0.2');
    const six = `${'2.0.0.0.'.repeat(1)}${'0.'.repeat(24)}8.b.d.0.ip6.arpa`;
    assert.equal(addressOfReverse(six.replace('8.b.d.0', '0.0.d.f')), 'fd00:0000:0000:0000:0000:0000:0000:0002');
    assert.equal(addressOfReverse('web'), undefined);
  });

  it('are cut from a TCP stream wherever it is split', () => {
    const messages = [writeQuestion(1, 'a', TYPE.a), writeQuestion(2, 'bb', TYPE.a)];
    const bytes = Buffer.concat(messages.map(frameOf));
    for (let at = 0; at <= bytes.length; at += 1) {
      const frames = new StreamFrames();
      const found = [...frames.push(bytes.subarray(0, at)), ...frames.push(bytes.subarray(at))];
      assert.deepEqual(found, messages);
    }
  });
});
