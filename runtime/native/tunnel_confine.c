// What the tunnel may still do when all that it needs is open: talk over what it has, take memory, and end. It reads what
// anybody on the wire sends and holds keys, so a fault in it is to be worth as little as possible.
#include "seccomp.h"
#include "security.h"
#include "tunnel.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>

enum { ARENA = 1 << 20, ARGUMENT_PROTECTION = 2 };

// Of every libc that the helper is built with: they differ in which call a function becomes.
static const char *const ALLOWED[] = {
    // datagrams, packets, lines
    "read", "write", "recvmmsg", "recvmsg", "recvfrom", "recv", "sendmmsg", "sendmsg", "sendto", "send", "socketcall",
    "poll", "ppoll", "ppoll_time64", "accept4", "setsockopt", "close",
    // memory; mmap has a rule of its own
    "brk", "mremap", "munmap", "madvise",
    // time, randomness, whether its socket is still there
    "clock_gettime", "clock_gettime64", "alarm", "setitimer", "getrandom", "stat", "stat64", "newfstatat", "fstatat64",
    "statx", "unlink", "unlinkat",
    // signals and the end
    "restart_syscall", "rt_sigreturn", "sigreturn", "rt_sigprocmask", "rt_sigaction", "exit", "exit_group"};
static const char *const MAPPING[] = {"mmap", "mmap2"};
static const char *const ARCHITECTURE[] = {
#if defined(__x86_64__)
    "x86_64"
#elif defined(__aarch64__)
    "aarch64"
#elif defined(__i386__)
    "x86"
#elif defined(__arm__)
    "arm"
#endif
};

#define STRINGS(list) ((struct strings){sizeof(list) / sizeof *(list), (const char **)(list)})

static int load_filter(struct fault *fault) {
  struct seccomp_argument no_code = {ARGUMENT_PROTECTION, SO_MASKED_EQ, PROT_EXEC, 0};
  struct seccomp_rule rules[] = {{STRINGS(ALLOWED), {SA_ALLOW, 0}, 0, NULL},
                                 {STRINGS(MAPPING), {SA_ALLOW, 0}, 1, &no_code}};
  struct seccomp_policy policy = {true, {SA_ERRNO, EPERM}, STRINGS(ARCHITECTURE), sizeof rules / sizeof *rules, rules};
  struct seccomp_program program;
  struct arena arena;
  if (policy.architectures.count == 0) return 0; // our compiler of filters does not know this one
  if (arena_map(&arena, ARENA, fault) < 0) return -1;
  int result = seccomp_compile(&policy, &arena, &program, fault) < 0 ? -1 : seccomp_load(&program, fault);
  arena_unmap(&arena);
  return result;
}

int tunnel_confine(struct fault *fault) {
  const struct capability_set none = {0};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return fault_set(fault, "give up new privileges");
  if (capabilities_bound(&none, fault) < 0 || capabilities_finish(&none, fault) < 0) return -1;
  return load_filter(fault);
}
