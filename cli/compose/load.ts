// Reads a compose file (version 3 and the newer form without a version) into what `stack deploy` uses.
// Every problem names file, line and column. Variables: $NAME, ${NAME}, ${NAME:-default}, ${NAME-default}, $$.
import { isMap, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import { fail } from '../../base/errors.ts';
import { asObject, type Json } from '../../base/parse.ts';

export interface ComposeFile {
  readonly services: Readonly<Record<string, Json>>;
  readonly networks: Readonly<Record<string, Json>>;
}

const TOP_KEYS = ['version', 'name', 'services', 'networks', 'volumes', 'secrets', 'configs'];
export const SERVICE_KEYS = [
  'image',
  'command',
  'entrypoint',
  'environment',
  'labels',
  'ports',
  'networks',
  'volumes',
  'deploy',
  'healthcheck',
  'hostname',
  'user',
  'working_dir',
  'stop_signal',
  'stop_grace_period',
  'read_only',
  'init',
  'tty',
  'stdin_open',
  'cap_add',
  'cap_drop',
  'extra_hosts',
  'dns',
  'dns_search',
  'logging',
  'sysctls',
  'ulimits',
  'depends_on',
];

export function loadCompose(
  text: string,
  file: string,
  env: Readonly<Record<string, string | undefined>>,
): ComposeFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, merge: true, uniqueKeys: true });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const [problem] = document.errors;
  if (problem) fail('invalid', `${at(problem.pos[0])}: ${problem.message.split('\n')[0]}`);
  checkKeys(document.contents, TOP_KEYS, at);
  const services = document.get('services');
  if (isMap(services)) {
    for (const pair of services.items) checkKeys(pair.value as Node | null, SERVICE_KEYS, at);
  }
  const json = asObject(interpolate(document.toJS(), env), file);
  for (const part of ['secrets', 'configs']) {
    if (json[part]) fail('not-implemented', `${file}: ${part} are not supported yet`);
  }
  return {
    services: asObject(json['services'] ?? {}, 'services') as Record<string, Json>,
    networks: asObject(json['networks'] ?? {}, 'networks') as Record<string, Json>,
  };
}

function checkKeys(node: Node | null | undefined, known: readonly string[], at: (offset: number) => string): void {
  if (!isMap(node)) return;
  for (const { key } of node.items) {
    if (!isScalar(key)) continue;
    const name = String(key.value);
    if (known.includes(name) || name.startsWith('x-')) continue;
    const near = known.find((candidate) => distance(candidate, name) <= 2);
    const hint = near ? `, did you mean ${near}?` : '';
    fail('invalid', `${at(key.range?.[0] ?? 0)}: unknown or unsupported key '${name}'${hint}`);
  }
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

function interpolate(value: unknown, env: Readonly<Record<string, string | undefined>>): unknown {
  if (typeof value === 'string') return expand(value, env);
  if (Array.isArray(value)) return value.map((item) => interpolate(item, env));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, interpolate(item, env)]));
}

function expand(text: string, env: Readonly<Record<string, string | undefined>>): string {
  return text.replace(
    /\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-?])([^}]*))?\})/g,
    (_, dollar?: string, plain?: string, braced?: string, operator?: string, word = '') => {
      if (dollar) return '$';
      const name = plain ?? braced ?? '';
      const value = env[name];
      const missing = value === undefined || (operator?.startsWith(':') === true && value === '');
      if (!missing) return value;
      if (operator?.endsWith('?')) fail('invalid', `variable ${name} is required: ${word}`);
      return word;
    },
  );
}
