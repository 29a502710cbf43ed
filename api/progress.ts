// Progress of a long operation as lines of JSON. Once the head has left, a failure is a line too, and clients fail on it.
import { BoundedQueue } from '../base/bounded-queue.ts';
import { sentenceOf } from '../base/errors.ts';
import type { ProgressLine } from '../runtime/image/contract.ts';

const LINES_MAX = 10_000;

/** Runs `work`, yielding what it reports and at last its failure, if any. */
export async function* progressLines(
  work: (report: (line: ProgressLine) => void) => Promise<readonly ProgressLine[]>,
): AsyncGenerator<string> {
  const queue = new BoundedQueue<ProgressLine>({ lengthMax: LINES_MAX, whenFull: 'drop-and-resync' });
  const done = work((line) => queue.push(line)).then(
    (last) => {
      for (const line of last) queue.push(line);
      queue.end();
    },
    (error: unknown) => queue.end(error),
  );
  try {
    for await (const line of queue.drain()) if (line !== 'resync') yield `${JSON.stringify(lineJson(line))}\r\n`;
  } catch (error) {
    const message = sentenceOf(error);
    yield `${JSON.stringify({ errorDetail: { message }, error: message })}\r\n`;
  }
  await done;
}

function lineJson(line: ProgressLine): object {
  if ('stream' in line) return { stream: line.stream };
  const { status, id, progress } = line;
  return {
    status,
    ...(progress ? { progressDetail: progress } : {}),
    ...(id === undefined ? {} : { id }),
  };
}
