// Mocha's spec reporter, which also leaves the counts for the runner, and fails a run whose process does not end.
import { writeFileSync } from 'node:fs';
import Mocha from 'mocha';
import type { Skipped } from './counts.ts';
import { describeOpenHandles } from './open-handles.ts';
import { skipReason } from './requirements.ts';

/** What a test closed may take a moment to be gone; what is open after that was forgotten. */
const GRACE_MS = 20_000;

export default class CountingReporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    const skipped: Skipped[] = [];
    runner.on('pending', (test) => {
      skipped.push({ title: test.fullTitle(), reason: skipReason(test) });
    });
    runner.once('end', () => {
      failWhenStillHere();
      const file = process.env['TEST_COUNTS_FILE'];
      if (!file) return;
      const { passes, failures } = this.stats;
      writeFileSync(file, JSON.stringify({ passed: passes, failed: failures, skipped }));
    });
  }
}

/** A timer that keeps nothing alive: it only fires where something else does. */
function failWhenStillHere(): void {
  setTimeout(() => {
    console.error(`✖ the tests are done, but their process can not end; still open:\n${describeOpenHandles()}`);
    process.exit(1);
  }, GRACE_MS).unref();
}
