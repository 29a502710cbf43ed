// The thread that unpacks bzip2 or xz: its work is slow, and the daemon's thread must not wait for it. It sends a piece when
// it is asked for one, so that nothing heaps up.
import { parentPort, workerData } from 'node:worker_threads';
import { codeOf, sentenceOf } from '../../base/errors.ts';
import { Bzip2Decoder } from './bzip2.ts';
import { gathered } from './gathered.ts';
import type { FromUnpacker, OwnFormat, ToUnpacker } from './unpack-stream.ts';
import { XzDecoder } from './xz.ts';

const PIECE_BYTES = 64 * 1024;

const decoder = (workerData as OwnFormat) === 'xz' ? new XzDecoder() : new Bzip2Decoder();
let pieces: Iterator<Uint8Array> = decoder.take(new Uint8Array(0));

parentPort?.on('message', (message: ToUnpacker) => {
  const told = answer(message);
  // A piece is moved and not copied: no decoder looks at one again.
  parentPort?.postMessage(told, told instanceof Uint8Array ? [told.buffer as ArrayBuffer] : []);
});

function answer(message: ToUnpacker): FromUnpacker {
  try {
    if (message !== 'next') pieces = gathered(decoder.take(message === 'end' ? undefined : message), PIECE_BYTES);
    const { value, done } = pieces.next();
    return done === true ? 'more' : value;
  } catch (error) {
    return { code: codeOf(error), sentence: sentenceOf(error) };
  }
}
