// What protects the machine from a container: from its options to capabilities, system call filter and hidden paths.
import { fail } from '../../base/errors.ts';
import { parseJson } from '../../base/parse.ts';
import type { ProcessSpec, SeccompPolicy } from '../native/contract.ts';
import { capabilitiesOf } from './capabilities.ts';
import { type AppArmor, UNCONFINED } from './app-armor.ts';
import type { ContainerConfig } from './contract.ts';

/** The machine's defaults; they live beside the helper that applies them. */
export interface SecurityDefaults {
  readonly maskedPaths: readonly string[];
  readonly readOnlyPaths: readonly string[];
  readonly availableCapabilities: ReadonlySet<string>;
  /** Resolves includes and excludes of a profile for these capabilities; undefined means the built-in profile. */
  seccomp(profile: unknown, capabilities: readonly string[]): SeccompPolicy;
  readonly appArmor: Pick<AppArmor, 'missing' | 'profileFor' | 'warnings' | 'ensure'>;
}

export interface Security {
  readonly capabilities: readonly string[];
  readonly noNewPrivileges: boolean;
  readonly seccomp: SeccompPolicy | undefined;
  readonly maskedPaths: readonly string[];
  readonly readOnlyPaths: readonly string[];
  readonly appArmorProfile: string; // 'unconfined', or '' where the machine confines nothing
}

interface Options {
  readonly seccomp: 'default' | 'unconfined' | { readonly profile: unknown };
  readonly appArmor: string; // '': the machine's own
  readonly noNewPrivileges: boolean;
  readonly hidesPaths: boolean;
}

export function securityOf(config: ContainerConfig, defaults: SecurityDefaults): Security {
  const options = parseSecurityOptions(config.securityOptions);
  const { privileged, capabilityAdd, capabilityDrop } = config;
  const available = defaults.availableCapabilities;
  const capabilities = capabilitiesOf({ privileged, add: capabilityAdd, drop: capabilityDrop, available });
  const hides = !privileged && options.hidesPaths;
  return {
    capabilities,
    noNewPrivileges: options.noNewPrivileges,
    seccomp: privileged && options.seccomp === 'default' ? undefined : seccompOf(options, defaults, capabilities),
    maskedPaths: hides ? (config.maskedPaths ?? defaults.maskedPaths) : [],
    readOnlyPaths: hides ? (config.readOnlyPaths ?? defaults.readOnlyPaths) : [],
    appArmorProfile: defaults.appArmor.profileFor({ asked: options.appArmor, privileged }),
  };
}

export function securityWarnings(config: ContainerConfig, { appArmor }: SecurityDefaults): string[] {
  const { appArmor: asked } = parseSecurityOptions(config.securityOptions);
  return appArmor.warnings({ asked, privileged: config.privileged });
}

/** Of a process; without AppArmor nothing is said, which helpers of an earlier daemon understand, too. */
export function confinement({ appArmorProfile }: Security): Pick<ProcessSpec, 'appArmorProfile'> {
  return appArmorProfile === '' || appArmorProfile === UNCONFINED ? {} : { appArmorProfile };
}

function seccompOf(
  options: Options,
  defaults: SecurityDefaults,
  capabilities: readonly string[],
): SeccompPolicy | undefined {
  if (options.seccomp === 'unconfined') return undefined;
  return defaults.seccomp(options.seccomp === 'default' ? undefined : options.seccomp.profile, capabilities);
}

export function parseSecurityOptions(list: readonly string[]): Options {
  let options: Options = { seccomp: 'default', appArmor: '', noNewPrivileges: false, hidesPaths: true };
  for (const text of list) options = withOption(options, text);
  return options;
}

function withOption(options: Options, text: string): Options {
  const [, key = text, value = ''] = /^([a-z-]+)[=:](.*)$/s.exec(text) ?? [];
  switch (key) {
    case 'no-new-privileges':
      if (!['', 'true', 'false'].includes(value)) fail('invalid', `invalid --security-opt 2: "${text}"`);
      return { ...options, noNewPrivileges: value !== 'false' };
    case 'seccomp':
      return { ...options, seccomp: seccompChoice(value) };
    case 'systempaths':
      if (value !== 'unconfined') fail('invalid', `invalid --security-opt 2: "${text}"`);
      return { ...options, hidesPaths: false };
    case 'apparmor':
      return { ...options, appArmor: value };
    case 'label':
      return options; // without SELinux a label means nothing, as in Docker
    default:
      return fail('invalid', `invalid --security-opt 2: "${text}"`);
  }
}

function seccompChoice(value: string): Options['seccomp'] {
  if (value === 'unconfined') return 'unconfined';
  if (value === 'builtin' || value === '') return 'default';
  return { profile: parseJson(value, 'the seccomp profile') };
}
