// The thread that hashes big layers, so that the daemon's main thread stays free.
import { parentPort } from 'node:worker_threads';
import { codeOf, sentenceOf } from '../../base/errors.ts';
import { invariant } from '../../base/assert.ts';
import { digestLayer } from './digest.ts';

invariant(parentPort, 'the digest worker runs as a thread');
const port = parentPort;

port.on('message', ({ number, path }: { number: number; path: string }) => {
  digestLayer(path).then(
    (result) => port.postMessage({ number, result }),
    (error: unknown) => port.postMessage({ number, code: codeOf(error), message: sentenceOf(error) }),
  );
});
