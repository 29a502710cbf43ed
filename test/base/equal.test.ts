import assert from 'node:assert/strict';
import { equalData } from '../../base/equal.ts';

describe('equal data', () => {
  for (const [a, b, equal] of [
    [1, 1, true],
    [1, '1', false],
    [null, undefined, false],
    [{ a: 1, b: [1, { c: 2 }] }, { b: [1, { c: 2 }], a: 1 }, true],
    [{ a: 1 }, { a: 1, b: undefined }, true],
    [{ a: 1 }, { a: 1, b: null }, false],
    [{ a: undefined }, { b: undefined }, true],
    [{ a: 1 }, { b: 1 }, false],
    [[1, 2], [2, 1], false],
    [[1], { 0: 1 }, false],
    [[], [], true],
  ] as const) {
    it(`${JSON.stringify(a)} and ${JSON.stringify(b)}: ${equal}`, () => {
      assert.equal(equalData(a, b), equal);
      assert.equal(equalData(b, a), equal);
    });
  }
});
