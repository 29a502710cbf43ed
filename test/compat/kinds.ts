// Which promise a difference touches: a status code, an exit code, a text that clients match, the shape of an answer; and
// whether the published description of the Engine API says what we say, so that the other engine is only older.
import type { Contract } from './contract.ts';
import { MATCHED } from './words.ts';

export type Kind = 'status code' | 'exit code' | 'matched text' | 'shape' | 'other';

export interface Touched {
  readonly kind: Exclude<Kind, 'other'>;
  readonly line: string;
  /** The description has ours, and does not ask for theirs. */
  readonly proven: boolean;
}

const SHAPE = /^([-+]) (\S.*) (null|string|number|boolean|array|object)$/;

/** The promises that the differing lines of one request touch. */
export function touchedBy(request: string, lines: readonly string[], contract: Contract | undefined): Touched[] {
  const [, method = '', path = ''] = /(GET|HEAD|POST|PUT|DELETE|PATCH) (\/\S*)/.exec(request) ?? [];
  const statuses = lines.filter((line) => /^[-+] status \d+$/.test(line));
  const ours = Number(
    statuses
      .find((line) => line.startsWith('+'))
      ?.split(' ')
      .at(-1),
  );
  const shapes = statuses.length > 0 ? [] : lines.filter((line) => SHAPE.test(line) && /^[-+] [.[]/.test(line));
  return [
    ...statuses
      .filter((line) => line.startsWith('+'))
      .map((line) => touched('status code', line, contract?.allows(method, path, ours) === true)),
    ...lines.filter((line) => /^\+ code \d+$/.test(line)).map((line) => touched('exit code', line, false)),
    ...matchedTexts(lines),
    ...shapes.flatMap((line) => shapeTouched(line, shapes, (at) => contract?.at(method, path, at))),
  ];
}

const touched = (kind: Touched['kind'], line: string, proven: boolean): Touched => ({ kind, line, proven });

/** A text is matched as clients do it: somewhere in what they were told, in any case. */
function matchedTexts(lines: readonly string[]): Touched[] {
  const said = (sign: string) => lines.filter((line) => line.startsWith(sign)).join('\n');
  return MATCHED.filter(({ text }) => text.test(said('-')) !== text.test(said('+'))).map(({ text, by }) =>
    touched('matched text', `${text} (${by})`, false),
  );
}

function shapeTouched(
  line: string,
  all: readonly string[],
  described: (at: string) => ReturnType<Contract['at']> | undefined,
): Touched[] {
  const [, sign, at = '', type = ''] = SHAPE.exec(line) ?? [];
  const says = described(at);
  if (says === 'free') return [];
  const fits = typeof says === 'object' && (says.types.includes(type) || says.types.includes('any'));
  const isNew = !all.some((other) => other.startsWith(`- ${at} `));
  if (sign === '+') return [touched('shape', line, fits || (type === 'null' && typeof says === 'object' && isNew))];
  return [touched('shape', line, says === 'not described' || (typeof says === 'object' && !fits && !says.nullable))];
}
