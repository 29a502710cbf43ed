// A further process in a running container: who asked for it, its streams and its place in the shim's table.
#include "entry.h"
#include "other_runtime.h"
#include "shim.h"
#include "sync.h"
#include <string.h>
#include <unistd.h>

struct exec_plan {
  struct entry entry;
  bool stdin_open, out, err;
};

static int spawn(struct exec_plan *plan, struct process *process, struct fault *fault) {
  int pair[2];
  if (sync_pair(pair, fault) < 0) return -1;
  process->sync = pair[0];
  plan->entry.sync = pair[1];
  bool is_ours = shim.runtime.path[0] == 0;
  struct cgroups none = {.unified = -1};
  int helper = clone_into(is_ours ? &shim.cgroups : &none, 0, NULL);
  if (helper == 0 && !is_ours) other_runtime_exec(&plan->entry);
  if (helper == 0) entry_main(&plan->entry);
  close(pair[1]);
  return helper < 0 ? fault_set(fault, "create the helper of an exec") : 0;
}

static int begin(struct exec_plan *plan, struct process *process, struct fault *fault) {
  process->terminal = plan->entry.process.terminal;
  int result = make_stdio(process, &plan->entry.stdio, plan->stdin_open, fault);
  if (result == 0) result = spawn(plan, process, fault);
  close_stdio(&plan->entry.stdio);
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
  struct exec_plan plan = {.entry = {.sync = -1, .pidfd = shim.pidfd, .cgroups = &shim.cgroups}};
  size_t bytes = (size_t)(reader->end - reader->at);
  if (arena_map(&plan.entry.arena, 16 * bytes + (256 << 10), fault) < 0) return -1;
  const char *id = read_string(reader);
  uint8_t flags = read_u8(reader);
  plan.stdin_open = flags & 1;
  plan.out = flags & 2;
  plan.err = flags & 4;
  int result = parse_process(reader, &plan.entry.arena, &plan.entry.process);
  if (result == 0) result = check(id, fault);
  struct process *process = result == 0 ? process_add(id) : NULL;
  if (result == 0 && process == NULL)
    result = fault_say(fault, FAULT_CONFLICT, "more than %d execs at a time in one container", PROCESSES_MAX - 1);
  if (result == 0) result = begin(&plan, process, fault);
  if (result == 0) connect_client(client, request, &plan, process);
  arena_unmap(&plan.entry.arena);
  return result;
}
