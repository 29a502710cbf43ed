// Which processors and memory nodes there are. The kernel names them as `0-3,8`: some may be offline, and the numbers need
// not begin at 0. Read when asked, since both can come and go while the daemon runs.
import { readFileSync } from 'node:fs';
import { errnoOf } from '../../base/errors.ts';

/** A kernel without memory nodes has one. */
export function online(kind: 'cpu' | 'node'): string {
  try {
    return readFileSync(`/sys/devices/system/${kind}/online`, 'utf8').trim();
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    return '0';
  }
}

type Range = readonly [first: number, last: number];

/** Undefined for what is no such list. Ranges are not spelled out: their ends may be any number. */
function rangesOf(list: string): Range[] | undefined {
  if (!/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(list)) return undefined;
  const ranges = list.split(',').map((part): Range => {
    const [first = 0, last = first] = part.split('-').map(Number);
    return [first, last];
  });
  return ranges.some(([first, last]) => last < first) ? undefined : ranges;
}

export const isNumberList = (list: string): boolean => rangesOf(list) !== undefined;

/** Whether everything of `asked` is in `available`, whose ranges do not touch each other. */
export function isAvailable(asked: string, available: string): boolean {
  const there = rangesOf(available) ?? [];
  return (rangesOf(asked) ?? []).every(([first, last]) => there.some(([from, to]) => from <= first && last <= to));
}
