// Entry of the consensus worker: a thread of its own, so that a busy main thread does not look like a dead leader.
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { invariant } from '../../base/assert.ts';
import { systemClock } from '../../base/clock.ts';
import { codeOf, sentenceOf } from '../../base/errors.ts';
import { systemRandom } from '../../base/random.ts';
import { systemDisk } from '../../base/system-disk.ts';
import { ConsensusWorker } from './consensus-worker.ts';
import type { FromWorker, ToWorker, WorkerOptions } from './worker-protocol.ts';

const port = parentPort;
invariant(port, 'worker.js is started as a worker thread');
const options = workerData as WorkerOptions;
const post = (message: FromWorker, transfer: readonly ArrayBuffer[] = []): void =>
  port.postMessage(message, [...transfer]);

/** A machine that is short of processors must not look like one whose leader is dead. Linux takes this for the thread alone. */
const NICENESS = -10;

function preferThisThread(): void {
  try {
    setPriority(0, NICENESS);
  } catch (error) {
    post({
      type: 'log',
      level: 'debug',
      event: 'consensus runs at ordinary priority',
      fields: { reason: sentenceOf(error) },
    });
  }
}

preferThisThread();
try {
  const worker = await ConsensusWorker.start(options, {
    post,
    clock: systemClock,
    random: systemRandom,
    disk: systemDisk(options.directory),
  });
  port.on('message', (message: ToWorker) => worker.onMessage(message));
  post({ type: 'started' });
} catch (error) {
  post({ type: 'start-failed', code: codeOf(error), message: sentenceOf(error) });
}
