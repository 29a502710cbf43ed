// Which capabilities a container gets. Pure. Names are in the kernel's form, CAP_CHOWN.
import { fail } from '../../base/errors.ts';
import { DEFAULT_CAPABILITIES } from '../native/defaults.ts';

/** In the kernel's order: the index is the capability's number. */
const ALL_CAPABILITIES = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_LINUX_IMMUTABLE',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_BROADCAST',
  'CAP_NET_ADMIN',
  'CAP_NET_RAW',
  'CAP_IPC_LOCK',
  'CAP_IPC_OWNER',
  'CAP_SYS_MODULE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE',
  'CAP_SYS_PACCT',
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_NICE',
  'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME',
  'CAP_SYS_TTY_CONFIG',
  'CAP_MKNOD',
  'CAP_LEASE',
  'CAP_AUDIT_WRITE',
  'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP',
  'CAP_MAC_OVERRIDE',
  'CAP_MAC_ADMIN',
  'CAP_SYSLOG',
  'CAP_WAKE_ALARM',
  'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ',
  'CAP_PERFMON',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
] as const;

const DEFAULTS: ReadonlySet<string> = new Set(DEFAULT_CAPABILITIES);

export interface CapabilityChoice {
  readonly privileged: boolean;
  readonly add: readonly string[];
  readonly drop: readonly string[];
  /** What this machine has to give: more can not be handed on. */
  readonly available: ReadonlySet<string>;
}

export function capabilitiesOf(choice: CapabilityChoice): string[] {
  const add = choice.add.map((text) => normalised(text, 'CapAdd'));
  const drop = choice.drop.map((text) => normalised(text, 'CapDrop'));
  const wanted = (name: string): boolean => {
    if (choice.privileged) return choice.available.has(name);
    if (add.includes(name)) return true;
    if (drop.includes(name) || drop.includes('ALL'))
      return add.includes('ALL') && !drop.includes(name) && choice.available.has(name);
    return add.includes('ALL') ? choice.available.has(name) : DEFAULTS.has(name);
  };
  return ALL_CAPABILITIES.filter(wanted);
}

function normalised(text: string, field: 'CapAdd' | 'CapDrop'): string {
  const upper = text.toUpperCase();
  if (upper === 'ALL' || upper === 'CAP_ALL') return 'ALL';
  const name = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
  return (ALL_CAPABILITIES as readonly string[]).includes(name)
    ? name
    : fail('invalid', `invalid ${field}: unknown capability: "${name}"`);
}

/** From the CapBnd line of /proc/self/status. */
export function availableCapabilities(status: string): Set<string> {
  const mask = BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  return new Set(ALL_CAPABILITIES.filter((_, number) => (mask >> BigInt(number)) & 1n));
}
