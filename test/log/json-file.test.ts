import { strict as assert } from 'node:assert';
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import { type ReadLog, readLog } from '../../runtime/log/json-file.ts';

const START_MS = Date.parse('2024-05-01T10:00:00Z');

describe('json-file log', () => {
  let directory = '';
  let path = '';
  let second = 0;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'log-'));
    path = join(directory, 'x-json.log');
    second = 0;
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const line = (log: string, stream = 'stdout'): string => {
    const time = new Date(START_MS + 1000 * second++).toISOString().replace('Z', '123456Z');
    return `${JSON.stringify({ log, stream, time })}\n`;
  };
  const write = (...lines: string[]): void => appendFileSync(path, lines.join(''));
  const rotate = (): void => {
    renameSync(path, `${path}.1`);
    writeFileSync(path, '');
  };
  const request = (change: Partial<ReadLog> = {}): ReadLog => ({
    path,
    stdout: true,
    stderr: true,
    tailLines: 'all',
    sinceMs: 0,
    untilMs: 0,
    follow: undefined,
    ...change,
  });
  const texts = async (change: Partial<ReadLog> = {}): Promise<string[]> => {
    const found: string[] = [];
    for await (const entry of readLog(request(change), new AbortController().signal))
      found.push(entry.bytes.toString());
    return found;
  };

  it('reads all, oldest file first', async () => {
    write(line('a\n'), line('b\n'));
    rotate();
    write(line('c\n'));
    assert.deepEqual(await texts(), ['a\n', 'b\n', 'c\n']);
  });

  it('joins the pieces of a line, each stream by itself', async () => {
    write(line('one '), line('err\n', 'stderr'), line('two '), line('three\n'), line('rest'));
    assert.deepEqual(await texts(), ['err\n', 'one two three\n', 'rest']);
  });

  it('gives the streams that are asked for', async () => {
    write(line('a\n'), line('b\n', 'stderr'));
    assert.deepEqual(await texts({ stderr: false }), ['a\n']);
    assert.deepEqual(await texts({ stdout: false }), ['b\n']);
  });

  it('keeps to since and until', async () => {
    write(line('0\n'), line('1\n'), line('2\n'), line('3\n'));
    assert.deepEqual(await texts({ sinceMs: START_MS + 1000, untilMs: START_MS + 2500 }), ['1\n', '2\n']);
  });

  for (const [count, expected] of [
    [0, []],
    [1, ['e\n']],
    [2, ['c d\n', 'e\n']],
    [3, ['b\n', 'c d\n', 'e\n']],
    [4, ['a\n', 'b\n', 'c d\n', 'e\n']],
    [9, ['a\n', 'b\n', 'c d\n', 'e\n']],
  ] as const) {
    it(`finds the last ${count} lines, across files`, async () => {
      write(line('a\n'), line('b\n'));
      rotate();
      write(line('c '), line('d\n'), line('e\n'));
      assert.deepEqual(await texts({ tailLines: count }), expected);
    });
  }

  it('finds the last lines of a long file', async () => {
    const long = 'x'.repeat(300);
    for (let index = 0; index < 2000; index += 1) write(line(`${index} ${long}\n`));
    assert.deepEqual(
      (await texts({ tailLines: 500 })).map((text) => Number.parseInt(text, 10)),
      Array.from({ length: 500 }, (_, index) => 1500 + index),
    );
  });

  it('passes over a line that is garbage', async () => {
    write(line('a\n'), '\0\0\0garbage\n', line('b\n'));
    assert.deepEqual(await texts(), ['a\n', 'b\n']);
    assert.deepEqual(await texts({ tailLines: 2 }), ['a\n', 'b\n']);
  });

  it('reads nothing where there is no log', async () => {
    assert.deepEqual(await texts(), []);
  });

  it('follows through rotations until the writer has finished', async () => {
    write(line('old\n'), line('a\n'));
    const finished = new AbortController();
    const seen: string[] = [];
    const steps: Record<string, () => void> = {
      'a\n': () => write(line('b\n')),
      'b\n': () => {
        write(line('c\n'));
        rotate();
        write(line('d\n'));
      },
      'd\n': () => {
        write(line('e\n'));
        finished.abort();
      },
    };
    const follow = { finished: finished.signal, clock: systemClock };
    for await (const entry of readLog(request({ tailLines: 1, follow }), new AbortController().signal)) {
      seen.push(entry.bytes.toString());
      steps[entry.bytes.toString()]?.();
    }
    assert.deepEqual(seen, ['a\n', 'b\n', 'c\n', 'd\n', 'e\n']);
  });

  it('follows to the end what was removed meanwhile', async () => {
    write(line('a\n'), line('b\n'));
    rotate();
    write(line('c\n'));
    const follow = { finished: new AbortController().signal, clock: systemClock };
    const found: string[] = [];
    for await (const { bytes } of readLog(request({ follow }), new AbortController().signal)) {
      found.push(bytes.toString());
      if (found.length === 1) renameSync(directory, `${directory}.removed`); // all files are open, the newest is not watched yet
    }
    renameSync(`${directory}.removed`, directory);
    assert.deepEqual(found, ['a\n', 'b\n', 'c\n']);
  });

  it('ends following when the reader goes away, and at until', async () => {
    write(line('a\n'));
    const abort = new AbortController();
    const follow = { finished: new AbortController().signal, clock: systemClock };
    for await (const _ of readLog(request({ follow }), abort.signal)) abort.abort();
    const soon = { follow, sinceMs: 1, untilMs: Date.now() + 30 };
    assert.deepEqual(await texts(soon), ['a\n']);
  });
});
