// The shim's loop: one poll over its socket, its children's ends, its clients and its processes' streams.
#include "shim.h"
#include "other_runtime.h"
#include "remove.h"
#include "syscalls.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct shim shim;

enum watch_kind { W_LISTENER, W_SIGNALS, W_CLIENT, W_SYNC, W_OUT, W_ERR, W_IN };

#define WATCHES_MAX (2 + CLIENTS_MAX + 4 * PROCESSES_MAX)
static struct pollfd watched[WATCHES_MAX];
static struct {
  enum watch_kind kind;
  int index;
} meaning[WATCHES_MAX];
static nfds_t watches;

static void watch(int fd, short events, enum watch_kind kind, int index) {
  if (fd < 0) return;
  watched[watches] = (struct pollfd){.fd = fd, .events = events};
  meaning[watches].kind = kind;
  meaning[watches++].index = index;
}

static void watch_client(int index) {
  const struct client *client = &shim.clients[index];
  short events = 0;
  if (client->role == C_FREE) return;
  if (!client->blocked && !client->closing) events |= POLLIN;
  if (client->pending_to > client->pending_from) events |= POLLOUT;
  watch(client->fd, events, W_CLIENT, index);
}

static bool input_is_wanted(int index) {
  for (int i = 0; i < CLIENTS_MAX; i++)
    if (shim.clients[i].role == C_STREAM && shim.clients[i].process == index && shim.clients[i].blocked) return true;
  return false;
}

static void watch_process(int index) {
  const struct process *process = &shim.processes[index];
  if (process->state == P_FREE) return;
  if (process->state == P_STARTING) watch(process->sync, POLLIN, W_SYNC, index);
  if (process->state != P_RUNNING && process->state != P_EXITED) return;
  if (!output_is_held(process)) {
    watch(process->out, POLLIN, W_OUT, index);
    watch(process->err, POLLIN, W_ERR, index);
  }
  if (process->in >= 0 && input_is_wanted(index)) watch(process->in, POLLOUT, W_IN, index);
}

static void watch_all(void) {
  watches = 0;
  watch(shim.listener, POLLIN, W_LISTENER, 0);
  watch(shim.signals, POLLIN, W_SIGNALS, 0);
  for (int i = 0; i < CLIENTS_MAX; i++) watch_client(i);
  for (int i = 0; i < PROCESSES_MAX; i++) watch_process(i);
}

