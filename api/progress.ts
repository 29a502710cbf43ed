// Progress of a long operation as lines of JSON. Once the head has left, a failure is a line too, and clients fail on it.
import { BoundedQueue } from '../base/bounded-queue.ts';
import { sentenceOf } from '../base/errors.ts';
import { humanBytes } from '../base/units.ts';
import type { ProgressLine } from '../runtime/image/contract.ts';
import { type Reply, stream } from './reply.ts';

const LINES_MAX = 10_000;

type Work = (report: (line: ProgressLine) => void) => Promise<readonly ProgressLine[]>;

/** As `progressLines`, but a failure before the first line is an ordinary error with a status of its own. */
export async function progressReply(work: Work): Promise<Reply> {
  const lines = progressLines(work, 'throw-first');
  const first = await lines.next();
  return stream('application/json', continued(first, lines));
}

async function* continued(first: IteratorResult<string, void>, rest: AsyncGenerator<string>): AsyncGenerator<string> {
  if (first.done) return;
  yield first.value;
  yield* rest;
}

/** Runs `work`, yielding what it reports and at last its failure, if any. */
export async function* progressLines(work: Work, onEarlyFailure?: 'throw-first'): AsyncGenerator<string, void, void> {
  let began = false;
  const queue = new BoundedQueue<ProgressLine>({ lengthMax: LINES_MAX, whenFull: 'drop-and-resync' });
  const done = work((line) => queue.push(line)).then(
    (last) => {
      for (const line of last) queue.push(line);
      queue.end();
    },
    (error: unknown) => queue.end(error),
  );
  try {
    for await (const line of queue.drain()) {
      began = true;
      if (line !== 'resync') yield `${JSON.stringify(lineJson(line))}\r\n`;
    }
  } catch (error) {
    if (!began && onEarlyFailure) throw error;
    const message = sentenceOf(error);
    yield `${JSON.stringify({ errorDetail: { message }, error: message })}\r\n`;
  }
  await done;
}

function lineJson(line: ProgressLine): object {
  if ('stream' in line) return { stream: line.stream };
  if ('aux' in line) return { aux: line.aux };
  const { status, id, progress } = line;
  return {
    status,
    ...(progress ? { progressDetail: progress, progress: progressBar(progress) } : {}),
    ...(!progress && id !== undefined ? { progressDetail: {} } : {}),
    ...(id === undefined ? {} : { id }),
  };
}

const BAR_LENGTH = 50;

/** `[=====>      ]  1.2MB/3.4MB`, for clients that print what they are given. Without a known total, the count alone. */
export function progressBar({ current, total }: { current: number; total: number }): string {
  if (total <= 0) return humanBytes(current).padStart(8);
  const filled = Math.min(BAR_LENGTH, Math.floor((current / total) * BAR_LENGTH));
  const bar = `[${'='.repeat(filled)}>${' '.repeat(BAR_LENGTH - filled)}]`;
  return `${bar} ${humanBytes(current).padStart(8)}/${humanBytes(total)}`;
}
