// Signals as people write them: SIGTERM, TERM, term, 15, RTMIN+3.
import { constants } from 'node:os';
import { fail } from '../../base/errors.ts';

const REALTIME_FIRST = 34;
const REALTIME_LAST = 64;
const NUMBERS: Readonly<Record<string, number>> = constants.signals;

export function parseSignal(text: string): number {
  const name = text.toUpperCase().replace(/^SIG/, '');
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    if (number >= 1 && number <= REALTIME_LAST) return number;
    return fail(
      'invalid',
      number === 0 ? `Invalid signal: ${text}` : `the linux daemon does not support signal ${text}`,
    );
  }
  const realtime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (realtime) {
    const offset = Number(realtime[3] ?? 0) * (realtime[2] === '-' ? -1 : 1);
    const number = (realtime[1] === 'MIN' ? REALTIME_FIRST : REALTIME_LAST) + offset;
    if (number >= REALTIME_FIRST && number <= REALTIME_LAST) return number;
  }
  const known = Object.hasOwn(NUMBERS, `SIG${name}`) ? NUMBERS[`SIG${name}`] : undefined;
  return known ?? fail('invalid', `Invalid signal: ${text}`);
}

export const SIGKILL = constants.signals.SIGKILL;
export const SIGTERM = constants.signals.SIGTERM;
