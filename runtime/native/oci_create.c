// create: the container up to the point where its PID 1 waits for the word, which comes over a socket in its folder. PID 1
// is then nobody's child but the subreaper's that called us; its streams are the ones we were given.
#include "oci.h"
#include "container.h"
#include "namespaces.h"
#include "remove.h"
#include "shim.h"
#include "sync.h"
#include "syscalls.h"
#include "user_namespace.h"
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

// Both ends say this when all is mounted and hooks may run; the answer is SYNC_GO.
#define SYNC_MOUNTED 100

static struct oci_container *born; // in PID 1: whose hooks run

static int at_mounted(struct birth *birth, struct fault *fault) {
  struct sync_message message = {.kind = SYNC_MOUNTED};
  int passed;
  if (sync_send(birth->sync, &message, -1) < 0) return fault_set(fault, "report to the runtime");
  if (sync_receive(birth->sync, &message, &passed) != 1 || message.kind != SYNC_GO)
    return fault_say(fault, FAULT_INTERNAL, "the runtime went away");
  born->pid = getpid(); // as this namespace has it
  return oci_run_hooks(born, "createContainer", "created", fault);
}

// One `start` after the other may connect and vanish; the first that says the word counts.
static int await_start(struct birth *birth, struct fault *fault) {
  struct sync_message message;
  int passed;
  for (;;) {
    int line = accept4(birth->steps->line, NULL, NULL, SOCK_CLOEXEC);
    if (line < 0 && errno != EINTR && errno != ECONNABORTED) return fault_set(fault, "wait for the start");
    if (line < 0) continue;
    if (sync_receive(line, &message, &passed) == 1 && message.kind == SYNC_GO) {
      birth->sync = line;
      return oci_run_hooks(born, "startContainer", "created", fault);
    }
    close(line);
  }
}

// The command is looked up now already, so that `create` tells of one that is not there.
static int at_prepared(struct birth *birth, struct fault *fault) {
  char command[4096];
  const struct process_plan *process = &birth->request->process;
  struct sync_message message = {.kind = SYNC_GO};
  if (find_command(process->args.items[0], process->env.items, command, sizeof command, fault) < 0) return -1;
  // Engines wait until nobody holds the streams of `create` any more.
  for (int i = 0; i < 3 && birth->stdio.terminal >= 0; i++)
    if (dup2(birth->stdio.terminal, i) < 0) return fault_set(fault, "place the terminal");
  if (sync_send(birth->sync, &message, -1) < 0) return fault_set(fault, "report to the runtime");
  close(birth->sync);
  birth->sync = -1;
  return await_start(birth, fault);
}

// Through the folder's descriptor, so that the path's length does not matter.
static int listen_for_start(const struct oci_container *container, struct fault *fault) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/start", container->folder);
  int line = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  mode_t before = umask(0177);
  bool bad = line < 0 || bind(line, (struct sockaddr *)&address, sizeof address) < 0 || listen(line, 8) < 0;
  umask(before);
  return bad ? fault_set(fault, "listen for the start") : line;
}

static int clone_first(struct birth *birth, int pid_namespace, int *pidfd, struct fault *fault) {
  if (birth->request->user.kind != NS_HOST) return user_namespace_clone(birth, pid_namespace, fault);
  int own = pid_namespace < 0 ? -1 : open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
  if (pid_namespace >= 0 && (own < 0 || setns(pid_namespace, CLONE_NEWPID) < 0))
    return fault_set(fault, "join the pid namespace");
  int pid = clone_into(birth->cgroups, namespace_flags(birth->request), pidfd);
  if (pid == 0) container_main(birth);
  if (pid < 0) fault_set(fault, "create the container's first process");
  if (pid_namespace >= 0 && setns(own, CLONE_NEWPID) < 0) fault_set(fault, "return to the own pid namespace");
  if (own >= 0) close(own);
  return pid;
}

