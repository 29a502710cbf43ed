// Formats that Node does not undo by itself, as a step of a pipeline. The work is done in a thread of its own, which lives
// as long as the stream.
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { Worker } from 'node:worker_threads';
import { CodedError, type ErrorCode } from '../../base/errors.ts';

export type OwnFormat = 'bzip2' | 'xz';
/** Packed bytes, the end of them, or the wish for the next piece. */
export type ToUnpacker = Uint8Array | 'end' | 'next';
/** A piece; that what came is used up; or what is wrong with it. */
export type FromUnpacker = Uint8Array | 'more' | { readonly code: ErrorCode; readonly sentence: string };

export const ownDecompressor = (format: OwnFormat): Duplex =>
  Duplex.from(async function* (packed: AsyncIterable<Buffer>): AsyncGenerator<Uint8Array> {
    const worker = new Worker(new URL('./unpack-worker.js', import.meta.url), { workerData: format });
    try {
      for await (const bytes of packed) yield* piecesOf(worker, bytes);
      yield* piecesOf(worker, 'end');
    } finally {
      await worker.terminate();
    }
  });

async function* piecesOf(worker: Worker, first: ToUnpacker): AsyncGenerator<Uint8Array> {
  for (let message = first; ; message = 'next') {
    const answered = once(worker, 'message') as Promise<[FromUnpacker]>; // rejects when the thread fails
    worker.postMessage(message);
    const [answer] = await answered;
    if (answer === 'more') return;
    if (!(answer instanceof Uint8Array)) throw new CodedError(answer.code, answer.sentence);
    yield Buffer.from(answer.buffer, answer.byteOffset, answer.length);
  }
}
