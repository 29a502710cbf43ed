// The AppArmor profile of containers that ask for no other: what a system call's number does not tell, its path does.
// What it says, and to whom, is what Docker's profile of the same name says; either engine may have loaded it.

/** Docker's name, which people write in their options and read in `docker inspect`. */
export const DEFAULT_PROFILE = 'docker-default';

/** `daemonProfile`: the one that confines the daemon, whose signals must arrive. */
export function defaultProfileText(daemonProfile: string): string {
  const signallers = [...new Set(['unconfined', 'runc', 'crun', daemonProfile])];
  return `profile ${DEFAULT_PROFILE} flags=(attach_disconnected, mediate_deleted) {
  # Files, sockets and capabilities are bounded by the rest of the container: here only what that does not reach.
  file,
  network,
  unix,
  capability,
  umount,
  deny mount,

  # Signals and traces stay inside, but for those of the engine.
${signallers.map((peer) => `  signal (receive) peer=${quoted(peer)},`).join('\n')}
  signal (send, receive) peer=${DEFAULT_PROFILE},
  ptrace (trace, read, tracedby, readby) peer=${DEFAULT_PROFILE},

  # Of /proc, processes may write to their own folders and to the bounds of shared memory.
  deny /proc/* w,
  deny /proc/{[^1-9s]*,s[^ye]*}/** w,
  deny /proc/sys/{[^k]*,k[^e]*}/** w,
  deny /proc/sys/* w,
  deny /proc/sys/kernel/{[^s]*,s[^h]*,sh[^m]*} w,
  deny /proc/sys/kernel/*/** w,
  deny /proc/{sysrq-trigger,kcore} rwklx,

  # Of /sys, the groups alone, which the mounts make read-only.
  deny /sys/{[^f]*,f[^s]*}/** wklx,
  deny /sys/fs/{[^c]*,c[^g]*,cg[^r]*}/** wklx,
  deny /sys/{firmware,devices/virtual/powercap,kernel/security}/** rwklx,
}
`;
}

const quoted = (name: string): string => (/^[\w.-]+$/.test(name) ? name : `"${name.replaceAll('"', '')}"`);
