import assert from 'node:assert/strict';
import { parseAddress } from '../../runtime/network/addresses.ts';
import { fillSlots, slotCount } from '../../runtime/network/client-slots.ts';

const backEnds = (count: number): number[] =>
  Array.from({ length: count }, (_, index) => parseAddress('10.0.1.3') + index);
/** The address that each slot leads to. */
const filled = (addresses: readonly number[]): (number | undefined)[] =>
  fillSlots(addresses).map((index) => addresses[index]);

describe('the slots of clients', () => {
  for (const count of [2, 3, 10, 16]) {
    it(`move only the clients of the one of ${count} back ends that leaves, and give them back when it returns`, () => {
      const all = backEnds(count);
      const before = filled(all);
      for (const gone of all) {
        const after = filled(all.filter((address) => address !== gone));
        const moved = before.filter((address, slot) => after[slot] !== address);
        assert.ok(moved.length > 0 && moved.every((address) => address === gone));
        assert.ok(moved.length < (2 * before.length) / count, `${moved.length} of ${before.length} slots moved`);
      }
      assert.deepEqual(filled(all), before);
    });
  }

  it('are shared alike', () => {
    for (const count of [2, 5, 30, 200]) {
      const slots = fillSlots(backEnds(count));
      const shares = Array.from({ length: count }, (_, index) => slots.filter((each) => each === index).length);
      const fair = slots.length / count;
      assert.ok(Math.min(...shares) > fair / 5, `${Math.min(...shares)} of ${slots.length} among ${count}`);
      assert.ok(Math.max(...shares) < fair * 2.2, `${Math.max(...shares)} of ${slots.length} among ${count}`);
    }
  });

  it('are halved when there are too few of them, and half of the clients know nothing of it', () => {
    const [few, many] = [filled(backEnds(16)), filled(backEnds(17))];
    assert.deepEqual([few.length, many.length], [256, 512]);
    const come = backEnds(17).at(-1);
    const moved = few.filter((address, slot) => many[2 * slot] !== address && many[2 * slot] !== come);
    assert.deepEqual(moved, []);
  });

  it('are never more than a few thousand', () => {
    assert.deepEqual([1, 16, 17, 256, 100_000].map(slotCount), [256, 256, 512, 4096, 4096]);
  });
});
