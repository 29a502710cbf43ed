// What a registry asks for with 401: the WWW-Authenticate header (RFC 9110, 11.6.1). Pure.

export interface Challenge {
  readonly scheme: string; // lower case: bearer, basic
  readonly parameters: Readonly<Record<string, string>>;
}

const TOKEN = /[^\s,="]+/y;
const PARAMETER = /([^\s,="]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))/y;
const GAP = /[\s,]*/y;

export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(header);
    if (match) at += match[0].length;
    return match;
  };
  while (at < header.length) {
    take(GAP);
    const parameter = take(PARAMETER);
    if (parameter) {
      const last = challenges.at(-1);
      const [, name = '', quoted, plain = ''] = parameter;
      if (last) last.parameters[name.toLowerCase()] = quoted?.replace(/\\(.)/g, '$1') ?? plain;
      continue;
    }
    const scheme = take(TOKEN);
    if (scheme) challenges.push({ scheme: scheme[0].toLowerCase(), parameters: {} });
    else at += 1;
  }
  return challenges;
}