static void accept_client(void) {
  int fd = accept4(shim.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  struct client *client = client_add(fd);
  if (client == NULL) close(fd);
  else client_send_hello(client);
}

static void read_signals(void) {
  struct signalfd_siginfo info[8];
  while (read(shim.signals, info, sizeof info) > 0) continue;
  processes_reap();
}

static void serve_client(struct client *client, short events) {
  if (client->role == C_FREE) return;
  if (events & POLLOUT) client_writable(client);
  if (client->role == C_FREE) return;
  if (events & POLLIN) client_readable(client);
  else if (events & (POLLHUP | POLLERR | POLLNVAL)) client_close(client);
}

static void resume_input(int index) {
  for (int i = 0; i < CLIENTS_MAX; i++)
    if (shim.clients[i].role == C_STREAM && shim.clients[i].process == index) client_resume(&shim.clients[i]);
}

// Earlier events of the same round may have closed what a later one speaks of, hence the second looks.
static void serve(nfds_t at) {
  int index = meaning[at].index;
  short events = watched[at].revents;
  struct process *process = &shim.processes[index];
  switch (meaning[at].kind) {
  case W_LISTENER: accept_client(); break;
  case W_SIGNALS: read_signals(); break;
  case W_CLIENT: serve_client(&shim.clients[index], events); break;
  case W_SYNC: if (process->state == P_STARTING && process->sync >= 0) process_sync(process); break;
  case W_OUT: if (process->out == watched[at].fd && !output_is_held(process)) process_output(process, false); break;
  case W_ERR: if (process->err == watched[at].fd && !output_is_held(process)) process_output(process, true); break;
  case W_IN: resume_input(index); break;
  }
}

// What is left in the pipes belongs before the news of the exit, unless a client that stalls holds it back.
static void drain(struct process *process) {
  while (process->out >= 0 && !output_is_held(process)) {
    struct pollfd ready = {.fd = process->out, .events = POLLIN};
    if (poll(&ready, 1, 0) <= 0) break;
    process_output(process, false);
  }
  while (process->err >= 0 && !output_is_held(process)) {
    struct pollfd ready = {.fd = process->err, .events = POLLIN};
    if (poll(&ready, 1, 0) <= 0) break;
    process_output(process, true);
  }
}

// With a shared pid namespace the kernel does not end a container's other processes along with its PID 1.
static bool leftovers_are_gone(void) {
  siginfo_t info;
  if (!shim.shared_pid_namespace) return true;
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

static void settle_process(struct process *process, uint64_t now) {
  if (process->state != P_EXITED) return;
  bool first = process == &shim.processes[0];
  drain(process);
  bool ended = process->out < 0 && process->err < 0 && (!first || leftovers_are_gone());
  if (!process->told && (ended || now >= process->drain_until_ms)) process_tell_exit(process);
  if (!process->told || (!ended && output_is_held(process))) return;
  process_finish_output(process);
  process_close_streams(process);
  if (!first) process->state = P_FREE;
}

static void settle_clients(uint64_t now) {
  for (int i = 0; i < CLIENTS_MAX; i++) {
    struct client *client = &shim.clients[i];
    if (client->role != C_FREE && client->stalled_since_ms != 0 && now - client->stalled_since_ms >= STALL_MS)
      client_close(client);
  }
}

static void settle_record(uint64_t now) {
  if (!shim.processes[0].told) return;
  if (shim.sync_record_at_ms != 0 && now >= shim.sync_record_at_ms && !shim.acknowledged && !shim.leaving) {
    exit_record_sync(shim.state);
    shim.sync_record_at_ms = 0;
  }
  if (now >= shim.state_check_at_ms) {
    if (access(shim.state, F_OK) < 0) shim.leaving = true;
    shim.state_check_at_ms = now + STATE_CHECK_MS;
  }
}

static bool output_pending(void) {
  for (int i = 0; i < CLIENTS_MAX; i++)
    if (shim.clients[i].role != C_FREE && shim.clients[i].pending_to > shim.clients[i].pending_from) return true;
  return false;
}

static bool is_over(void) {
  return shim.processes[0].told && (shim.acknowledged || shim.leaving) && !output_pending();
}

static void sooner(int *timeout, uint64_t now, uint64_t at) {
  int left = at <= now ? 0 : (int)(at - now);
  if (*timeout < 0 || left < *timeout) *timeout = left;
}

// How long nothing can fall due by time alone; -1: for ever.
static int patience(uint64_t now) {
  int timeout = -1;
  for (int i = 0; i < CLIENTS_MAX; i++)
    if (shim.clients[i].role != C_FREE && shim.clients[i].stalled_since_ms != 0)
      sooner(&timeout, now, shim.clients[i].stalled_since_ms + STALL_MS);
  for (int i = 0; i < PROCESSES_MAX; i++)
    if (shim.processes[i].state == P_EXITED && !shim.processes[i].told)
      sooner(&timeout, now, shim.processes[i].drain_until_ms);
  if (!shim.processes[0].told) return timeout;
  if (shim.sync_record_at_ms != 0) sooner(&timeout, now, shim.sync_record_at_ms);
  sooner(&timeout, now, shim.state_check_at_ms);
  return timeout;
}

// Whoever waits for our connection to close then finds nothing left of the run.
static void leave(void) {
  other_runtime_delete();
  remove_tree(AT_FDCWD, shim.run);
  cgroups_take_away(&shim.cgroups); // whatever stays, the daemon tries again
  _exit(0);
}

static void loop(void) {
  for (;;) {
    watch_all();
    if (poll(watched, watches, patience(monotonic_ms())) < 0) continue;
    for (nfds_t i = 0; i < watches; i++)
      if (watched[i].revents != 0) serve(i);
    uint64_t now = monotonic_ms();
    for (int i = 0; i < PROCESSES_MAX; i++) settle_process(&shim.processes[i], now);
    settle_clients(now);
    settle_record(now);
    if (is_over()) leave();
  }
}

static void begin(void) {
  sigset_t child;
  setsid();
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  prctl(PR_SET_NAME, "shoal-shim", 0, 0, 0);
  set_oom_score(getpid(), SHIM_OOM_SCORE); // where that is allowed: without its shim a container would be lost too
  shim.listener = shim.pidfd = -1;
  cgroups_none(&shim.cgroups);
  json_log_none(&shim.log);
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  shim.signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
}

// Bringing the container up went deep; what it used of the stack is given back.
static void trim_stack(void) {
  char here;
  uintptr_t top = ((uintptr_t)&here & ~(uintptr_t)4095) - 4096, bottom = top - (256u << 10);
  madvise((void *)bottom, top - bottom, MADV_DONTNEED);
}

void shim_main(int connection, const uint8_t *frame, size_t length) {
  struct fault fault = {0};
  struct reader reader = {frame + FRAME_HEADER, frame + length, &fault};
  begin();
  fcntl(connection, F_SETFD, FD_CLOEXEC);
  struct client *client = client_add(connection);
  client->role = C_CONTROL;
  uint32_t request = read_u32(&reader);
  if (shim_launch(&reader, &fault) < 0) {
    client_send_fault(client, request, &fault);
    _exit(1);
  }
  fcntl(connection, F_SETFL, O_RDWR | O_NONBLOCK);
  client_send_status(client, request);
  trim_stack();
  loop();
  _exit(0);
}
