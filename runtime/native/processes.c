// The processes of a container that the shim started: bringing up, reaping, telling of their end.
#include "shim.h"
#include "sync.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct process *process_find(const char *id) {
  for (int i = 0; i < PROCESSES_MAX; i++)
    if (shim.processes[i].state != P_FREE && strcmp(shim.processes[i].id, id) == 0) return &shim.processes[i];
  return NULL;
}

struct process *process_add(const char *id) {
  for (int i = 0; i < PROCESSES_MAX; i++) {
    struct process *process = &shim.processes[i];
    if (process->state != P_FREE) continue;
    *process = (struct process){.state = P_STARTING, .sync = -1, .client = -1, .in = -1, .out = -1, .err = -1};
    snprintf(process->id, sizeof process->id, "%s", id);
    return process;
  }
  return NULL;
}

static void answer_started(struct process *process) {
  uint8_t frame[32];
  struct writer writer;
  if (process->client < 0) return;
  write_begin(&writer, frame, sizeof frame, FRAME_STARTED);
  write_u32(&writer, process->request);
  write_u32(&writer, (uint32_t)process->pid);
  client_send(&shim.clients[process->client], frame, write_finish(&writer));
  process->client = -1;
}

// An exec's connection has no further use once its process could not start.
static void answer_fault(struct process *process, const struct fault *fault) {
  if (process->client < 0) return;
  struct client *client = &shim.clients[process->client];
  process->client = -1;
  client_send_fault(client, process->request, fault);
  if (client->role != C_STREAM) return;
  client->closing = true;
  if (client->pending_from == client->pending_to) client_close(client);
}

static void close_sync(struct process *process) {
  close(process->sync);
  process->sync = -1;
}

static void take_terminal(struct process *process, int master) {
  if (master < 0) return;
  fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK);
  process->in = process->out = master;
}

// The start failed. An exec is forgotten at once; PID 1's exit record follows when it is reaped.
static void fail(struct process *process, const struct fault *fault) {
  close_sync(process);
  answer_fault(process, fault);
  if (process == &shim.processes[0]) {
    process->state = P_RUNNING;
    return;
  }
  process_close_streams(process);
  process->state = P_FREE; // its remains are reaped like any orphan's
}

// The exec's process holds still until its id is known here: its end must never be reaped as a stranger's. One that is no
// child of ours any more failed before that, and its words or the end of the line follow.
static void take_child(struct process *process, pid_t pid) {
  struct sync_message go = {.kind = SYNC_GO};
  siginfo_t info;
  bool comes_later = shim.runtime.path[0] != 0; // it is its driver's until that one goes
  if (!comes_later && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0) return;
  process->pid = pid;
  sync_send(process->sync, &go, -1); // fails for one that has just ended: that is seen as any other end
}

void process_sync(struct process *process) {
  struct sync_message message;
  int passed, got = sync_receive(process->sync, &message, &passed);
  if (got == 0) {
    close_sync(process);
    if (process->state == P_STARTING && process->pid > 0) {
      process->state = P_RUNNING;
      answer_started(process);
    } else if (process->state == P_STARTING) {
      struct fault fault = {0};
      fault_say(&fault, FAULT_INTERNAL, "the process ended before it could start");
      answer_fault(process, &fault);
      process_close_streams(process);
      process->state = P_FREE;
    }
    return;
  }
  if (got == 1 && message.kind == SYNC_FAULT) fail(process, &message.fault);
  else if (got == 1 && message.kind == SYNC_CHILD) take_child(process, message.value);
  else if (got == 1 && message.kind == SYNC_PREPARED) take_terminal(process, passed);
  else if (passed >= 0) close(passed);
}

// Told once: to the record on disk for PID 1, to all control clients for any.
void process_tell_exit(struct process *process) {
  uint8_t frame[160];
  struct writer writer;
  if (process->told) return;
  process->told = true;
  if (process == &shim.processes[0]) {
    json_log_flush(&shim.log);
    exit_record_write(shim.state, shim.id, process->pid, &process->record);
    shim.sync_record_at_ms = monotonic_ms() + ACKNOWLEDGE_MS;
    shim.state_check_at_ms = monotonic_ms() + STATE_CHECK_MS;
  }
  write_begin(&writer, frame, sizeof frame, FRAME_EXITED);
  write_string(&writer, process->id);
  write_u32(&writer, (uint32_t)process->record.exit_code);
  write_u32(&writer, process->record.signal);
  write_u8(&writer, process->record.oom_killed);
  write_u64(&writer, process->record.at_ms);
  broadcast(frame, write_finish(&writer));
}

static void note_exit(struct process *process, int status) {
  bool first = process == &shim.processes[0];
  while (process->sync >= 0 && process->state == P_STARTING) process_sync(process); // its last words come first
  if (process->state == P_FREE) return;
  if (process->sync >= 0) close_sync(process); // it never got to run its command
  process->reaped = true;
  process->state = P_EXITED;
  process->record = exit_record_of(status, first && cgroups_saw_oom(&shim.cgroups));
  process->drain_until_ms = monotonic_ms() + DRAIN_MS;
  if (first && shim.shared_pid_namespace) cgroups_kill(&shim.cgroups);
}

void processes_reap(void) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
    for (int i = 0; i < PROCESSES_MAX; i++) {
      struct process *process = &shim.processes[i];
      // An exec that is over before its helper's message was read is still without a pid here.
      if (process->state == P_STARTING && process->pid == 0 && process->sync >= 0) {
        struct pollfd ready = {.fd = process->sync, .events = POLLIN};
        if (poll(&ready, 1, 0) == 1) process_sync(process);
      }
      if (process->state == P_FREE || process->reaped || process->pid != pid) continue;
      note_exit(process, status);
      break;
    }
}
