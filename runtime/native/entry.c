// The way into a running container. A helper joins the container's groups and namespaces, closes all it does not need,
// and only then makes the real process as a child of who forked the helper: until its exec nothing of the host can be
// reached through it (CVE-2016-9962, CVE-2024-21626). This program's memory is not dumpable from the start.
#include "entry.h"
#include "app_armor.h"
#include "shim.h"
#include "sync.h"
#include "syscalls.h"
#include "terminal.h"
#include "user_namespace.h"
#include <sched.h>
#include <sys/prctl.h>

// A proc file system of our own would be one more thing to be taken from this process: the container's has to do.
static int take_profile(const struct entry *entry, struct ready *ready, struct fault *fault) {
  ready->app_armor = -1;
  if (entry->process.app_armor_profile[0] == 0) return 0;
  int proc = app_armor_proc_inside(fault);
  if (proc < 0) return -1;
  int result = app_armor_take(proc, entry->process.app_armor_profile, false, &ready->app_armor, fault);
  close(proc);
  return result;
}

static int ready_child(struct entry *entry, struct ready *ready, struct fault *fault) {
  struct sync_message message = {.kind = SYNC_PREPARED, .value = 0, .warnings = {""}};
  struct terminal terminal = {-1, -1};
  if (take_profile(entry, ready, fault) < 0) return -1;
  if (process_ready(&entry->process, &entry->arena, false, ready, &message.warnings, fault) < 0) return -1;
  if (!entry->process.terminal) return 0;
  if (terminal_open(-1, entry->process.rows, entry->process.columns, &terminal, fault) < 0) return -1;
  entry->stdio.terminal = terminal.slave;
  int result = sync_send(entry->sync, &message, terminal.master);
  if (result < 0) fault_set(fault, "hand over the terminal");
  close(terminal.master);
  return result;
}

// The shim knows this process from here on.
static int exec_wait(const struct entry *entry, struct fault *fault) {
  struct sync_message message;
  int passed;
  if (sync_receive(entry->sync, &message, &passed) == 1 && message.kind == SYNC_GO) return 0;
  return fault_say(fault, FAULT_INTERNAL, "the shim went away");
}

static void exec_child(struct entry *entry) {
  static struct ready ready;
  struct fault fault = {0};
  prctl(PR_SET_NAME, "shoal-exec", 0, 0, 0);
  setsid();
  if (ready_child(entry, &ready, &fault) == 0 && exec_wait(entry, &fault) == 0)
    process_become(&entry->process, &ready, &entry->stdio, false, &fault);
  sync_send_fault(entry->sync, &fault);
  _exit(127);
}

static int enter(const struct entry *entry, struct fault *fault) {
  int everything = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  if (entry->in_user_namespace) everything |= CLONE_NEWUSER, rlimits_raise(&entry->process);
  set_oom_score(getpid(), entry->process.oom_score_adjustment);
  if (cgroups_join(entry->cgroups, fault) < 0) return -1;
  if (setns(entry->pidfd, everything) < 0) return fault_set(fault, "join the container's namespaces");
  int kept[] = {entry->sync, entry->stdio.in, entry->stdio.out, entry->stdio.err};
  close_others(3 + (unsigned)entry->stdio.preserved, kept, 4);
  return entry->in_user_namespace ? user_namespace_become_root(fault) : 0;
}

void entry_main(struct entry *entry) {
  struct sync_message message = {.kind = SYNC_CHILD};
  struct cgroups none;
  struct fault fault = {0};
  prctl(PR_SET_NAME, "shoal-enter", 0, 0, 0);
  cgroups_none(&none);
  if (enter(entry, &fault) == 0) {
    message.value = clone_into(&none, CLONE_PARENT, NULL);
    if (message.value == 0) exec_child(entry);
    if (message.value < 0) fault_set(&fault, "create the process");
  }
  if (fault.kind != FAULT_NONE) sync_send_fault(entry->sync, &fault);
  else sync_send(entry->sync, &message, -1);
  _exit(0);
}
