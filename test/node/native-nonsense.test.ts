// Whatever is said on the helper's sockets: the zygote and the shims go on, and nothing is left open.
import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { seededRandom } from '../../base/random.ts';
import type { LaunchRequest, NativeRuntime } from '../../runtime/native/contract.ts';
import {
  encodeAttach,
  encodeExec,
  encodeHello,
  encodeLaunch,
  encodePlain,
  encodeSignal,
} from '../../runtime/native/messages.ts';
import { FRAME } from '../../runtime/native/wire.ts';
import { Bench, collect, end, plainProcess, requireBench, runThrough } from './native-support.ts';

describe('nonsense on the helper’s sockets', function () {
  this.timeout(60_000);
  let bench: Bench;
  let runtime: NativeRuntime;
  let opened = false;

  before(async function () {
    requireBench(this);
    bench = new Bench();
    opened = true;
    runtime = await bench.open();
  });
  after(async () => {
    if (!opened) return;
    await runtime[Symbol.asyncDispose]();
    bench.dispose();
  });

  const hello = encodeHello('');
  const streams = { stdin: true, stdout: true, stderr: true };

  function valid(request: LaunchRequest): Buffer[] {
    return [
      Buffer.concat([hello, encodeSignal(1, 'nobody', 9)]),
      Buffer.concat([hello, encodeAttach(1, '', streams)]),
      Buffer.concat([hello, encodeExec(1, 'e', streams, plainProcess(['true']))]),
      Buffer.concat([hello, encodePlain(FRAME.start, 1), encodePlain(FRAME.acknowledge, 2)]),
      Buffer.concat([hello, hello]),
      Buffer.concat([encodePlain(FRAME.start, 1)]),
      Buffer.concat([hello, encodeLaunch(1, request)]),
      Buffer.from([0, 0, 0, 0, 0]),
      Buffer.from([255, 255, 255, 255, 255]),
    ];
  }

  it('does not disturb a shim', async () => {
    const request = bench.request(['sh', '-c', 'while read line; do echo "$line"; done'], { stdin: 'open' });
    const shim = await runtime.launch(request);
    const stdio = await shim.attach(streams);
    await shim.start();
    const shimPid = readFileSync(join(request.runDirectory, 'pid'), 'utf8').trim().split(' ')[2] ?? '';
    const open = (): number => readdirSync(`/proc/${shimPid}/fd`).length;
    const before = open();
    const random = seededRandom(11);
    for (let round = 0; round < 300; round++) {
      const bytes = pick(valid(request), random.below(9));
      // The kill request would be understood, so its number is kept out.
      for (let i = random.below(4); i > 0; i--) bytes[random.below(bytes.length)] = random.below(256);
      if (bytes.includes(FRAME.kill)) continue;
      await say(join(request.runDirectory, 's'), bytes.subarray(0, 1 + random.below(bytes.length)));
    }
    await stdio.write(Buffer.from('still here\n'));
    const first = await stdio.output[Symbol.asyncIterator]().next();
    assert.equal((first.value as { bytes: Buffer }).bytes.toString(), 'still here\n');
    const exec = await shim.exec(plainProcess(['echo', 'and serving']), { stdin: false, execId: 'last' });
    assert.equal((await collect((await exec.attach(streams)).output)).stdout, 'and serving\n');
    for (let i = 0; i < 100 && open() > before; i++) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.ok(open() <= before, `${open()} descriptors, ${before} before`);
    await end(shim, bench, request);
  });

  it('does not disturb the zygote', async () => {
    const random = seededRandom(12);
    const zygote = join(bench.directory, 'run/zygote');
    for (let round = 0; round < 100; round++) {
      const bytes = Buffer.from(random.bytes(1 + random.below(200)));
      await say(zygote, random.below(2) === 0 ? bytes : Buffer.concat([hello, bytes]));
    }
    assert.equal((await runThrough(runtime, bench, bench.request(['true']))).exitCode, 0);
  });
});

function pick(choices: readonly Buffer[], index: number): Buffer {
  return Buffer.from(choices[index] ?? Buffer.alloc(1));
}

/** Sends the bytes, takes what comes within a moment, and leaves. */
function say(path: string, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    socket.on('data', () => {});
    socket.write(bytes, () => setTimeout(() => socket.destroy(), 2));
  });
}