int oci_send_console(const char *path, int master, struct fault *fault) {
  static const char name[] = "/dev/ptmx";
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char control[CMSG_SPACE(sizeof(int))] = {0};
  if (strlen(path) >= sizeof address.sun_path) return fault_say(fault, FAULT_INVALID, "the path of the console socket is too long");
  strcpy(address.sun_path, path);
  struct iovec part = {.iov_base = (void *)name, .iov_len = sizeof name - 1};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *item = CMSG_FIRSTHDR(&header);
  *item = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
  memcpy(CMSG_DATA(item), &master, sizeof master);
  int line = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool bad = line < 0 || connect(line, (struct sockaddr *)&address, sizeof address) < 0;
  bad = bad || sendmsg(line, &header, MSG_NOSIGNAL) < 0;
  int result = bad ? fault_set(fault, "send the terminal to %s", path) : 0;
  if (line >= 0) close(line);
  return result;
}

int oci_write_pid_file(const char *path, int pid, struct fault *fault) {
  char early[4096], text[16];
  if (path == NULL) return 0;
  if (snprintf(early, sizeof early, "%s.new", path) >= (int)sizeof early)
    return fault_say(fault, FAULT_INVALID, "the path of the pid file is too long");
  int file = open(early, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  int length = snprintf(text, sizeof text, "%d", pid);
  bool bad = file < 0 || write(file, text, (size_t)length) != length;
  if (file >= 0) bad = close(file) < 0 || bad;
  return bad || rename(early, path) < 0 ? fault_set(fault, "write the pid file %s", path) : 0;
}

int oci_check_preserved(const struct oci_options *options, struct fault *fault) {
  for (int fd = 3; fd < 3 + options->preserved; fd++) {
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0) return fault_say(fault, FAULT_INVALID, "--preserve-fds %d, but descriptor %d is not open", options->preserved, fd);
    fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC);
  }
  return 0;
}

// What PID 1 reports until it waits for the start.
static int attend(struct oci_container *container, const struct oci_options *options, int line, struct fault *fault) {
  struct sync_message message;
  int master;
  for (;;) {
    if (sync_receive(line, &message, &master) != 1)
      return fault_say(fault, FAULT_INTERNAL, "the container's first process died while it was prepared");
    if (message.kind == SYNC_FAULT) return *fault = message.fault, -1;
    if (message.kind == SYNC_GO) return 0;
    if (message.kind == SYNC_PREPARED) {
      oci_warn(options, message.warnings.text);
      if (master < 0) continue;
      int result = oci_send_console(options->console_socket, master, fault);
      close(master);
      if (result < 0) return -1;
      continue;
    }
    if (oci_run_hooks(container, "prestart", "created", fault) < 0) return -1;
    if (oci_run_hooks(container, "createRuntime", "created", fault) < 0) return -1;
    message.kind = SYNC_GO;
    if (sync_send(line, &message, -1) < 0) return fault_set(fault, "tell the container to go on");
  }
}

static void close_joined(const struct birth *birth, int pid_namespace) {
  int joined[] = {birth->network, birth->ipc, birth->uts, birth->cgroup, pid_namespace};
  for (int i = 0; i < 5; i++)
    if (joined[i] >= 0) close(joined[i]);
}

static int score(const struct oci_container *container, struct fault *fault) {
  const struct json *wanted = json_path(container->config, "process", "oomScoreAdj");
  if (wanted == NULL) return 0;
  int value = (int)json_integer(json_member(container->config, "process"), "oomScoreAdj", 0, fault);
  return set_oom_score(container->pid, value) ? 0 : fault_set(fault, "write %d to oom_score_adj", value);
}

