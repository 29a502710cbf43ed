// Dockerfile lines given to `import` or `commit` with `--change`: how they change an image's config. Pure.
import { fail } from '../../base/errors.ts';
import { asArray, asString } from '../../base/parse.ts';
import { parseDurationMs } from '../../base/units.ts';
import type { ImageConfig } from './contract.ts';
import { EMPTY_CONFIG } from './image-config.ts';

type Change = (config: ImageConfig, rest: string) => ImageConfig;

const CHANGES: Readonly<Record<string, Change>> = {
  CMD: (config, rest) => ({ ...config, command: commandOf(rest) }),
  ENTRYPOINT: (config, rest) => ({ ...config, entrypoint: commandOf(rest) }),
  ENV: (config, rest) => ({ ...config, env: pairsOf('ENV', rest).reduce(withVariable, config.env) }),
  EXPOSE: (config, rest) => ({ ...config, exposedPorts: union(config.exposedPorts, wordsOf(rest).map(portOf)) }),
  WORKDIR: (config, rest) => ({ ...config, workingDirectory: joined(config.workingDirectory, rest) }),
  USER: (config, rest) => ({ ...config, user: rest }),
  LABEL: (config, rest) => ({ ...config, labels: { ...config.labels, ...Object.fromEntries(pairsOf('LABEL', rest)) } }),
  VOLUME: (config, rest) => ({ ...config, volumes: union(config.volumes, jsonList(rest) ?? wordsOf(rest)) }),
  STOPSIGNAL: (config, rest) => ({ ...config, stopSignal: rest }),
  HEALTHCHECK: (config, rest) => ({ ...config, healthCheck: healthCheckOf(rest) }),
  ONBUILD: (config, rest) => ({ ...config, onBuild: [...(config.onBuild ?? []), triggerOf(rest)] }),
};

/** `config` with the lines applied in order; `commit` starts from a container's config. */
export function applyChanges(lines: readonly string[], config: ImageConfig = EMPTY_CONFIG): ImageConfig {
  return lines
    .flatMap((line) => line.split('\n'))
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .reduce(applyChange, config);
}

function applyChange(config: ImageConfig, line: string): ImageConfig {
  const [word = ''] = line.split(/\s/, 1);
  const change = CHANGES[word.toUpperCase()] ?? fail('invalid', `${word.toLowerCase()} is not a valid change command`);
  const rest = line.slice(word.length).trim();
  if (rest === '') fail('invalid', `${word.toUpperCase()} requires at least one argument`);
  return change(config, rest);
}

/** A JSON list is an exec form; everything else is run by the shell. */
function commandOf(rest: string): string[] {
  return jsonList(rest) ?? ['/bin/sh', '-c', rest];
}

function jsonList(rest: string): string[] | undefined {
  if (!rest.startsWith('[')) return undefined;
  try {
    return asArray(JSON.parse(rest) as unknown, 'change', asString);
  } catch {
    return undefined; // as Docker: what is not a JSON list of strings is shell text
  }
}

/** Words with quotes and backslashes taken off, as in a Dockerfile. */
function wordsOf(rest: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let index = 0; index < rest.length; index += 1) {
    const char = rest.charAt(index);
    if (char === '\\' && quote !== "'" && index + 1 < rest.length) {
      index += 1;
      word = (word ?? '') + rest.charAt(index);
    } else if (quote !== '') {
      if (char === quote) quote = '';
      else word = (word ?? '') + char;
    } else if (char === '"' || char === "'") {
      quote = char;
      word ??= '';
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + char;
    }
  }
  if (quote !== '')
    fail(
      'invalid',
      `unexpected end of statement while looking for matching ${quote === '"' ? 'double' : 'single'}-quote`,
    );
  return word === undefined ? words : [...words, word];
}

/** `NAME=value …`, or the old form `NAME the rest`. */
function pairsOf(command: string, rest: string): [string, string][] {
  const words = wordsOf(rest);
  const [first = ''] = words;
  if (!first.includes('=')) {
    const value = rest.slice(first.length).trim();
    if (value === '') fail('invalid', `${command} must have two arguments`);
    return [[first, value]];
  }
  return words.map((word) => {
    const equals = word.indexOf('=');
    if (equals <= 0) fail('invalid', `Syntax error - can't find = in "${word}". Must be of the form: name=value`);
    return [word.slice(0, equals), word.slice(equals + 1)];
  });
}

function withVariable(env: readonly string[], [name, value]: [string, string]): string[] {
  return [...env.filter((entry) => !entry.startsWith(`${name}=`)), `${name}=${value}`];
}

function portOf(word: string): string {
  const match = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/i.exec(word);
  if (!match || Number(match[1]) > 65_535) fail('invalid', `invalid containerPort: ${word}`);
  return `${Number(match[1])}/${match[2]?.toLowerCase() ?? 'tcp'}`;
}

const union = (a: readonly string[], b: readonly string[]): string[] => [...new Set([...a, ...b])].sort();

const joined = (current: string, path: string): string =>
  path.startsWith('/') ? path : `${current === '/' ? '' : current}/${path}`;

function triggerOf(rest: string): string {
  const [word = ''] = rest.split(/\s/, 1);
  const trigger = word.toUpperCase();
  if (trigger === 'ONBUILD') fail('invalid', "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (trigger === 'FROM' || trigger === 'MAINTAINER') fail('invalid', `${trigger} isn't allowed as an ONBUILD trigger`);
  return rest;
}

function healthCheckOf(rest: string): NonNullable<ImageConfig['healthCheck']> {
  const none = { intervalMs: 0, timeoutMs: 0, startPeriodMs: 0, startIntervalMs: 0, retries: 0 };
  if (rest.toUpperCase() === 'NONE') return { ...none, test: ['NONE'] };
  let text = rest;
  const flags: Record<string, string> = {};
  for (let match = /^--([a-z-]+)=(\S+)\s*/.exec(text); match; match = /^--([a-z-]+)=(\S+)\s*/.exec(text)) {
    flags[match[1] ?? ''] = match[2] ?? '';
    text = text.slice(match[0].length);
  }
  const command = /^CMD\s+(.*)$/is.exec(text)?.[1] ?? fail('invalid', `Unknown type in HEALTHCHECK (try CMD): ${text}`);
  const list = jsonList(command);
  return { ...none, ...healthFlags(flags), test: list ? ['CMD', ...list] : ['CMD-SHELL', command] };
}

function healthFlags(flags: Readonly<Record<string, string>>): Partial<NonNullable<ImageConfig['healthCheck']>> {
  const periods = {
    interval: 'intervalMs',
    timeout: 'timeoutMs',
    'start-period': 'startPeriodMs',
    'start-interval': 'startIntervalMs',
  } as const;
  const result: Record<string, number> = {};
  for (const [name, value] of Object.entries(flags)) {
    if (name === 'retries') {
      result['retries'] = /^\d+$/.test(value)
        ? Number(value)
        : fail('invalid', `--retries must be a number, not '${value}'`);
    } else {
      const field = Object.hasOwn(periods, name) ? periods[name as keyof typeof periods] : undefined;
      result[field ?? fail('invalid', `unknown flag: ${name}`)] = parseDurationMs(value);
    }
  }
  return result;
}
