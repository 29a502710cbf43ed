// PID 1 prepares its own world, then waits for the word to run the command.
#include "container.h"
#include "app_armor.h"
#include "namespaces.h"
#include "rootfs.h"
#include "sync.h"
#include "syscalls.h"
#include "terminal.h"
#include "user_namespace.h"
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

// The cgroup namespace shows the groups one is in, so they are joined before.
static int enter_cgroups(const struct birth *birth, struct fault *fault) {
  if (cgroups_join(birth->cgroups, fault) < 0) return -1;
  if (birth->cgroup >= 0) return join_namespace(birth->cgroup, CLONE_NEWCGROUP, "cgroup", fault);
  if (birth->request->cgroup.kind == NS_NEW && unshare(CLONE_NEWCGROUP) < 0)
    return fault_set(fault, "make a cgroup namespace");
  return 0;
}

static int open_terminal(struct rootfs *rootfs, struct birth *birth, int *master, struct fault *fault) {
  const struct process_plan *process = &birth->request->process;
  struct terminal terminal;
  if (!process->terminal) return 0;
  if (rootfs->devpts < 0) return fault_say(fault, FAULT_INVALID, "a terminal needs a devpts mount");
  if (terminal_open(rootfs->devpts, process->rows, process->columns, &terminal, fault) < 0) return -1;
  birth->stdio.terminal = terminal.slave;
  *master = terminal.master;
  return rootfs->dev >= 0 ? console_mount(rootfs, terminal.slave, fault) : 0;
}

static int open_sources(struct birth *birth, struct fault *fault) {
  if (birth->request->user.kind != NS_HOST) return user_namespace_receive(birth, fault);
  return open_bind_sources(birth->request, fault);
}

// Behind the steps of others: what they execute is theirs. Before the host's root is left: in a user namespace the kernel
// lets nobody mount a proc file system where only a masked one is to be seen.
static int take_profile(const struct launch_request *request, struct ready *ready, struct fault *fault) {
  const char *profile = request->process.app_armor_profile;
  ready->app_armor = -1;
  if (profile[0] == 0) return 0;
  int proc = app_armor_proc(fault);
  if (proc < 0) return -1;
  int result = app_armor_take(proc, profile, request->use_init, &ready->app_armor, fault);
  close(proc);
  return result;
}

static int build(struct birth *birth, struct ready *ready, int *master, struct fault *fault) {
  struct launch_request *request = birth->request;
  struct rootfs rootfs;
  if (enter_cgroups(birth, fault) < 0 || enter_namespaces(birth, fault) < 0) return -1;
  int kept[] = {birth->sync, birth->stdio.in, birth->stdio.out, birth->stdio.err, birth->steps ? birth->steps->line : -1};
  close_others(3 + (unsigned)birth->stdio.preserved, kept, 5);
  if (open_sources(birth, fault) < 0) return -1;
  if (rootfs_begin(&rootfs, request, fault) < 0) return -1;
  if (mount_all(&rootfs, request, fault) < 0) return -1;
  if (open_terminal(&rootfs, birth, master, fault) < 0) return -1;
  if (write_sysctls(request, fault) < 0) return -1;
  if (mask_paths(&rootfs, &request->masked_paths, fault) < 0) return -1;
  if (lock_paths(&rootfs, &request->read_only_paths, fault) < 0) return -1;
  if (birth->steps != NULL && birth->steps->mounted(birth, fault) < 0) return -1;
  if (take_profile(request, ready, fault) < 0) return -1;
  return rootfs_enter(&rootfs, request, fault);
}

static int prepare(struct birth *birth, struct ready *ready, struct fault *fault) {
  struct sync_message message = {.kind = SYNC_PREPARED, .value = 0, .warnings = {""}};
  int master = -1;
  if (build(birth, ready, &master, fault) < 0) return -1;
  if (process_ready(&birth->request->process, birth->arena, true, ready, &message.warnings, fault) < 0) return -1;
  if (sync_send(birth->sync, &message, master) < 0) return fault_set(fault, "report to the shim");
  if (master >= 0) close(master);
  if (birth->steps != NULL) return birth->steps->wait(birth, fault);
  int passed;
  if (sync_receive(birth->sync, &message, &passed) == 1 && message.kind == SYNC_GO) return 0;
  return fault_say(fault, FAULT_INTERNAL, "the shim went away");
}

void container_main(struct birth *birth) {
  static struct ready ready;
  struct fault fault = {0};
  prctl(PR_SET_NAME, "shoal-pid1", 0, 0, 0);
  setsid();
  if (prepare(birth, &ready, &fault) == 0)
    process_become(&birth->request->process, &ready, &birth->stdio, birth->request->use_init, &fault);
  sync_send_fault(birth->sync, &fault);
  _exit(127);
}
