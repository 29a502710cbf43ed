import assert from 'node:assert/strict';
import { codeOf, sentenceOf } from '../../base/errors.ts';
import { isSwarmId, newHexId, newId } from '../../base/id.ts';
import { asArray, asInteger, asObject, asOneOf, asString, optional, parseJson } from '../../base/parse.ts';
import { seededRandom } from '../../base/random.ts';
import { humanBytes, parseBytes, parseDurationMs } from '../../base/units.ts';

describe('durations', () => {
  for (const [text, expected] of [
    ['1.5s', 1500],
    ['2m', 120_000],
    ['0', 0],
    ['1h2m3s', 3_723_000],
    ['300ms', 300],
    ['-1s', -1000],
    ['100us', 0.1],
  ] as const) {
    it(`reads ${text} as ${expected} ms`, () => assert.equal(parseDurationMs(text), expected));
  }
  for (const text of ['', '1', 's', '1x', '1s x', 'abc']) {
    it(`refuses '${text}'`, () => assert.throws(() => parseDurationMs(text), /is not a duration/));
  }
});

describe('sizes', () => {
  for (const [text, expected] of [
    ['512', 512],
    ['64m', 67_108_864],
    ['1.5g', 1_610_612_736],
    ['2GiB', 2_147_483_648],
    ['10kb', 10_240],
    ['7b', 7],
  ] as const) {
    it(`reads ${text} as ${expected}`, () => assert.equal(parseBytes(text), expected));
  }
  for (const text of ['', 'x', '-1m', '1q']) {
    it(`refuses '${text}'`, () => assert.throws(() => parseBytes(text), /is not a size/));
  }
  it('are written in decimal steps', () => {
    assert.deepEqual([0, 999, 1_000, 1_234_567].map(humanBytes), ['0B', '999B', '1kB', '1.23MB']);
  });
});

describe('parsing at the border', () => {
  it('names the path of what is wrong', () => {
    const parse = (): unknown => asArray(asObject({ list: [1, 'x'] }, 'body')['list'], 'body.list', asInteger);
    assert.throws(parse, /body\.list\[1\] must be a number/);
  });

  for (const [what, parse] of [
    ['a list for an object', () => asObject([], 'x')],
    ['null for an object', () => asObject(null, 'x')],
    ['a fraction for a whole number', () => asInteger(1.5, 'x')],
    ['a number below its bound', () => asInteger(-1, 'x', { min: 0 })],
    ['infinity', () => asInteger(Number.POSITIVE_INFINITY, 'x')],
    ['a text that is too long', () => asString('abc', 'x', { lengthMax: 2 })],
    ['a word that is no choice', () => asOneOf('c', 'x', ['a', 'b'])],
    ['broken JSON', () => parseJson('{"a":')],
  ] as const) {
    it(`refuses ${what}`, () => assert.throws(parse, (error) => codeOf(error) === 'invalid'));
  }

  it('takes an absent or null value as absent', () => {
    assert.deepEqual([optional(undefined, 'x', asString), optional(null, 'x', asString)], [undefined, undefined]);
  });
});

describe('ids', () => {
  it('have 25 characters of [0-9a-z], or 64 hexadecimal digits', () => {
    const random = seededRandom(1);
    assert.ok(isSwarmId(newId(random)));
    assert.match(newHexId(random), /^[0-9a-f]{64}$/);
  });
});

describe('errors', () => {
  it('are told with their causes', () => {
    const error = new Error('mounting', { cause: new Error('no space') });
    assert.equal(sentenceOf(error), 'mounting: no space');
  });
});
