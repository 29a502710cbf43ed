// A blob as one stream, whatever happens on the way: after a break it goes on at the byte where it stopped. The bytes are
// counted here and verified by whoever stores them.
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { CodedError, fail, sentenceOf } from '../../base/errors.ts';
import type { Descriptor } from './contract.ts';
import { isPassing } from './faults.ts';
import type { Repository } from './repository.ts';

export interface Download {
  readonly blob: Descriptor;
  readonly attemptsMax: number; // without a byte of progress between them
  readonly abort: AbortSignal;
  readonly onBytes: (doneBytes: number) => void;
  readonly onRetry?: (error: unknown) => void;
}

/** However little each connection brings, there is an end to it. */
const CONNECTIONS_MAX = 200;
const AHEAD_BYTES = 1024 * 1024;

export function downloadBlob(repository: Repository, download: Download): Readable {
  return Readable.from(pieces(repository, download), { objectMode: false, highWaterMark: AHEAD_BYTES });
}

async function* pieces(repository: Repository, download: Download): AsyncGenerator<Buffer, void, void> {
  const { blob, attemptsMax, abort } = download;
  let done = 0;
  let attempt = 0;
  for (let connection = 1; done < blob.sizeBytes || connection === 1; connection += 1) {
    const before = done;
    try {
      for await (const piece of from(repository, blob, done, abort)) {
        done += piece.length;
        if (done > blob.sizeBytes)
          fail('invalid', `blob ${blob.digest} is longer than the ${blob.sizeBytes} bytes it should have`);
        download.onBytes(done);
        yield piece;
      }
      if (done < blob.sizeBytes)
        fail('unavailable', `the registry ended blob ${blob.digest} early: ${done} of ${blob.sizeBytes} bytes`);
    } catch (error) {
      abort.throwIfAborted();
      attempt = done > before ? 1 : attempt + 1;
      if (!isPassing(error) || attempt >= attemptsMax || connection >= CONNECTIONS_MAX) throw error;
      download.onRetry?.(error);
      await repository.session.pause(attempt, error, abort);
    }
  }
}

async function* from(
  repository: Repository,
  blob: Descriptor,
  offset: number,
  abort: AbortSignal,
): AsyncGenerator<Buffer, void, void> {
  const headers = offset === 0 ? {} : { Range: `bytes=${offset}-` };
  const response = await repository.session.send({
    path: repository.blobPath(blob.digest),
    headers,
    expect: [200, 206],
    abort,
  });
  let skip = offset - startOf(response);
  if (skip < 0) {
    response.destroy();
    fail('unavailable', `the registry left out a part of blob ${blob.digest}`);
  }
  try {
    for await (const chunk of response) {
      const piece = chunk as Buffer;
      if (skip < piece.length) yield skip === 0 ? piece : piece.subarray(skip);
      skip = Math.max(0, skip - piece.length);
    }
  } catch (cause) {
    if (cause instanceof CodedError) throw cause;
    throw new CodedError(
      'unavailable',
      `the connection broke while blob ${blob.digest} was read: ${sentenceOf(cause)}`,
    );
  } finally {
    response.destroy();
  }
}

/** A registry that does not know ranges starts anew. */
function startOf(response: IncomingMessage): number {
  if (response.statusCode === 200) return 0;
  const start = /^bytes (\d+)-/.exec(response.headers['content-range'] ?? '')?.[1];
  return start === undefined
    ? fail('unavailable', 'the registry does not say which part of the blob it sends')
    : Number(start);
}
