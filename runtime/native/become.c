// From "inside the container" to the command. The order matters and is explained in security.c.
#include "become.h"
#include "app_armor.h"
#include "init.h"
#include "paths.h"
#include "syscalls.h"
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define KEYCTL_JOIN_SESSION_KEYRING 1

static const char *variable(const char *const *env, const char *name) {
  size_t length = strlen(name);
  for (; *env != NULL; env++)
    if (strncmp(*env, name, length) == 0 && (*env)[length] == '=') return *env + length + 1;
  return NULL;
}

// HOME is the user's own unless the caller set it.
static int complete_env(const struct process_plan *plan, struct arena *arena, struct ready *ready, struct fault *fault) {
  ready->env = plan->env.items;
  if (variable(plan->env.items, "HOME") != NULL) return 0;
  const char **env = arena_take(arena, (plan->env.count + 2) * sizeof *env, fault);
  char *home = arena_take(arena, sizeof ready->identity.home + 6, fault);
  if (env == NULL || home == NULL) return -1;
  memcpy(env, plan->env.items, plan->env.count * sizeof *env);
  sprintf(home, "HOME=%s", ready->identity.home[0] ? ready->identity.home : "/");
  env[plan->env.count] = home;
  ready->env = env;
  return 0;
}

// Afterwards the kernel itself must name the place as below our root: a descriptor left open from outside, or a magic
// link, gives "(unreachable)" (CVE-2024-21626).
static int enter_directory(const char *path, bool make, struct fault *fault) {
  char now[PATH_MAX];
  if (*path == 0) path = "/";
  if (*path != '/')
    return fault_say(fault, FAULT_INVALID, "the working directory '%s' is invalid, it needs to be an absolute path", path);
  if (make && make_directories(path, 0755, fault) < 0) return fault->kind = FAULT_INVALID, -1;
  if (chdir(path) < 0) return fault_invalid(fault, "chdir to cwd (\"%s\") set in config.json failed", path);
  long length = syscall(SYS_getcwd, now, sizeof now);
  if (length < 0 || now[0] != '/')
    return fault_say(fault, FAULT_INVALID, "current working directory is outside of container mount namespace root");
  return 0;
}

int process_ready(struct process_plan *plan, struct arena *arena, bool make_directory, struct ready *ready,
                  struct warnings *warnings, struct fault *fault) {
  if (identity_find(plan->user, &plan->groups, &ready->identity, fault) < 0) return -1;
  if (capabilities_of(plan, &ready->capabilities, fault) < 0) return -1;
  if (seccomp_compile(&plan->seccomp, arena, &ready->seccomp, fault) < 0) return -1;
  if (rlimits_clamp(plan, warnings, fault) < 0) return -1;
  if (complete_env(plan, arena, ready, fault) < 0) return -1;
  return enter_directory(plan->directory, make_directory, fault);
}

static int executable(const char *path) {
  struct stat status;
  if (stat(path, &status) < 0) return -1;
  if (S_ISDIR(status.st_mode)) return errno = EISDIR, -1;
  if (sys_faccessat2(AT_FDCWD, path, X_OK, AT_EACCESS) < 0) return -1;
  return 0;
}

// As Go's LookPath, whose words Docker's clients know.
int find_command(const char *name, const char *const *env, char *found, size_t capacity, struct fault *fault) {
  if (strchr(name, '/') != NULL) {
    if (snprintf(found, capacity, "%s", name) >= (int)capacity) errno = ENAMETOOLONG;
    else if (executable(name) == 0) return 0;
    if (errno == ENOENT || errno == ENOTDIR) return fault_invalid(fault, "exec: \"%s\": stat %s", name, name);
    return fault_invalid(fault, "exec: \"%s\"", name);
  }
  const char *path = variable(env, "PATH");
  bool denied = false;
  for (; path != NULL && *path != 0; path += strcspn(path, ":"), path += *path == ':') {
    int length = (int)strcspn(path, ":");
    if (snprintf(found, capacity, "%.*s/%s", length ? length : 1, length ? path : ".", name) >= (int)capacity) continue;
    if (executable(found) == 0) return 0;
    denied = denied || errno == EACCES;
  }
  if (denied) return fault_say(fault, FAULT_INVALID, "exec: \"%s\": permission denied", name);
  return fault_say(fault, FAULT_INVALID, "exec: \"%s\": executable file not found in $PATH", name);
}

// The streams belong to the user, so that /dev/stdout can be opened again; null and foreign ones keep their owner.
static void own_stream(int fd, uid_t uid) {
  struct stat status;
  if (fstat(fd, &status) == 0 && (S_ISFIFO(status.st_mode) || isatty(fd)) && fchown(fd, uid, (gid_t)-1) < 0) return;
}

static int place_stdio(const struct stdio *stdio, uid_t uid, struct fault *fault) {
  bool terminal = stdio->terminal >= 0;
  int from[3] = {stdio->in, stdio->out, stdio->err};
  if (terminal && ioctl(stdio->terminal, TIOCSCTTY, 0) < 0) return fault_set(fault, "take the controlling terminal");
  for (int i = 0; i < 3; i++) {
    int fd = terminal ? stdio->terminal : from[i];
    own_stream(fd, uid);
    if (dup2(fd, i) < 0) return fault_set(fault, "place the standard streams");
  }
  return 0;
}

void close_others(unsigned from, const int *kept, int count) {
  for (;;) {
    unsigned next = ~0u;
    for (int i = 0; i < count; i++)
      if (kept[i] >= (int)from && (unsigned)kept[i] < next) next = (unsigned)kept[i];
    if (next > from) sys_close_range(from, next == ~0u ? next : next - 1, 0);
    if (next == ~0u) return;
    from = next + 1;
  }
}

static void reset_signals(void) {
  sigset_t none;
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

static int give_up_privileges(const struct process_plan *plan, const struct ready *ready, struct fault *fault) {
  if (rlimits_set(plan, fault) < 0) return -1;
  if (capabilities_bound(&ready->capabilities, fault) < 0) return -1;
  if (identity_take(&ready->identity, fault) < 0) return -1;
  // Without its shim a container can not be managed. A change of user inside clears this, hence the shim's pid file.
  if (!plan->outlives_parent) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (plan->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
    return fault_set(fault, "set no_new_privs");
  return 0;
}

int process_become(const struct process_plan *plan, const struct ready *ready, const struct stdio *stdio, bool use_init,
                   struct fault *fault) {
  char command[PATH_MAX];
  umask(plan->umask);
  reset_signals();
  syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL); // a key ring of its own where the kernel has them
  if (place_stdio(stdio, ready->identity.uid, fault) < 0) return -1;
  if (sys_close_range(3 + (unsigned)stdio->preserved, ~0u, CLOSE_RANGE_CLOEXEC) < 0) return fault_set(fault, "mark the descriptors to be closed");
  if (give_up_privileges(plan, ready, fault) < 0) return -1;
  if (find_command(plan->args.items[0], ready->env, command, sizeof command, fault) < 0) return -1;
  if (seccomp_load(&ready->seccomp, fault) < 0) return -1;
  if (capabilities_finish(&ready->capabilities, fault) < 0) return -1;
  if (app_armor_become(ready->app_armor, plan->app_armor_profile, fault) < 0) return -1;
  if (use_init && init_fork() < 0) return fault_set(fault, "fork from init");
  execve(command, (char *const *)plan->args.items, (char *const *)ready->env);
  return fault_invalid(fault, "exec %s", command);
}
