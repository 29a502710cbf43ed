// Brings a container into being up to the point where its PID 1 waits for the word to run the command.
#include "container.h"
#include "namespaces.h"
#include "other_runtime.h"
#include "remove.h"
#include "shim.h"
#include "sync.h"
#include "syscalls.h"
#include "title.h"
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define PREPARE_SECONDS_MAX 60

static int keep_names(const struct launch_request *request, struct fault *fault) {
  bool fits = snprintf(shim.id, sizeof shim.id, "%s", request->container_id) < (int)sizeof shim.id;
  fits = fits && snprintf(shim.run, sizeof shim.run, "%s", request->run_directory) < (int)sizeof shim.run;
  fits = fits && snprintf(shim.state, sizeof shim.state, "%s", request->state_directory) < (int)sizeof shim.state;
  if (!fits) return fault_say(fault, FAULT_INVALID, "the container's id or directory is too long");
  if (strlen(shim.run) + 3 > sizeof((struct sockaddr_un *)0)->sun_path)
    return fault_say(fault, FAULT_INVALID, "the run directory %s is too long for a socket's path (107 bytes)", shim.run);
  char title[96];
  snprintf(title, sizeof title, "shoal-shim %s", shim.id);
  title_set(title);
  shim.shared_pid_namespace = request->pid.kind != NS_NEW;
  return 0;
}

// Two shims on one run directory would undo each other.
static int refuse_second(struct fault *fault) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s/s", shim.run);
  int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool alive = probe >= 0 && connect(probe, (struct sockaddr *)&address, sizeof address) == 0;
  if (probe >= 0) close(probe);
  return alive ? fault_say(fault, FAULT_CONFLICT, "container %s already has a shim", shim.id) : 0;
}

// `ours` is non-blocking; `theirs` is what the process gets.
static int make_pipe(int *ours, int *theirs, bool we_read, struct fault *fault) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return fault_set(fault, "make a pipe");
  *ours = ends[we_read ? 0 : 1];
  *theirs = ends[we_read ? 1 : 0];
  fcntl(*ours, F_SETFL, O_NONBLOCK);
  return 0;
}

int make_stdio(struct process *process, struct stdio *stdio, bool open_stdin, struct fault *fault) {
  *stdio = (struct stdio){-1, -1, -1, -1, 0};
  if (process->terminal) return 0;
  stdio->in = 0; // the shim's own: /dev/null
  if (open_stdin && make_pipe(&process->in, &stdio->in, false, fault) < 0) return -1;
  if (make_pipe(&process->out, &stdio->out, true, fault) < 0) return -1;
  return make_pipe(&process->err, &stdio->err, true, fault);
}

void close_stdio(const struct stdio *stdio) {
  if (stdio->in > 2) close(stdio->in);
  if (stdio->out >= 0) close(stdio->out);
  if (stdio->err >= 0) close(stdio->err);
}

// A process in `cgroups`; it is born into the cgroup2 folder.
int clone_into(const struct cgroups *cgroups, uint64_t flags, int *pidfd) {
  struct clone_args_ arguments = {.flags = flags, .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD};
  if (pidfd != NULL) {
    arguments.flags |= CLONE_PIDFD_;
    arguments.pidfd = (uint64_t)(uintptr_t)pidfd;
  }
  if (cgroups->unified >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP_;
    arguments.cgroup = (uint64_t)cgroups->unified;
  }
  return sys_clone3(&arguments);
}

// Through the host's own /proc, which no container can put something over.
bool set_oom_score(int pid, int adjustment) {
  char path[64], text[16];
  snprintf(path, sizeof path, "/proc/%d/oom_score_adj", pid);
  int file = open(path, O_WRONLY | O_CLOEXEC);
  int length = snprintf(text, sizeof text, "%d", adjustment);
  bool done = file >= 0 && write(file, text, (size_t)length) == length;
  if (file >= 0) close(file);
  return done;
}

static void score_first(int pid, int adjustment) {
  size_t used = strlen(shim.warnings);
  if (!set_oom_score(pid, adjustment) && adjustment != 0)
    snprintf(shim.warnings + used, sizeof shim.warnings - used, "oom score adjustment %d is not allowed on this machine\n",
             adjustment);
}

