// Works on the runtime itself, in this process: what can not be seen from outside a daemon.
import { execFileSync } from 'node:child_process';
import { createReadStream, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { ImageStore } from '../../runtime/image/images.ts';
import { openLabNative, RuntimeLab } from '../support/runtime-lab.ts';

const STARTS = 100;
const RESOLUTION_MS = 1;

/** How late a timer of a millisecond comes while a container is created, started and removed; p99 of the starts' worst. */
export async function holdOfLoop(): Promise<number> {
  await using lab = await RuntimeLab.open();
  const worst: number[] = [];
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  for (let start = 0; start < STARTS + 10; start++) {
    delay.reset();
    delay.enable();
    const id = await lab.create({ command: ['sleep', '1000'] });
    await lab.runtime.containers.start(id);
    delay.disable();
    if (start >= 10) worst.push(delay.max / 1e6 - RESOLUTION_MS); // the first ones compile
    await lab.runtime.containers.remove(id, { force: true, volumes: true });
  }
  return worst.sort((a, b) => a - b)[Math.ceil(STARTS * 0.99) - 1] ?? 0;
}

/** Megabytes a second of a layer as it is when unpacked, from a compressed archive, everything in memory. */
export async function unpackRate(): Promise<number> {
  const root = mkdtempSync('/dev/shm/bench-unpack-');
  const native = await openLabNative(root);
  try {
    const archive = join(root, 'layer.tar');
    // Programs and their libraries: files of every size that compress as images do.
    const folders = ['sbin', 'lib/python3', 'share/perl'].filter((name) => existsSync(join('/usr', name)));
    execFileSync('tar', ['-C', '/usr', '-cf', archive, ...folders]);
    const bytes = statSync(archive).size;
    execFileSync('gzip', [archive]);
    const images = await ImageStore.open({
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      root: join(root, 'image'),
      unpack: (directory, choice) => native.unpack(directory, choice),
      onEvent: () => undefined,
    });
    const startMs = performance.now();
    await images.import(createReadStream(`${archive}.gz`), { target: 'unpacked:1', changes: [], message: '' });
    return bytes / 1e6 / ((performance.now() - startMs) / 1000);
  } finally {
    await native[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  }
}
