// Loaded first by daemons whose wall clock is to be shifted: the number in the file is added to the time, in milliseconds.
// Monotonic time is left alone, as a real clock's shift leaves it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const LOOK_EVERY_MS = 50;
const FILE = 'SHOAL_SHIFTED_CLOCK';

const dataRoot = process.argv[process.argv.indexOf('--data-root') + 1] ?? '';
process.env[FILE] ??= join(dataRoot, 'clock-shift'); // threads get the environment, but not the arguments
const file = process.env[FILE];

let shiftMs = 0;
setInterval(() => {
  try {
    shiftMs = Number(readFileSync(file, 'utf8'));
  } catch {
    shiftMs = 0; // nobody has shifted it yet
  }
}, LOOK_EVERY_MS).unref();

const realNow = Date.now.bind(Date);
class ShiftedDate extends Date {
  constructor(...given: [] | [number | string | Date]) {
    super(given[0] ?? realNow() + shiftMs);
  }
  static override now(): number {
    return realNow() + shiftMs;
  }
}
Object.assign(globalThis, { Date: ShiftedDate });
