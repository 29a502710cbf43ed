// The compiled filters: every system call number of every architecture, against a plain reading of the policy.
// Needs a C compiler, but neither root nor seccomp itself: the program is run by a small interpreter below.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { nativeBinary } from '../../runtime/native/binary.ts';
import type { SeccompAction, SeccompPolicy } from '../../runtime/native/contract.ts';
import { defaultSeccomp } from '../../runtime/native/default-seccomp.ts';
import { ALL_CAPABILITIES, DEFAULT_CAPABILITIES } from '../../runtime/native/defaults.ts';
import { encodeExec } from '../../runtime/native/messages.ts';
import { plainProcess } from './native-support.ts';

const AUDIT: Readonly<Record<string, number>> = {
  x86_64: 0xc000003e,
  x86: 0x40000003,
  aarch64: 0xc00000b7,
  arm: 0x40000028,
};
const COLUMN: Readonly<Record<string, number>> = { x86_64: 0, x86: 1, aarch64: 2, arm: 3 };
const ALLOW = 0x7fff0000;
const KILL_PROCESS = 0x80000000;
const ENOSYS = 0x50000 | 38;

interface Call {
  readonly architecture: number;
  readonly number: number;
  readonly arguments: readonly bigint[];
}

describe('compiled seccomp filters', function () {
  this.timeout(60_000);
  let binary: string;
  const tables = readTable();

  before(async () => {
    binary = (await nativeBinary(process.env['SHOAL_TEST_CACHE'] ?? '/tmp/shoal-native-cache')).path;
  });

  function compile(policy: SeccompPolicy): Buffer {
    const streams = { stdin: false, stdout: false, stderr: false };
    const frame = encodeExec(1, 'x', streams, { ...plainProcess(['true']), seccomp: policy });
    return execFileSync(binary, ['seccomp-dump'], { input: frame });
  }

  function compare(policy: SeccompPolicy, interesting: readonly (readonly bigint[])[]): void {
    const program = compile(policy);
    for (const name of policy.architectures) {
      const table = tables[COLUMN[name] ?? 0] ?? new Map<number, string>();
      const largest = Math.max(...[...table.keys()].filter((number) => number < 10_000));
      for (const number of [...table.keys(), ...Array.from({ length: largest + 5 }, (_, i) => i), 5000, 0xefffff]) {
        for (const given of interesting) {
          const call = { architecture: AUDIT[name] ?? 0, number, arguments: given };
          const wanted = verdict(policy, table.get(number), number > largest, given);
          assert.equal(
            run(program, call) >>> 0,
            wanted >>> 0,
            `${name} ${table.get(number)} (${number}) ${given.join(',')}`,
          );
        }
      }
    }
  }

  const plain = [[0n, 0n, 0n, 0n, 0n, 0n]];
  const telling = [0n, 8n, 40n, 0x20008n, 0xffffffffn, 0x1_0000_0028n, 0x7e020000n, 0x10000000n, 0x100n, 2n ** 63n].map(
    (value) => [value, 0n, 0n, 0n, 0n, 0n],
  );

  for (const [what, policy] of [
    ['the default on x86_64', defaultSeccomp(DEFAULT_CAPABILITIES, 'x86_64')],
    ['the default with all capabilities', defaultSeccomp(ALL_CAPABILITIES, 'x86_64')],
    ['the default on aarch64', defaultSeccomp(DEFAULT_CAPABILITIES, 'aarch64')],
  ] as const) {
    it(`decide as the policy does: ${what}`, () => compare(policy, telling));
  }

  for (const operator of ['NE', 'LT', 'LE', 'EQ', 'GE', 'GT', 'MASKED_EQ'].map((name) => `SCMP_CMP_${name}`)) {
    it(`compare 64 bits: ${operator}`, () => {
      for (const value of [0n, 5n, 0xffffffffn, 0x1_0000_0000n, 0x5_0000_0005n, 2n ** 64n - 1n]) {
        const condition = { index: 2, operator, value, valueTwo: value & 0x5_0000_0004n };
        const rules = [{ names: ['getpid'], action: { kind: 'trap' }, arguments: [condition] }] as const;
        const policy: SeccompPolicy = { defaultAction: { kind: 'allow' }, architectures: ['x86_64'], rules };
        const program = compile(policy);
        const around = [value, value - 1n, value + 1n, value ^ 0x1_0000_0000n, 0n, 4n, 5n, 2n ** 64n - 1n];
        for (const argument of around.map((one) => BigInt.asUintN(64, one))) {
          const given = [9n, 9n, argument, 9n, 9n, 9n];
          const call = { architecture: AUDIT['x86_64'] ?? 0, number: 39, arguments: given };
          assert.equal(run(program, call), verdict(policy, 'getpid', false, given), `${argument} ${operator} ${value}`);
        }
      }
    });
  }

  it('take several conditions together, and two on one argument as alternatives', () => {
    const condition = (index: number, value: bigint) => ({ index, operator: 'SCMP_CMP_EQ', value, valueTwo: 0n });
    const rules = [
      { names: ['dup'], action: { kind: 'errno', errno: 7 }, arguments: [condition(0, 1n), condition(1, 2n)] },
      { names: ['dup2'], action: { kind: 'errno', errno: 8 }, arguments: [condition(0, 1n), condition(0, 2n)] },
    ] as const;
    const program = compile({ defaultAction: { kind: 'allow' }, architectures: ['x86_64'], rules });
    const ask = (number: number, ...given: bigint[]): number =>
      run(program, { architecture: AUDIT['x86_64'] ?? 0, number, arguments: [...given, 0n, 0n, 0n, 0n] });
    assert.deepEqual([ask(32, 1n, 2n), ask(32, 1n, 3n), ask(32, 2n, 2n)], [0x50007, ALLOW, ALLOW]);
    assert.deepEqual([ask(33, 1n, 0n), ask(33, 2n, 0n), ask(33, 3n, 0n)], [0x50008, 0x50008, ALLOW]);
  });

  it('refuse x32 and foreign architectures', () => {
    const program = compile(defaultSeccomp(ALL_CAPABILITIES, 'x86_64'));
    const call = (architecture: number, number: number): number =>
      run(program, { architecture, number, arguments: plain[0] ?? [] });
    assert.equal(call(AUDIT['x86_64'] ?? 0, 0x40000000 | 1), ENOSYS);
    assert.equal(call(AUDIT['aarch64'] ?? 0, 64), KILL_PROCESS);
  });

  it('stay short, so that loading them is quick', () => {
    assert.ok(compile(defaultSeccomp(DEFAULT_CAPABILITIES, 'x86_64')).length / 8 < 300);
  });

  it('are refused when they can not be compiled', () => {
    const policy: SeccompPolicy = { defaultAction: { kind: 'allow' }, architectures: ['vax'], rules: [] };
    assert.throws(() => compile(policy), /unknown seccomp architecture 'vax'/);
  });
});