static int bear(struct oci_container *container, const struct oci_options *options, struct cgroups *cgroups, int starter,
                struct fault *fault) {
  struct birth_steps steps = {.line = starter, .mounted = at_mounted, .wait = at_prepared};
  struct birth birth = {.request = &container->request, .arena = &container->arena, .cgroups = cgroups, .network = -1,
                        .ipc = -1, .uts = -1, .cgroup = -1, .stdio = {0, 1, 2, -1, options->preserved}, .steps = &steps};
  int pair[2], pid_namespace = -1, pidfd = -1;
  if (open_namespaces(&container->request, &birth, &pid_namespace, fault) < 0 || sync_pair(pair, fault) < 0) return -1;
  birth.sync = pair[1];
  container->pid = clone_first(&birth, pid_namespace, &pidfd, fault);
  close(pair[1]);
  close_joined(&birth, pid_namespace);
  if (container->pid <= 0 || fault->kind != FAULT_NONE) return -1;
  if (pidfd >= 0) close(pidfd);
  container->start_ticks = start_ticks_of(container->pid);
  if (oci_save(container, fault) < 0 || score(container, fault) < 0) return -1;
  bool has_user_namespace = container->request.user.kind != NS_HOST;
  if (has_user_namespace && user_namespace_furnish(&birth, container->pid, pair[0], fault) < 0) return -1;
  int result = attend(container, options, pair[0], fault);
  close(pair[0]);
  return result;
}

static void undo(struct oci_container *container, struct cgroups *cgroups) {
  struct fault ignored = {0};
  if (container->pid > 0) {
    kill(container->pid, SIGKILL);
    waitpid(container->pid, NULL, 0);
  }
  cgroups_kill(cgroups);
  oci_remove_groups(&container->request, &ignored);
  remove_tree(AT_FDCWD, container->path);
}

static int copy_config(const struct oci_container *container, struct fault *fault) {
  char path[4096], bytes[16384];
  snprintf(path, sizeof path, "%.4000s/config.json", container->bundle);
  int from = open(path, O_RDONLY | O_CLOEXEC);
  int to = openat(container->folder, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  ssize_t got = from < 0 || to < 0 ? -1 : 0;
  while (got >= 0 && (got = read(from, bytes, sizeof bytes)) > 0)
    if (write_fully(to, bytes, (size_t)got) < 0) got = -1;
  if (from >= 0) close(from);
  if (to >= 0) close(to);
  return got < 0 ? fault_set(fault, "copy %s", path) : 0;
}

static const char *now_text(void) {
  static char text[64];
  struct timespec now;
  struct tm parts;
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &parts);
  size_t length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  snprintf(text + length, sizeof text - length, ".%09ldZ", now.tv_nsec);
  return text;
}

static int check_console(const struct oci_container *container, const struct oci_options *options, struct fault *fault) {
  bool terminal = container->request.process.terminal;
  if (terminal && options->console_socket == NULL)
    return fault_say(fault, FAULT_INVALID, "a container with a terminal needs --console-socket");
  if (!terminal && options->console_socket != NULL)
    return fault_say(fault, FAULT_INVALID, "cannot use console socket if runc will not detach or allocate tty");
  return 0;
}

int oci_create(struct oci_container *container, const struct oci_options *options, struct fault *fault) {
  struct cgroups cgroups;
  container->id = options->id;
  container->created = now_text();
  if (oci_read_config(container, options, fault) < 0 || check_console(container, options, fault) < 0) return -1;
  if (oci_check_preserved(options, fault) < 0 || oci_make_folder(container, options, fault) < 0) return -1;
  born = container;
  cgroups_none(&cgroups);
  int starter = -1, result = copy_config(container, fault);
  if (result == 0) result = cgroups_make(&container->request, &cgroups, fault);
  if (result == 0) result = starter = listen_for_start(container, fault);
  if (result >= 0) result = bear(container, options, &cgroups, starter, fault);
  if (result == 0) result = oci_write_pid_file(options->pid_file, container->pid, fault);
  if (starter >= 0) close(starter);
  if (result < 0) undo(container, &cgroups);
  return result < 0 ? -1 : 0;
}
