// A process that holds a runtime, for tests that kill it. One JSON line in: { number, method, args }; one line out:
// { number, result } or { number, error }. Methods are those of `Containers`; `ready` comes first.
import { createInterface } from 'node:readline';
import process from 'node:process';
import { systemClock } from '../../base/clock.ts';
import { codeOf, sentenceOf } from '../../base/errors.ts';
import { systemRandom } from '../../base/random.ts';
import { createNetworks } from '../../runtime/network/networks.ts';
import { nativeBinary } from '../../runtime/native/binary.ts';
import { LAB_LOG, NATIVE_CACHE, openLabNative, openLabRuntime } from './runtime-lab.ts';

const [root = '', namespace = '', cgroupParent = ''] = process.argv.slice(2);
const { path, sourceHash } = await nativeBinary(NATIVE_CACHE);
const networks = await createNetworks({
  netd: { command: 'nsenter', args: [`--net=${namespace}`, path, 'netd', sourceHash] },
  dataRoot: `${root}/net/data`,
  execRoot: `${root}/net/run`,
  clock: systemClock,
  random: systemRandom,
  log: LAB_LOG,
  auditPeriodMs: 0,
});
const runtime = await openLabRuntime({ root, cgroupParent, native: await openLabNative(root), networks });
const containers = runtime.containers as unknown as Record<string, (...args: unknown[]) => unknown>;

const methods: Record<string, (...args: unknown[]) => unknown> = {
  wait: (reference, condition) =>
    runtime.containers.wait(String(reference), condition as never, new AbortController().signal),
  async close() {
    await runtime[Symbol.asyncDispose]();
    await networks.destroy();
    process.exit(0);
  },
};

const reply = (value: object): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
reply({ number: 0, result: 'ready' });

for await (const line of createInterface({ input: process.stdin })) {
  const { number, method, args } = JSON.parse(line) as { number: number; method: string; args: unknown[] };
  const call = async (): Promise<unknown> =>
    methods[method] ? await methods[method](...args) : await containers[method]?.call(runtime.containers, ...args);
  call().then(
    (result) => reply({ number, result: result ?? null }),
    (error: unknown) => reply({ number, error: sentenceOf(error), code: codeOf(error) }),
  );
}
