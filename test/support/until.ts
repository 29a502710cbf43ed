// Waiting for something to become true, with a deadline and a sentence.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  options: { withinMs?: number } = {},
): Promise<void> {
  const endMs = performance.now() + (options.withinMs ?? 5_000);
  while (!(await condition())) {
    if (performance.now() > endMs) assert.fail(`still not so: ${what}`);
    await sleep(5);
  }
}
