import assert from 'node:assert/strict';
import { humanDuration } from '../../cli/human.ts';
import { readFrames } from '../../cli/stdio-frames.ts';
import { table } from '../../cli/table.ts';
import { taskTable } from '../../cli/task-table.ts';
import type { TaskJson } from '../../cli/wire.ts';

describe('durations for people', () => {
  for (const [ms, text] of [
    [400, 'Less than a second'],
    [1_500, '1 second'],
    [59_000, '59 seconds'],
    [61_000, 'About a minute'],
    [600_000, '10 minutes'],
    [3_600_000, 'About an hour'],
    [90_000_000, '25 hours'],
    [259_200_000, '3 days'],
  ] as const) {
    it(`write ${ms} ms as ${text}`, () => assert.equal(humanDuration(ms), text));
  }
});

describe('tables', () => {
  it('are as wide as their cells, with three spaces between', () => {
    assert.equal(table(['ID', 'NAME'], [['abc', 'x']]), 'ID    NAME\nabc   x');
  });

  it('show the newest task of a slot first and its predecessors below it', () => {
    const task = (id: string, createdAt: string, slot: number): TaskJson => ({
      ID: id,
      ServiceID: 's',
      Slot: slot,
      CreatedAt: createdAt,
      DesiredState: 'running',
      Spec: { ContainerSpec: { Image: 'demo:v1@sha256:00' } },
      Status: { Timestamp: createdAt, State: 'running' },
    });
    const tasks = [
      task('old', '2026-01-01T00:00:00Z', 1),
      task('new', '2026-01-02T00:00:00Z', 1),
      task('two', '2026-01-01T00:00:00Z', 2),
    ];
    const names = { service: () => 'web', node: () => 'node1' };
    const text = taskTable(tasks, names, { full: true, nowMs: Date.parse('2026-01-03T00:00:00Z') });
    const shown = text
      .split('\n')
      .slice(1)
      .map((line) => /( \\_ )?web\.\d/.exec(line)?.[0]);
    assert.deepEqual(shown, ['web.1', ' \\_ web.1', 'web.2']);
  });
});

describe('the multiplexed stream', () => {
  const head = (stream: number, length: number): Buffer => Buffer.from([stream, 0, 0, 0, 0, 0, 0, length]);
  it('is put together however it was cut', async () => {
    const whole = Buffer.concat([head(1, 3), Buffer.from('out'), head(2, 4), Buffer.from('errs')]);
    for (const size of [1, 3, 8, whole.length]) {
      const chunks = Array.from({ length: Math.ceil(whole.length / size) }, (_, i) =>
        whole.subarray(i * size, (i + 1) * size),
      );
      const frames: string[] = [];
      for await (const { stream, bytes } of readFrames(chunksOf(chunks))) frames.push(`${stream}:${bytes.toString()}`);
      assert.deepEqual(frames, ['stdout:out', 'stderr:errs']);
    }
  });
});

async function* chunksOf(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks;
}
