// What a container gets unless it asks otherwise: moby's defaults as facts.
import type { DeviceRule, NativeMount } from './contract.ts';

/** In Docker's order. */
export const DEFAULT_CAPABILITIES: readonly string[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FSETID',
  'CAP_FOWNER',
  'CAP_MKNOD',
  'CAP_NET_RAW',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETFCAP',
  'CAP_SETPCAP',
  'CAP_NET_BIND_SERVICE',
  'CAP_SYS_CHROOT',
  'CAP_KILL',
  'CAP_AUDIT_WRITE',
];

/** Every capability that the helper knows, for `--privileged` and `--cap-add ALL`; what the kernel lacks is left out. */
export const ALL_CAPABILITIES: readonly string[] = [
  ...DEFAULT_CAPABILITIES,
  'CAP_DAC_READ_SEARCH',
  'CAP_LINUX_IMMUTABLE',
  'CAP_NET_BROADCAST',
  'CAP_NET_ADMIN',
  'CAP_IPC_LOCK',
  'CAP_IPC_OWNER',
  'CAP_SYS_MODULE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_PTRACE',
  'CAP_SYS_PACCT',
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_NICE',
  'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME',
  'CAP_SYS_TTY_CONFIG',
  'CAP_LEASE',
  'CAP_AUDIT_CONTROL',
  'CAP_MAC_OVERRIDE',
  'CAP_MAC_ADMIN',
  'CAP_SYSLOG',
  'CAP_WAKE_ALARM',
  'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ',
  'CAP_PERFMON',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
];

export const DEFAULT_MASKED_PATHS: readonly string[] = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
];

export const DEFAULT_READ_ONLY_PATHS: readonly string[] = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
];

/** Deny all, then what every container may use; the last rule that speaks of a device decides. */
export const DEFAULT_DEVICE_RULES: readonly DeviceRule[] = [
  { allow: false, type: 'a', major: -1, minor: -1, access: 'rwm' },
  { allow: true, type: 'c', major: -1, minor: -1, access: 'm' },
  { allow: true, type: 'b', major: -1, minor: -1, access: 'm' },
  { allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 5, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 7, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 8, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 9, access: 'rwm' },
  { allow: true, type: 'c', major: 5, minor: 0, access: 'rwm' },
  { allow: true, type: 'c', major: 5, minor: 1, access: 'rwm' },
  { allow: true, type: 'c', major: 5, minor: 2, access: 'rwm' },
  { allow: true, type: 'c', major: 136, minor: -1, access: 'rwm' },
];

/** The kernel's file systems every container has, in mount order. A tmpfs on /dev also gets device nodes and links. */
export function defaultMounts(options: {
  shmBytes: number; // 0: 64 MiB
  privileged: boolean; // writable /sys and cgroup
  ownIpc: boolean; // false: /dev/shm and /dev/mqueue are somebody else's, bound by the caller
}): NativeMount[] {
  const { shmBytes, privileged, ownIpc } = options;
  const mounts = [
    kernel('proc', '/proc', ''),
    { ...kernel('tmpfs', '/dev', 'mode=755,size=65536k'), flags: ['nosuid', 'strictatime'] as const },
    {
      ...kernel('devpts', '/dev/pts', 'newinstance,ptmxmode=0666,mode=0620,gid=5'),
      flags: ['nosuid', 'noexec'] as const,
    },
    { ...kernel('sysfs', '/sys', ''), readOnly: !privileged },
    { ...kernel('cgroup', '/sys/fs/cgroup', ''), readOnly: !privileged },
  ];
  if (!ownIpc) return mounts;
  const shm = kernel('tmpfs', '/dev/shm', `mode=1777,size=${shmBytes > 0 ? shmBytes : 64 << 20}`);
  return [...mounts, kernel('mqueue', '/dev/mqueue', ''), { ...shm, source: 'shm' }];
}

function kernel(type: NativeMount['type'], target: string, data: string): NativeMount {
  const flags = ['nosuid', 'noexec', 'nodev'] as const;
  return { type, source: '', target, readOnly: false, flags, propagation: 'rprivate', recursive: false, data };
}