// Field 22 of /proc/PID/stat; the name in field 2 may hold anything, so counting starts behind its last parenthesis.
uint64_t start_ticks_of(int pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
  if (file >= 0) close(file);
  if (length <= 0) return 0;
  text[length] = 0;
  char *at = strrchr(text, ')');
  for (int field = 2; at != NULL && field < 22; field++) at = strchr(at + 1, ' ');
  return at == NULL ? 0 : strtoull(at + 1, NULL, 10);
}

// The shim enters a foreign pid namespace only around the clone, for its child's sake.
static int clone_first(struct birth *birth, int pid_namespace, struct fault *fault) {
  int own = pid_namespace < 0 ? -1 : open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
  if (pid_namespace >= 0 && (own < 0 || setns(pid_namespace, CLONE_NEWPID) < 0))
    return fault_set(fault, "join the pid namespace");
  int pid = clone_into(&shim.cgroups, namespace_flags(birth->request), &shim.pidfd);
  if (pid == 0) container_main(birth);
  if (pid < 0) fault_set(fault, "create the container's first process");
  if (pid_namespace >= 0 && setns(own, CLONE_NEWPID) < 0) fault_set(fault, "return to the own pid namespace");
  if (own >= 0) close(own);
  return pid;
}

static int await_prepared(struct process *first, struct fault *fault) {
  struct timeval limit = {.tv_sec = PREPARE_SECONDS_MAX};
  struct sync_message message;
  int master;
  setsockopt(first->sync, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  int got = sync_receive(first->sync, &message, &master);
  if (got < 0) return fault_set(fault, "wait for the container to be prepared");
  if (got == 0) return fault_say(fault, FAULT_INTERNAL, "the container's first process died while it was prepared");
  if (message.kind == SYNC_FAULT) {
    *fault = message.fault;
    return -1;
  }
  snprintf(shim.warnings + strlen(shim.warnings), sizeof shim.warnings - strlen(shim.warnings), "%s",
           message.warnings.text);
  if (first->pid == 0) first->pid = message.value;
  if (master >= 0) {
    fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK);
    first->in = first->out = master;
  }
  return 0;
}

static int open_socket(struct fault *fault) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s/s", shim.run);
  unlink(address.sun_path);
  mode_t before = umask(0177);
  shim.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int result = shim.listener < 0 ? -1 : bind(shim.listener, (struct sockaddr *)&address, sizeof address);
  umask(before);
  if (result < 0 || listen(shim.listener, 64) < 0) return fault_set(fault, "listen on %s", address.sun_path);
  return 0;
}

