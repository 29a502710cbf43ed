// A bit that has turned on a simulated disk, where production can and must see it: not in the last batch of the log, which
// nothing tells from a torn one.
import type { Random } from '../../base/random.ts';
import type { SimDisk } from './sim-disk.ts';

const FRAME = Buffer.from('Sfr1', 'latin1');
const FRAME_HEADER_BYTES = 28;

/** Turns a bit inside a batch of the log that a later whole one follows in the same file. False if there is none. */
export function flipSomething(disk: SimDisk, random: Random): boolean {
  const segments = disk.durableNames().filter((path) => /^log\/\d+\.wal$/.test(path));
  const newest = segments.at(-1);
  if (!newest) return false;
  return disk.flip(newest, (content) => {
    const frames = framesOf(content);
    const frame = frames[random.below(Math.max(1, frames.length - 1))];
    if (!frame || frames.length < 2) return undefined;
    return frame.from + random.below(frame.to - frame.from);
  });
}

/** Whole frames, as far as their lengths go. */
function framesOf(content: Buffer): { from: number; to: number }[] {
  const frames: { from: number; to: number }[] = [];
  let from = content.indexOf(FRAME);
  while (from >= 0 && content.length - from >= FRAME_HEADER_BYTES && content.subarray(from, from + 4).equals(FRAME)) {
    const to = from + FRAME_HEADER_BYTES + content.readUInt32BE(from + 4);
    if (to > content.length) break;
    frames.push({ from, to });
    from = to;
  }
  return frames;
}
