// A further process in a running container. The shim forks a helper, which joins the container's groups and namespaces,
// closes all it does not need, and only then makes the real process as the shim's child: until its exec nothing of the
// host can be reached through it (CVE-2016-9962, CVE-2024-21626). The shim's memory is not dumpable from the start.
#include "become.h"
#include "shim.h"
#include "sync.h"
#include "syscalls.h"
#include "terminal.h"
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

struct exec_plan {
  struct process_plan process;
  struct arena arena;
  struct stdio stdio;
  int sync;
  bool stdin_open, out, err;
};

static int exec_ready(struct exec_plan *plan, struct ready *ready, struct fault *fault) {
  struct sync_message message = {.kind = SYNC_PREPARED, .value = 0, .warnings = {""}};
  struct terminal terminal = {-1, -1};
  if (process_ready(&plan->process, &plan->arena, false, ready, &message.warnings, fault) < 0) return -1;
  if (!plan->process.terminal) return 0;
  if (terminal_open(-1, plan->process.rows, plan->process.columns, &terminal, fault) < 0) return -1;
  plan->stdio.terminal = terminal.slave;
  int result = sync_send(plan->sync, &message, terminal.master);
  if (result < 0) fault_set(fault, "hand over the terminal");
  close(terminal.master);
  return result;
}

// The shim knows this process from here on.
static int exec_wait(const struct exec_plan *plan, struct fault *fault) {
  struct sync_message message;
  int passed;
  if (sync_receive(plan->sync, &message, &passed) == 1 && message.kind == SYNC_GO) return 0;
  return fault_say(fault, FAULT_INTERNAL, "the shim went away");
}

static void exec_child(struct exec_plan *plan) {
  static struct ready ready;
  struct fault fault = {0};
  prctl(PR_SET_NAME, "shoal-exec", 0, 0, 0);
  setsid();
  if (exec_ready(plan, &ready, &fault) == 0 && exec_wait(plan, &fault) == 0)
    process_become(&plan->process, &ready, &plan->stdio, false, &fault);
  sync_send_fault(plan->sync, &fault);
  _exit(127);
}

static int enter(const struct exec_plan *plan, struct fault *fault) {
  int everything = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  set_oom_score(getpid(), plan->process.oom_score_adjustment);
  if (cgroups_join(&shim.cgroups, fault) < 0) return -1;
  if (setns(shim.pidfd, everything) < 0) return fault_set(fault, "join the container's namespaces");
  int kept[] = {plan->sync, plan->stdio.in, plan->stdio.out, plan->stdio.err};
  close_others(kept, 4);
  return 0;
}

static void exec_helper(struct exec_plan *plan) {
  struct sync_message message = {.kind = SYNC_CHILD};
  struct cgroups none;
  struct fault fault = {0};
  prctl(PR_SET_NAME, "shoal-enter", 0, 0, 0);
  cgroups_none(&none);
  if (enter(plan, &fault) == 0) {
    message.value = clone_into(&none, CLONE_PARENT, NULL);
    if (message.value == 0) exec_child(plan);
    if (message.value < 0) fault_set(&fault, "create the process");
  }
  if (fault.kind != FAULT_NONE) sync_send_fault(plan->sync, &fault);
  else sync_send(plan->sync, &message, -1);
  _exit(0);
}

static int spawn(struct exec_plan *plan, struct process *process, struct fault *fault) {
  int pair[2];
  if (sync_pair(pair, fault) < 0) return -1;
  process->sync = pair[0];
  plan->sync = pair[1];
  int helper = clone_into(&shim.cgroups, 0, NULL);
  if (helper == 0) exec_helper(plan);
  close(pair[1]);
  return helper < 0 ? fault_set(fault, "create the helper of an exec") : 0;
}

static int begin(struct exec_plan *plan, struct process *process, struct fault *fault) {
  process->terminal = plan->process.terminal;
  int result = make_stdio(process, &plan->stdio, plan->stdin_open, fault);
  if (result == 0) result = spawn(plan, process, fault);
  close_stdio(&plan->stdio);
  if (result == 0) return 0;
  if (process->sync >= 0) close(process->sync);
  process_close_streams(process);
  process->state = P_FREE;
  return -1;
}

// The connection becomes the stream of the process, unless the exec is detached: then its output goes nowhere.
static void connect_client(struct client *client, uint32_t request, const struct exec_plan *plan, struct process *process) {
  process->client = (int)(client - shim.clients);
  process->request = request;
  if (!plan->stdin_open && !plan->out && !plan->err) return;
  client->role = C_STREAM;
  client->process = (int)(process - shim.processes);
  client->in = plan->stdin_open;
  client->out = plan->out;
  client->err = plan->err;
}

static int check(const char *id, struct fault *fault) {
  if (shim.processes[0].state != P_RUNNING || shim.processes[0].reaped)
    return fault_say(fault, FAULT_CONFLICT, "the container is not running");
  if (*id == 0 || strlen(id) >= sizeof shim.processes[0].id)
    return fault_say(fault, FAULT_INVALID, "the exec id is empty or too long");
  if (process_find(id) != NULL) return fault_say(fault, FAULT_CONFLICT, "exec %s has already been started", id);
  return 0;
}

int exec_begin(struct reader *reader, struct client *client, uint32_t request, struct fault *fault) {
  struct exec_plan plan = {.sync = -1};
  size_t bytes = (size_t)(reader->end - reader->at);
  if (arena_map(&plan.arena, 16 * bytes + (256 << 10), fault) < 0) return -1;
  const char *id = read_string(reader);
  uint8_t flags = read_u8(reader);
  plan.stdin_open = flags & 1;
  plan.out = flags & 2;
  plan.err = flags & 4;
  int result = parse_process(reader, &plan.arena, &plan.process);
  if (result == 0) result = check(id, fault);
  struct process *process = result == 0 ? process_add(id) : NULL;
  if (result == 0 && process == NULL)
    result = fault_say(fault, FAULT_CONFLICT, "more than %d execs at a time in one container", PROCESSES_MAX - 1);
  if (result == 0) result = begin(&plan, process, fault);
  if (result == 0) connect_client(client, request, &plan, process);
  arena_unmap(&plan.arena);
  return result;
}