static int write_run_file(int folder, const struct pair *wanted, struct fault *fault) {
  if (strchr(wanted->key, '/') != NULL) return fault_say(fault, FAULT_INVALID, "'%s' is not a file's name", wanted->key);
  int file = openat(folder, wanted->key, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
  int result = file < 0 ? -1 : write_fully(file, wanted->value, strlen(wanted->value));
  if (result < 0) fault_set(fault, "write %s/%s", shim.run, wanted->key);
  if (file >= 0) close(file);
  return result;
}

// The folder may be there: the daemon puts what is too long for a request into it before, and an earlier run that the
// machine's end cut off leaves its files, which are written over.
static int make_run_directory(const struct launch_request *request, struct fault *fault) {
  if (mkdir(shim.run, 0700) < 0 && errno != EEXIST) return fault_set(fault, "make the run directory %s", shim.run);
  if (request->run_file_count == 0) return 0;
  int folder = open(shim.run, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), result = 0;
  if (folder < 0) return fault_set(fault, "open the run directory %s", shim.run);
  for (uint32_t i = 0; i < request->run_file_count && result == 0; i++)
    result = write_run_file(folder, &request->run_files[i], fault);
  close(folder);
  return result;
}

// "PID START-TICKS SHIM-PID": whoever finds the shim dead can tell whether PID 1 still is the one that was meant.
static int write_pid_file(int pid, struct fault *fault) {
  char path[300], text[80];
  snprintf(path, sizeof path, "%s/pid", shim.run);
  int length = snprintf(text, sizeof text, "%d %llu %d\n", pid, (unsigned long long)shim.start_ticks, getpid());
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  int result = file >= 0 && write(file, text, (size_t)length) == length ? 0 : -1;
  if (result < 0) fault_set(fault, "write %s", path);
  if (file >= 0) close(file);
  return result;
}

// The other runtime's command makes PID 1 and goes, which leaves PID 1 to us, the next subreaper.
static int bear_elsewhere(struct birth *birth, struct fault *fault) {
  struct process *first = &shim.processes[0];
  struct cgroups none = {.unified = -1};
  int pair[2];
  if (other_runtime_keep(birth->request, fault) < 0) return -1;
  if (make_stdio(first, &birth->stdio, birth->request->stdin_open, fault) < 0 || sync_pair(pair, fault) < 0) return -1;
  first->sync = pair[0];
  birth->sync = pair[1];
  shim.runtime.driver = clone_into(&none, 0, NULL);
  if (shim.runtime.driver == 0) other_runtime_create(birth);
  close(pair[1]);
  close_stdio(&birth->stdio);
  if (shim.runtime.driver < 0) return fault_set(fault, "create the driver of %s", shim.runtime.path);
  if (await_prepared(first, fault) < 0) return -1;
  shim.start_ticks = start_ticks_of(first->pid);
  shim.pidfd = sys_pidfd_open(first->pid);
  return shim.pidfd >= 0 ? 0 : fault_set(fault, "open the container's first process");
}

static int bear(struct birth *birth, struct fault *fault) {
  struct process *first = &shim.processes[0];
  int pair[2], pid_namespace = -1;
  if (birth->request->runtime.path != NULL) return bear_elsewhere(birth, fault);
  if (open_namespaces(birth->request, birth, &pid_namespace, fault) < 0) return -1;
  if (make_stdio(first, &birth->stdio, birth->request->stdin_open, fault) < 0) return -1;
  if (sync_pair(pair, fault) < 0) return -1;
  first->sync = pair[0];
  birth->sync = pair[1];
  first->pid = clone_first(birth, pid_namespace, fault);
  close(pair[1]);
  close_stdio(&birth->stdio);
  if (pid_namespace >= 0) close(pid_namespace);
  int joined[] = {birth->network, birth->ipc, birth->uts, birth->cgroup};
  for (int i = 0; i < 4; i++)
    if (joined[i] >= 0) close(joined[i]);
  if (first->pid <= 0 || fault->kind != FAULT_NONE) return -1;
  shim.start_ticks = start_ticks_of(first->pid);
  score_first(first->pid, birth->request->process.oom_score_adjustment);
  return await_prepared(first, fault);
}

static int open_outputs(const struct launch_request *request, struct fault *fault) {
  if (request->has_log &&
      json_log_open(&shim.log, request->log_path, request->log_bytes_max, request->log_files_max, fault) < 0)
    return -1;
  if (open_socket(fault) < 0) return -1;
  return write_pid_file(shim.processes[0].pid, fault);
}

static void undo(const struct launch_request *request) {
  struct process *first = &shim.processes[0];
  if (first->pid > 0) {
    kill(first->pid, SIGKILL);
    waitpid(first->pid, NULL, 0);
  }
  if (shim.runtime.driver > 0) {
    kill(shim.runtime.driver, SIGKILL);
    waitpid(shim.runtime.driver, NULL, 0);
  }
  cgroups_kill(&shim.cgroups);
  other_runtime_delete();
  remove_tree(AT_FDCWD, shim.run);
  cgroups_remove(request);
}

static int launch(struct launch_request *request, struct arena *arena, struct fault *fault) {
  struct birth birth = {
      .request = request, .arena = arena, .cgroups = &shim.cgroups, .network = -1, .ipc = -1, .uts = -1, .cgroup = -1};
  struct process *first = &shim.processes[0];
  if (keep_names(request, fault) < 0 || refuse_second(fault) < 0) return -1;
  exit_record_forget(shim.state);
  *first = (struct process){.state = P_PREPARED, .sync = -1, .client = -1, .in = -1, .out = -1, .err = -1};
  first->terminal = request->process.terminal;
  if (make_run_directory(request, fault) < 0 || cgroups_make(request, &shim.cgroups, fault) < 0) {
    remove_tree(AT_FDCWD, shim.run);
    return -1;
  }
  if (bear(&birth, fault) == 0 && open_outputs(request, fault) == 0) return 0;
  undo(request);
  return -1;
}

int shim_launch(struct reader *reader, struct fault *fault) {
  struct launch_request request = {0};
  struct arena arena = {0};
  size_t bytes = (size_t)(reader->end - reader->at);
  int result = arena_map(&arena, 16 * bytes + (256 << 10), fault);
  if (result == 0) result = parse_launch(reader, &arena, &request);
  if (result == 0) result = launch(&request, &arena, fault);
  arena_unmap(&arena);
  return result;
}
