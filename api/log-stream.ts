// Log entries as the bytes of a logs answer: framed unless raw, each with its time if asked.
import type { LogEntry } from '../runtime/container/contract.ts';
import { frame } from './stdio-frames.ts';

export async function* logChunks(
  entries: AsyncIterable<LogEntry>,
  options: { timestamps: boolean; details: string | undefined; raw: boolean },
): AsyncGenerator<Buffer> {
  for await (const { stream, time, bytes } of entries) {
    const before = `${options.timestamps ? `${time} ` : ''}${options.details === undefined ? '' : `${options.details} `}`;
    const line = before === '' ? bytes : Buffer.concat([Buffer.from(before), bytes]);
    yield options.raw ? line : frame(stream, line);
  }
}
