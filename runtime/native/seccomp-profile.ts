// Profiles in moby's JSON format, resolved for one container: includes and excludes are decided here, by capability,
// architecture and kernel, so that the helper only gets rules that apply.
import { asArray, asInteger, asObject, asOneOf, asString, optional } from '../../base/parse.ts';
import type { SeccompAction, SeccompPolicy } from './contract.ts';

export type SeccompRule = SeccompPolicy['rules'][number];

/** What decides whether a rule applies. Names of architectures are Go's: amd64, arm64. */
export interface SeccompFacts {
  readonly capabilities: readonly string[];
  readonly architecture: string; // x86_64, aarch64
  readonly kernel: readonly [major: number, minor: number];
}

interface Condition {
  readonly capabilities: readonly string[];
  readonly architectures: readonly string[];
  readonly kernel: readonly [number, number] | undefined;
}

const EPERM = 1;
const GO_ARCHITECTURE: Readonly<Record<string, string>> = { x86_64: 'amd64', aarch64: 'arm64', arm: 'arm', x86: 'x86' };
const ARCHITECTURE: Readonly<Record<string, string>> = {
  SCMP_ARCH_X86_64: 'x86_64',
  SCMP_ARCH_X86: 'x86',
  SCMP_ARCH_AARCH64: 'aarch64',
  SCMP_ARCH_ARM: 'arm',
};
const ACTION = {
  SCMP_ACT_ALLOW: 'allow',
  SCMP_ACT_ERRNO: 'errno',
  SCMP_ACT_KILL: 'kill',
  SCMP_ACT_KILL_THREAD: 'kill',
  SCMP_ACT_KILL_PROCESS: 'kill-process',
  SCMP_ACT_TRAP: 'trap',
  SCMP_ACT_LOG: 'log',
} as const;
const OPERATORS = [
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
] as const;

/** Parses a profile (an already parsed JSON value) and keeps what applies. Throws `invalid` naming the field. */
export function resolveSeccompProfile(json: unknown, facts: SeccompFacts): SeccompPolicy {
  const profile = asObject(json, 'seccomp profile');
  const errno = optional(profile['defaultErrnoRet'], 'defaultErrnoRet', asErrno) ?? EPERM;
  const entries = optional(profile['syscalls'], 'syscalls', (list, path) => asArray(list, path, asEntry)) ?? [];
  return {
    defaultAction: asAction(profile['defaultAction'], 'defaultAction', errno),
    architectures: architecturesOf(profile, facts.architecture),
    rules: entries
      .filter(({ when, unless }) => meets(when, facts) && !isExcluded(unless, facts))
      .map(({ rule }) => rule),
  };
}

function asEntry(value: unknown, path: string) {
  const entry = asObject(value, path);
  const errno = optional(entry['errnoRet'], `${path}.errnoRet`, asErrno) ?? EPERM;
  const one = optional(entry['name'], `${path}.name`, asString);
  const names = optional(entry['names'], `${path}.names`, (list, at) => asArray(list, at, asString)) ?? [];
  const rule: SeccompRule = {
    names: one === undefined || one === '' ? names : [one, ...names],
    action: asAction(entry['action'], `${path}.action`, errno),
    arguments: optional(entry['args'], `${path}.args`, (list, at) => asArray(list, at, asArgument)) ?? [],
  };
  const when = optional(entry['includes'], `${path}.includes`, asCondition);
  const unless = optional(entry['excludes'], `${path}.excludes`, asCondition);
  return { rule, when, unless };
}

function asArgument(value: unknown, path: string): SeccompRule['arguments'][number] {
  const argument = asObject(value, path);
  return {
    index: asInteger(argument['index'], `${path}.index`, { min: 0, max: 5 }),
    operator: asOneOf(argument['op'], `${path}.op`, OPERATORS),
    value: BigInt(asInteger(argument['value'], `${path}.value`, { min: 0 })),
    valueTwo: BigInt(optional(argument['valueTwo'], `${path}.valueTwo`, asInteger) ?? 0),
  };
}

function asCondition(value: unknown, path: string): Condition {
  const condition = asObject(value, path);
  const strings = (key: string): readonly string[] =>
    optional(condition[key], `${path}.${key}`, (list, at) => asArray(list, at, asString)) ?? [];
  return {
    capabilities: strings('caps'),
    architectures: strings('arches'),
    kernel: optional(condition['minKernel'], `${path}.minKernel`, asKernel),
  };
}

function asKernel(value: unknown, path: string): [number, number] {
  const [major, minor] = asString(value, path).split('.').map(Number);
  return [asInteger(major, path, { min: 0 }), asInteger(minor ?? 0, path, { min: 0 })];
}

const asErrno = (value: unknown, path: string): number => asInteger(value, path, { min: 0, max: 4095 });

function asAction(value: unknown, path: string, errno: number): SeccompAction {
  const names = Object.keys(ACTION) as (keyof typeof ACTION)[];
  const kind = ACTION[asOneOf(value, path, names)];
  return kind === 'errno' ? { kind, errno } : { kind };
}

function architecturesOf(profile: Readonly<Record<string, unknown>>, architecture: string): string[] {
  const listed = optional(profile['architectures'], 'architectures', (list, path) => asArray(list, path, asString));
  if (listed !== undefined && listed.length > 0) return known(listed);
  const map =
    optional(profile['archMap'], 'archMap', (list, path) =>
      asArray(list, path, (value, at) => {
        const entry = asObject(value, at);
        const others = optional(entry['subArchitectures'], `${at}.subArchitectures`, (l, p) => asArray(l, p, asString));
        return [asString(entry['architecture'], `${at}.architecture`), ...(others ?? [])];
      }),
    ) ?? [];
  const own = map.find(([first]) => ARCHITECTURE[first ?? ''] === architecture);
  return own === undefined ? [architecture] : known(own);
}

/** Architectures that this machine can not run, and x32, which the helper always refuses, are left out. */
const known = (names: readonly string[]): string[] => names.flatMap((name) => ARCHITECTURE[name] ?? []);

/** All that is named must hold; of several architectures one. */
function meets(when: Condition | undefined, facts: SeccompFacts): boolean {
  if (when === undefined) return true;
  if (!when.capabilities.every((name) => facts.capabilities.includes(name))) return false;
  if (when.architectures.length > 0 && !namesOwn(when, facts)) return false;
  return when.kernel === undefined || isAtLeast(facts.kernel, when.kernel);
}

/** One of what is named suffices. */
function isExcluded(unless: Condition | undefined, facts: SeccompFacts): boolean {
  if (unless === undefined) return false;
  if (unless.capabilities.some((name) => facts.capabilities.includes(name)) || namesOwn(unless, facts)) return true;
  return unless.kernel !== undefined && isAtLeast(facts.kernel, unless.kernel);
}

function namesOwn(condition: Condition, facts: SeccompFacts): boolean {
  return condition.architectures.includes(GO_ARCHITECTURE[facts.architecture] ?? facts.architecture);
}

const isAtLeast = (have: readonly [number, number], want: readonly [number, number]): boolean =>
  have[0] > want[0] || (have[0] === want[0] && have[1] >= want[1]);
