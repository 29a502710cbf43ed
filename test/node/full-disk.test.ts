// An engine whose disk is full: every piece of work that needs room says so in a sentence, leaves nothing half there, and
// goes through when there is room again; containers go on running, and can be stopped and removed. A pull: image-full-disk.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Report, Story } from '../support/full-disk-engine.ts';
import { requireRoot, requireTool } from '../support/requirements.ts';

const DISK = '48m';

describe('on a full disk', function () {
  this.timeout(180_000);
  let report: Report;

  before(async function () {
    requireRoot(this);
    requireTool(this, '/usr/bin/busybox');
    const root = mkdtempSync(join(tmpdir(), 'full-disk-'));
    try {
      const program = join(import.meta.dirname, '../support/full-disk-engine.js');
      // The mount is in a namespace of the child's own and goes with it.
      const script = `mount -t tmpfs -o size=${DISK} tmpfs ${root} && exec "$0" "$@"`;
      const args = ['-m', 'sh', '-c', script, process.execPath, program, root];
      const child = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'inherit'] });
      const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
      assert.equal(code, 0, output);
      report = JSON.parse(output) as Report;
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  for (const [work, status, again] of [
    ['load', 200, 200], // the fault comes in the stream, as Docker's does
    ['import', 503, 200],
    ['commit', 503, 201],
    ['put', 500, 200],
    ['create', 503, 201],
  ] as const) {
    it(`${work} says so, leaves nothing, and works again when there is room`, () => {
      const story = report[work] as Story;
      assert.equal(story.full.status, status, story.full.said);
      assert.match(story.full.said, /no space left on device/);
      assert.deepEqual([story.full.known, story.full.files], [story.before.known, story.before.files]);
      assert.equal(story.again.status, again, story.again.said);
      assert.doesNotMatch(story.again.said, /no space left/);
      if (work === 'put')
        assert.ok(story.full.said.endsWith(' 404') && story.again.said.endsWith(' 200'), 'no half of a file');
      else assert.notDeepEqual(story.again.known, story.before.known);
    });
  }

  for (const driver of ['json-file', 'local'] as const) {
    it(`a log of ${driver} loses whole lines, holds nobody up, and goes on when there is room`, () => {
      const lines = report[`log ${driver}`] as readonly string[];
      const said = (words: string): string[] => [1, 2, 3].map((number) => `${number} ${words} end`);
      assert.deepEqual(lines.slice(0, 3), said('before'));
      assert.deepEqual(lines.slice(-3), said('after'));
      assert.ok(lines.length < 2_006, 'the disk was full');
      for (const line of lines) assert.match(line, /^\d+ (before|after|x{200}) end$/);
    });
  }

  it('a running container can be stopped and removed, which makes room', () => {
    assert.deepEqual(report['stopped'], ['exited 137', 'removed']);
  });
});
