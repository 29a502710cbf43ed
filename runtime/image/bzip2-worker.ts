// The thread that unpacks bzip2: its work is slow, and the daemon's thread must not wait for it. It sends a piece when it
// is asked for one, so that nothing heaps up.
import { parentPort } from 'node:worker_threads';
import { codeOf, sentenceOf } from '../../base/errors.ts';
import { Bzip2Decoder } from './bzip2.ts';
import type { FromBzip2, ToBzip2 } from './bzip2-stream.ts';

const decoder = new Bzip2Decoder();
let pieces: Iterator<Uint8Array> = decoder.take(new Uint8Array(0));

parentPort?.on('message', (message: ToBzip2) => {
  parentPort?.postMessage(answer(message));
});

function answer(message: ToBzip2): FromBzip2 {
  try {
    if (message !== 'next') pieces = decoder.take(message === 'end' ? undefined : message);
    const { value, done } = pieces.next();
    return done === true ? 'more' : value;
  } catch (error) {
    return { code: codeOf(error), sentence: sentenceOf(error) };
  }
}
