// Mocha's spec reporter, which also leaves the counts for the runner.
import { writeFileSync } from 'node:fs';
import Mocha from 'mocha';
import type { Skipped } from './counts.ts';
import { skipReason } from './requirements.ts';

export default class CountingReporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    const skipped: Skipped[] = [];
    runner.on('pending', (test) => {
      skipped.push({ title: test.fullTitle(), reason: skipReason(test) });
    });
    runner.once('end', () => {
      const file = process.env['TEST_COUNTS_FILE'];
      if (!file) return;
      const { passes, failures } = this.stats;
      writeFileSync(file, JSON.stringify({ passed: passes, failed: failures, skipped }));
    });
  }
}