/** The policy read plainly: conditional rules in order, then the first unconditional one, then the default. */
function verdict(policy: SeccompPolicy, name: string | undefined, isBeyond: boolean, given: readonly bigint[]): number {
  const fallback = policy.defaultAction;
  if (name === undefined) return isBeyond && fallback.kind === 'errno' ? ENOSYS : resultOf(fallback);
  const rules = policy.rules.filter(({ names }) => names.includes(name));
  const met = rules.find(
    (rule) => rule.arguments.length > 0 && rule.arguments.every((condition) => holds(condition, given)),
  );
  return resultOf((met ?? rules.find((rule) => rule.arguments.length === 0))?.action ?? fallback);
}

function holds(
  { index, operator, value, valueTwo }: SeccompPolicy['rules'][number]['arguments'][number],
  given: readonly bigint[],
): boolean {
  const argument = given[index] ?? 0n;
  switch (operator) {
    case 'SCMP_CMP_NE':
      return argument !== value;
    case 'SCMP_CMP_LT':
      return argument < value;
    case 'SCMP_CMP_LE':
      return argument <= value;
    case 'SCMP_CMP_EQ':
      return argument === value;
    case 'SCMP_CMP_GE':
      return argument >= value;
    case 'SCMP_CMP_GT':
      return argument > value;
    default:
      return (argument & value) === valueTwo;
  }
}

function resultOf(action: SeccompAction): number {
  switch (action.kind) {
    case 'allow':
      return ALLOW;
    case 'errno':
      return 0x50000 | action.errno;
    case 'trap':
      return 0x30000;
    case 'log':
      return 0x7ffc0000;
    case 'kill':
      return 0;
    case 'kill-process':
      return KILL_PROCESS;
  }
}

/** The classic BPF that seccomp allows, as far as the compiler uses it. */
function run(program: Buffer, call: Call): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(call.number >>> 0, 0);
  data.writeUInt32LE(call.architecture, 4);
  call.arguments.forEach((argument, i) => data.writeBigUInt64LE(argument, 16 + 8 * i));
  let accumulator = 0;
  for (let at = 0; at < program.length / 8; at++) {
    const [code, yes, no, value] = [
      program.readUInt16LE(8 * at),
      program[8 * at + 2] ?? 0,
      program[8 * at + 3] ?? 0,
      program.readUInt32LE(8 * at + 4),
    ];
    if (code === 0x20) accumulator = data.readUInt32LE(value);
    else if (code === 0x54) accumulator = (accumulator & value) >>> 0;
    else if (code === 0x05) at += value;
    else if (code === 0x06) return value;
    else if (code === 0x15) at += accumulator === value ? yes : no;
    else if (code === 0x25) at += accumulator > value ? yes : no;
    else if (code === 0x35) at += accumulator >= value ? yes : no;
    else throw new Error(`instruction ${code} at ${at}`);
  }
  throw new Error('the program ran off its end');
}

/** The helper's own table. */
function readTable(): Map<number, string>[] {
  const path = fileURLToPath(import.meta.url).replace(/(\/dist)?\/test\/node\/.*$/, '/runtime/native/seccomp_table.c');
  const columns = [0, 1, 2, 3].map(() => new Map<number, string>());
  for (const [, name, numbers] of readFileSync(path, 'utf8').matchAll(/\{"(\w+)", \{([^}]*)\}\}/g)) {
    (numbers ?? '').split(', ').forEach((number, i) => {
      if (Number(number) >= 0) columns[i]?.set(Number(number), name ?? '');
    });
  }
  return columns;
}
