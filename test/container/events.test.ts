import { strict as assert } from 'node:assert';
import { ManualClock } from '../../base/manual-clock.ts';
import type { RuntimeEvent } from '../../runtime/contract.ts';
import { EventStream } from '../../runtime/events.ts';

const event = (action: string): Omit<RuntimeEvent, 'timeNs'> => ({
  type: 'container',
  action,
  id: 'x',
  attributes: {},
  scope: 'local',
});

async function take(events: AsyncIterable<RuntimeEvent>, count: number): Promise<string[]> {
  const actions: string[] = [];
  for await (const { action } of events) {
    actions.push(action);
    if (actions.length === count) break;
  }
  return actions;
}

describe('events', () => {
  it('gives the past from a time on, then what comes', async () => {
    const clock = new ManualClock();
    const events = new EventStream({ clock });
    events.publish(event('create'));
    clock.advance(10);
    const sinceNs = BigInt(clock.nowMs()) * 1_000_000n;
    events.publish(event('start'));
    const abort = new AbortController();
    const stream = events.subscribe({ sinceNs, abort: abort.signal });
    events.publish(event('die'));
    assert.deepEqual(await take(stream, 2), ['start', 'die']);
  });

  it('keeps the last 256, with rising times', async () => {
    const events = new EventStream({ clock: new ManualClock() });
    for (let index = 0; index < 300; index += 1) events.publish(event(String(index)));
    const abort = new AbortController();
    const stream = events.subscribe({ sinceNs: 0n, abort: abort.signal });
    const times: bigint[] = [];
    for await (const { timeNs, action } of stream) {
      times.push(timeNs);
      if (action === '299') break;
    }
    assert.equal(times.length, 256);
    assert.ok(times.every((time, index) => index === 0 || time > (times[index - 1] ?? time)));
  });

  it('ends without an error when the reader goes away', async () => {
    const events = new EventStream({ clock: new ManualClock() });
    const abort = new AbortController();
    const reading = take(events.subscribe({ abort: abort.signal }), 99);
    events.publish(event('a'));
    abort.abort();
    assert.deepEqual(await reading, ['a']);
  });

  it('cuts off a reader that is too slow', async () => {
    const events = new EventStream({ clock: new ManualClock() });
    const stream = events.subscribe({ abort: new AbortController().signal });
    for (let index = 0; index < 5000; index += 1) events.publish(event('x'));
    await assert.rejects(take(stream, 9999), { code: 'exhausted' });
  });
});
