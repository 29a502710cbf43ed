import { strict as assert } from 'node:assert';
import { Turns } from '../../manager/control/turns.ts';

function gate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

describe('turns', () => {
  it('come one after the other, a failure included', async () => {
    const turns = new Turns();
    const seen: string[] = [];
    const first = gate();
    const all = Promise.allSettled([
      turns.run(async () => {
        await first.opened;
        seen.push('one');
        throw new Error('no');
      }, undefined),
      turns.run(async () => void seen.push('two'), undefined),
    ]);
    seen.push('asked');
    first.open();
    assert.deepEqual(
      (await all).map(({ status }) => status),
      ['rejected', 'fulfilled'],
    );
    assert.deepEqual(seen, ['asked', 'one', 'two']);
  });

  it('are given up by a caller who goes away, and the next still waits for those before', async () => {
    const turns = new Turns();
    const seen: string[] = [];
    const first = gate();
    const abort = new AbortController();
    const one = turns.run(async () => {
      await first.opened;
      seen.push('one');
    }, undefined);
    const two = turns.run(async () => void seen.push('two'), abort.signal);
    const three = turns.run(async () => void seen.push('three'), undefined);
    abort.abort();
    await assert.rejects(two, { code: 'aborted' });
    assert.deepEqual(seen, []);
    first.open();
    await Promise.all([one, three]);
    assert.deepEqual(seen, ['one', 'three']);
  });
});
