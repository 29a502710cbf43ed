// The filter every container gets unless it asks otherwise. What is allowed is what moby's default profile allows
// (28.x; io_uring is left out since 25): a program that runs under Docker must run here.
import type { SeccompPolicy } from './contract.ts';
import type { SeccompRule } from './seccomp-profile.ts';

const EPERM = 1;
const ENOSYS = 38;
const AF_VSOCK = 40n;
/** mount, cgroup, uts, ipc, user, pid and network: clone may not make new namespaces. */
const CLONE_NAMESPACES = 0x7e020000n;
/** Linux, Linux with short inodes, 32-bit uname and both, and the question for the current one. */
const PERSONALITIES = [0n, 0x8n, 0x20000n, 0x20008n, 0xffffffffn];

const words = (text: string): string[] => text.trim().split(/\s+/);

const FILES = words(`
  access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64
  fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync
  flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64
  inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl lchown lchown32 link linkat _llseek lseek lstat
  lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2
  pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv rename renameat renameat2 rmdir sendfile sendfile64
  splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs tee truncate truncate64 umask
  unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev
  fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat llistxattr
  lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat
  io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit`);

const WAITING = words(`
  epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2
  futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake nanosleep _newselect pause poll ppoll ppoll_time64
  pselect6 pselect6_time64 select get_robust_list set_robust_list membarrier`);

const MEMORY = words(`
  brk cachestat madvise map_shadow_stack memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 mprotect
  mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect remap_file_pages`);

const PROCESSES = words(`
  execve execveat exit exit_group fork vfork wait4 waitid waitpid kill tgkill tkill pidfd_open pidfd_send_signal
  process_mrelease prctl rseq restart_syscall seccomp set_tid_address get_thread_area set_thread_area uretprobe
  capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getpgid getpgrp getpid getppid
  getpriority getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid gettid getuid getuid32 prlimit64
  setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setpgid setpriority setregid setregid32
  setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setuid setuid32 ugetrlimit
  sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler
  sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler
  sched_yield getcpu landlock_add_rule landlock_create_ruleset landlock_restrict_self
  process_vm_readv process_vm_writev ptrace
  rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
  rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack signalfd signalfd4 sigprocmask sigreturn`);

const CLOCKS = words(`
  adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
  clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday setitimer time timer_create timer_delete
  timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
  timerfd_gettime64 timerfd_settime timerfd_settime64 times`);

const TALKING = words(`
  accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg
  send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair
  ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink
  msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget
  getrandom sysinfo uname`);

/** What a capability opens beside its own checks in the kernel. */
const BY_CAPABILITY: Readonly<Record<string, readonly string[]>> = {
  CAP_DAC_READ_SEARCH: words('open_by_handle_at'),
  CAP_SYS_ADMIN: words(`
    bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick listmount lookup_dcookie mount mount_setattr move_mount
    open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns statmount syslog umount umount2
    unshare`),
  CAP_SYS_BOOT: words('reboot'),
  CAP_SYS_CHROOT: words('chroot'),
  CAP_SYS_MODULE: words('delete_module init_module finit_module'),
  CAP_SYS_PACCT: words('acct'),
  CAP_SYS_PTRACE: words('kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace'),
  CAP_SYS_RAWIO: words('iopl ioperm'),
  CAP_SYS_TIME: words('settimeofday stime clock_settime clock_settime64'),
  CAP_SYS_TTY_CONFIG: words('vhangup'),
  CAP_SYS_NICE: words('get_mempolicy mbind set_mempolicy set_mempolicy_home_node'),
  CAP_SYSLOG: words('syslog'),
  CAP_BPF: words('bpf'),
  CAP_PERFMON: words('perf_event_open'),
};

const BY_ARCHITECTURE: Readonly<Record<string, readonly string[]>> = {
  x86_64: words('arch_prctl modify_ldt'),
  aarch64: words('arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls'),
};

const COMPANIONS: Readonly<Record<string, readonly string[]>> = { x86_64: ['x86'], aarch64: ['arm'] };

const POLICIES_MAX = 64;
const policies = new Map<string, SeccompPolicy>(); // one object for all with the same capabilities

/** The default filter for a container with these capabilities on this machine (`x86_64`, `aarch64`). */
export function defaultSeccomp(capabilities: readonly string[], architecture: string): SeccompPolicy {
  const key = [architecture, ...capabilities].join(' ');
  const policy = policies.get(key) ?? policyFor(capabilities, architecture);
  if (policies.size < POLICIES_MAX) policies.set(key, policy);
  return policy;
}

function policyFor(capabilities: readonly string[], architecture: string): SeccompPolicy {
  const opened = capabilities.flatMap((name) => BY_CAPABILITY[name] ?? []);
  const everyone = [...FILES, ...WAITING, ...MEMORY, ...PROCESSES, ...CLOCKS, ...TALKING];
  const rules = [
    allow([...everyone, ...opened, ...(BY_ARCHITECTURE[architecture] ?? [])]),
    allow(['socket'], { index: 0, operator: 'SCMP_CMP_NE', value: AF_VSOCK, valueTwo: 0n }),
    ...PERSONALITIES.map((value) => allow(['personality'], { index: 0, operator: 'SCMP_CMP_EQ', value, valueTwo: 0n })),
    ...(capabilities.includes('CAP_SYS_ADMIN') ? [] : withoutNamespaces()),
  ];
  return {
    defaultAction: { kind: 'errno', errno: EPERM },
    architectures: [architecture, ...(COMPANIONS[architecture] ?? [])],
    rules,
  };
}

/** clone3 hides its flags behind a pointer: it is "missing", so that C libraries fall back to clone. */
function withoutNamespaces(): SeccompRule[] {
  return [
    allow(['clone'], { index: 0, operator: 'SCMP_CMP_MASKED_EQ', value: CLONE_NAMESPACES, valueTwo: 0n }),
    { names: ['clone3'], action: { kind: 'errno', errno: ENOSYS }, arguments: [] },
  ];
}

function allow(names: readonly string[], ...conditions: SeccompRule['arguments']): SeccompRule {
  return { names, action: { kind: 'allow' }, arguments: conditions };
}

/** This machine's name in policies; undefined where the helper has no table of system calls. */
export function seccompArchitecture(nodeArchitecture: string): string | undefined {
  return { x64: 'x86_64', arm64: 'aarch64' }[nodeArchitecture];
}
