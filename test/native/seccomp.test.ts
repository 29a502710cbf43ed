import { strict as assert } from 'node:assert';
import type { SeccompPolicy } from '../../runtime/native/contract.ts';
import { defaultSeccomp, seccompArchitecture } from '../../runtime/native/default-seccomp.ts';
import { ALL_CAPABILITIES, DEFAULT_CAPABILITIES } from '../../runtime/native/defaults.ts';
import { resolveSeccompProfile } from '../../runtime/native/seccomp-profile.ts';

const rulesOf = (policy: SeccompPolicy, name: string) => policy.rules.filter(({ names }) => names.includes(name));
const facts = { capabilities: DEFAULT_CAPABILITIES, architecture: 'x86_64', kernel: [6, 1] } as const;

describe('the default seccomp policy', () => {
  const plain = defaultSeccomp(DEFAULT_CAPABILITIES, 'x86_64');

  it('answers EPERM to what it does not name', () => {
    assert.deepEqual(plain.defaultAction, { kind: 'errno', errno: 1 });
    for (const name of ['mount', 'unshare', 'bpf', 'keyctl', 'io_uring_setup', 'kexec_load', 'userfaultfd']) {
      assert.deepEqual(rulesOf(plain, name), [], name);
    }
  });

  it('lets clone make no namespaces and hides clone3', () => {
    assert.deepEqual(
      rulesOf(plain, 'clone').map((rule) => rule.arguments[0]?.value),
      [0x7e020000n],
    );
    assert.deepEqual(
      rulesOf(plain, 'clone3').map((rule) => rule.action),
      [{ kind: 'errno', errno: 38 }],
    );
  });

  it('opens with capabilities', () => {
    const all = defaultSeccomp(ALL_CAPABILITIES, 'x86_64');
    for (const name of ['mount', 'clone3', 'bpf', 'open_by_handle_at', 'reboot', 'init_module', 'vhangup']) {
      assert.deepEqual(
        rulesOf(all, name).map((rule) => rule.arguments),
        [[]],
        name,
      );
    }
    assert.equal(rulesOf(plain, 'chroot').length, 1);
    assert.equal(rulesOf(defaultSeccomp([], 'x86_64'), 'chroot').length, 0);
  });

  it('covers the 32-bit companion', () => {
    assert.deepEqual(plain.architectures, ['x86_64', 'x86']);
    assert.deepEqual(defaultSeccomp([], 'aarch64').architectures, ['aarch64', 'arm']);
    assert.equal(rulesOf(plain, 'arch_prctl').length, 1);
    assert.equal(rulesOf(defaultSeccomp([], 'aarch64'), 'arch_prctl').length, 0);
    assert.equal(seccompArchitecture('x64'), 'x86_64');
    assert.equal(seccompArchitecture('riscv64'), undefined);
  });
});

describe('a seccomp profile', () => {
  const resolve = (
    syscalls: unknown,
    more: Record<string, unknown> = {},
    given: Parameters<typeof resolveSeccompProfile>[1] = facts,
  ) => resolveSeccompProfile({ defaultAction: 'SCMP_ACT_ERRNO', syscalls, ...more }, given);

  it('keeps the rules that apply', () => {
    const policy = resolve([
      { names: ['a'], action: 'SCMP_ACT_ALLOW', includes: { caps: ['CAP_CHOWN'] } },
      { names: ['b'], action: 'SCMP_ACT_ALLOW', includes: { caps: ['CAP_SYS_ADMIN'] } },
      { names: ['c'], action: 'SCMP_ACT_ALLOW', excludes: { caps: ['CAP_CHOWN'] } },
      { names: ['d'], action: 'SCMP_ACT_ALLOW', includes: { arches: ['arm64', 'amd64'] } },
      { names: ['e'], action: 'SCMP_ACT_ALLOW', includes: { minKernel: '4.8' } },
      { names: ['f'], action: 'SCMP_ACT_ALLOW', includes: { minKernel: '6.2' } },
      { name: 'g', action: 'SCMP_ACT_ERRNO', errnoRet: 38, args: null },
    ]);
    assert.deepEqual(
      policy.rules.flatMap(({ names }) => names),
      ['a', 'd', 'e', 'g'],
    );
    assert.deepEqual(policy.rules[3]?.action, { kind: 'errno', errno: 38 });
    assert.deepEqual(policy.defaultAction, { kind: 'errno', errno: 1 });
  });

  it('reads argument conditions', () => {
    const args = [{ index: 1, value: 2114060288, valueTwo: 3, op: 'SCMP_CMP_MASKED_EQ' }];
    assert.deepEqual(resolve([{ names: ['clone'], action: 'SCMP_ACT_ALLOW', args }]).rules[0]?.arguments, [
      { index: 1, operator: 'SCMP_CMP_MASKED_EQ', value: 2114060288n, valueTwo: 3n },
    ]);
  });

  it('takes the architectures of this machine', () => {
    const archMap = [
      { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: ['SCMP_ARCH_ARM'] },
      { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] },
    ];
    assert.deepEqual(resolve([], { archMap }).architectures, ['x86_64', 'x86']);
    assert.deepEqual(resolve([], { architectures: ['SCMP_ARCH_X86_64'] }).architectures, ['x86_64']);
    assert.deepEqual(resolve([]).architectures, ['x86_64']);
  });

  for (const [what, profile] of [
    ['an unknown action', { defaultAction: 'SCMP_ACT_MAYBE' }],
    ['a rule without action', { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['a'] }] }],
    [
      'an argument out of range',
      {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['a'], action: 'SCMP_ACT_ALLOW', args: [{ index: 6, value: 0, op: 'SCMP_CMP_EQ' }] }],
      },
    ],
    ['a list', []],
  ] as const) {
    it(`refuses ${what}`, () => assert.throws(() => resolveSeccompProfile(profile, facts), { code: 'invalid' }));
  }
});
