// One life of a member's storage in a process of its own: opens the directory, says what it found, writes on, says what
// was acknowledged, and is killed at a counted operation. Argument: JSON. Standard output: a line each.
import { writeSync } from 'node:fs';
import { systemRandom } from '../../base/random.ts';
import { systemDisk } from '../../base/system-disk.ts';
import { Storage } from '../../manager/raft/storage.ts';
import { type Death, dyingDisk } from './dying-disk.ts';
import { after, carryOut, NODE_KEYS, nextStep, randomOf, stateOf } from './history.ts';

export interface Life {
  readonly directory: string;
  readonly seed: number;
  readonly death: Death;
}

const STEPS_MAX = 60;
const life = JSON.parse(process.argv[2] ?? '') as Life;
const say = (line: object): void => void writeSync(1, `${JSON.stringify(line)}\n`);

const disk = dyingDisk(systemDisk(life.directory), life.death);
const deps = {
  disk,
  random: systemRandom,
  clusterId: 'crash',
  nodeId: 'n1',
  segmentBytesMax: 4_000,
  nodeKeys: NODE_KEYS,
};
let { storage, initial, recovered } = await Storage.open(deps);
let state = stateOf(initial);
say({ found: state, tornBytes: recovered.tornBytes });
const random = randomOf(life.seed);
for (let steps = 0; steps < STEPS_MAX; steps += 1) {
  const step = nextStep(state, random);
  say({ begun: step });
  if (step.kind === 'restart') {
    await storage.close();
    ({ storage, initial, recovered } = await Storage.open(deps));
    if (recovered.tornBytes > 0) throw new Error('a clean stop left a torn end');
    state = stateOf(initial);
  } else {
    await carryOut(storage, state, step);
    state = after(state, step);
  }
  say({ acknowledged: true });
}
await storage.close();
