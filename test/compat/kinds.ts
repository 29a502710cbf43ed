// Which promise a difference touches: a status code, an exit code, a text that clients match, the shape of an answer; and
// whether the published description of the Engine API says what we say, so that the other engine is only older.
import type { Contract, Described } from './contract.ts';
import type { Because } from './differences/listed.ts';
import type { Explained } from './report.ts';
import { MATCHED } from './words.ts';

export const KINDS = ['status code', 'exit code', 'matched text', 'shape'] as const;
export type Kind = (typeof KINDS)[number];

export interface Touched {
  readonly kind: Kind;
  readonly line: string;
  /** Why it is no difference of ours; undefined is what `npm run compat` fails for. */
  readonly because: 'the published description' | Because | undefined;
}

const SHAPE = /^([-+]) ((?:\.|\[\])\S*) (null|string|number|boolean|array|object)$/;

/** The promises that the differing lines of one request touch. */
export function touchedBy({ request, lines }: Explained, contract: Contract): Touched[] {
  const [, method = '', path = ''] = /(GET|HEAD|POST|PUT|DELETE|PATCH) (\/\S*)/.exec(request) ?? [];
  const texts = lines.map(({ line }) => line);
  const isStatus = texts.some((line) => /^[-+] status /.test(line));
  const described = (at: string): Described => contract.at(method, path, at);
  const touches = [...lines].map(({ line, entry }): Touched[] => {
    const because = entry.because;
    if (/^\+ code /.test(line)) return [{ kind: 'exit code', line, because }];
    const status = /^\+ status (\d+)$/.exec(line)?.[1];
    if (status !== undefined) {
      const isTheirs = contract.allows(method, path, Number(status)) === true;
      return [{ kind: 'status code', line, because: isTheirs ? 'the published description' : because }];
    }
    if (isStatus || !isShape(line, texts, described)) return [];
    return [
      { kind: 'shape', line, because: isAsDescribed(line, texts, described) ? 'the published description' : because },
    ];
  });
  return [...touches.flat(), ...matchedTexts(lines)];
}

/** A text is matched as clients do it: somewhere in what they were told, in any case. */
function matchedTexts(lines: Explained['lines']): Touched[] {
  const said = (sign: string) => lines.filter(({ line }) => line.startsWith(sign));
  const has = (sign: string, text: RegExp) => said(sign).some(({ line }) => text.test(line));
  return MATCHED.filter(({ text }) => has('-', text) !== has('+', text)).map(({ text, by }) => {
    const entry = lines.find(({ line }) => text.test(line))?.entry;
    return { kind: 'matched text', line: `${text} (${by})`, because: entry?.because };
  });
}

/** What stands in a table with free keys, or below an entry that one list has and the other has not, is content. */
function isShape(line: string, all: readonly string[], described: (at: string) => Described): boolean {
  const [, sign = '', at = ''] = SHAPE.exec(line) ?? [];
  if (at === '' || described(at) === 'free') return false;
  const isTable = (whole: string): boolean => Object(described(whole)).isTable === true;
  const prefixes = (whole: string) => [...whole.matchAll(/\./g)].map(({ index }) => whole.slice(0, index));
  const isContent = (whole: string): boolean => whole.endsWith('[]') || prefixes(whole).some(isTable);
  return !all.some((other) => {
    const [, otherSign, whole = '', type] = SHAPE.exec(other) ?? [];
    return otherSign === sign && type === 'object' && at.startsWith(whole) && isContent(whole);
  });
}

function isAsDescribed(line: string, all: readonly string[], described: (at: string) => Described): boolean {
  const [, sign, at = '', type = ''] = SHAPE.exec(line) ?? [];
  const says = described(at);
  const fits = typeof says === 'object' && (says.types.includes(type) || says.types.includes('any'));
  const isNew = typeof says === 'object' && !all.some((other) => other.startsWith(`- ${at} `));
  if (sign === '+') return fits || (type === 'null' && isNew);
  return says === 'not described' || (typeof says === 'object' && !fits && !says.nullable);
}
