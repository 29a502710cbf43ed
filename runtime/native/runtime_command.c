// One command of another OCI runtime, in a driver: its arguments, its end, what it says when it fails, and the terminal that
// it hands over.
#include "runtime_command.h"
#include "json.h"
#include "shim.h"
#include "syscalls.h"
#include "terminal.h"
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define COMMAND_MS_MAX 50000
#define WORDS_MAX 12
#define MESSAGE_LINES_MAX 200
#define EXEC_FRAME "exec failed: unable to start container process: " // the daemon says it again

int run_path(char *path, size_t capacity, const char *name, struct fault *fault) {
  if (snprintf(path, capacity, "%s/%s", shim.run, name) < (int)capacity) return 0;
  return fault_say(fault, FAULT_INVALID, "the path %s/%s is too long", shim.run, name);
}

static void become_runtime(const char *const words[], const char *log, const struct stdio *stdio) {
  const char *args[RUNTIME_ARGS_MAX + WORDS_MAX + 8];
  char state[300];
  int count = 0;
  sigset_t none;
  snprintf(state, sizeof state, "%s/oci", shim.run);
  const char *own[] = {"--root", state, "--log", log, "--log-format", "json"};
  args[count++] = shim.runtime.path;
  for (int i = 0; i < shim.runtime.arg_count; i++) args[count++] = shim.runtime.args[i];
  for (int i = 0; i < 6; i++) args[count++] = own[i];
  for (int i = 0; words[i] != NULL && i < WORDS_MAX; i++) args[count++] = words[i];
  args[count] = NULL;
  if (stdio != NULL && stdio->out >= 0 && (dup2(stdio->in, 0) < 0 || dup2(stdio->out, 1) < 0 || dup2(stdio->err, 2) < 0))
    _exit(127);
  sys_close_range(3, ~0u, 0);
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execv(shim.runtime.path, (char *const *)args);
  _exit(127);
}

// Whose fault it is, by the words that every runtime takes from the kernel or from Go.
static enum fault_kind kind_of(const char *text) {
  static const char *const signs[] = {"not found in $PATH", "no such file or directory", "No such file or directory",
                                      "ermission denied",   "is a directory",            "exec format error",
                                      "not a directory",    "chdir to cwd"};
  for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
    if (strstr(text, signs[i]) != NULL) return FAULT_INVALID;
  return FAULT_INTERNAL;
}

// The last message of its log, as Docker has it. False: it said nothing.
static bool read_message(const char *path, struct fault *fault) {
  char line[4096], last[sizeof fault->text] = "";
  FILE *log = fopen(path, "re");
  if (log == NULL) return false;
  for (int i = 0; i < MESSAGE_LINES_MAX && fgets(line, sizeof line, log) != NULL; i++) {
    struct fault ignored = {0};
    struct arena arena = {0};
    if (arena_map(&arena, 64 << 10, &ignored) < 0) break;
    const struct json *entry = json_parse(line, &arena, &ignored);
    const char *level = json_text(entry, "level", "error", &ignored), *text = json_text(entry, "msg", "", &ignored);
    bool counts = strcmp(level, "error") == 0 || strcmp(level, "fatal") == 0;
    size_t said = strncmp(text, EXEC_FRAME, sizeof EXEC_FRAME - 1) == 0 ? sizeof EXEC_FRAME - 1 : 0;
    if (counts && text[0] != 0) snprintf(last, sizeof last, "%s", text + said);
    arena_unmap(&arena);
  }
  fclose(log);
  if (last[0] == 0) return false;
  fault_say(fault, kind_of(last), "%s", last);
  return true;
}

static int await_command(int pid, const char *what, const char *log, struct fault *fault) {
  struct pollfd ended = {.fd = sys_pidfd_open(pid), .events = POLLIN};
  int status = 0;
  bool late = ended.fd >= 0 && poll(&ended, 1, COMMAND_MS_MAX) == 0;
  if (late) kill(pid, SIGKILL);
  if (ended.fd >= 0) close(ended.fd);
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return fault_set(fault, "wait for %s %s", shim.runtime.path, what);
  if (late)
    return fault_say(fault, FAULT_INTERNAL, "%s %s lasted longer than %d s", shim.runtime.path, what, COMMAND_MS_MAX / 1000);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
  if (read_message(log, fault)) return -1;
  return fault_say(fault, FAULT_INTERNAL, "%s %s ended with status %d and without a word", shim.runtime.path, what,
                   WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int runtime_run(const char *const words[], const struct stdio *stdio, struct fault *fault) {
  char log[300], name[32];
  snprintf(name, sizeof name, "oci.%d.log", getpid()); // drivers of several execs run at a time
  if (run_path(log, sizeof log, name, fault) < 0) return -1;
  int pid = fork();
  if (pid == 0) become_runtime(words, log, stdio);
  int result = pid < 0 ? fault_set(fault, "start %s", shim.runtime.path) : await_command(pid, words[0], log, fault);
  unlink(log);
  return result;
}

int runtime_read_pid(const char *path, struct fault *fault) {
  int pid = 0;
  FILE *file = fopen(path, "re");
  if (file == NULL || fscanf(file, "%d", &pid) != 1 || pid <= 1) {
    fault_say(fault, FAULT_INTERNAL, "%s wrote no process id", shim.runtime.path);
    pid = -1;
  }
  if (file != NULL) fclose(file);
  return pid;
}

int console_open(struct console *console, bool wanted, struct fault *fault) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  console->listener = -1;
  if (!wanted) return 0;
  if (snprintf(console->path, sizeof console->path, "%s/t%d", shim.run, getpid()) >= (int)sizeof console->path)
    return fault_say(fault, FAULT_INVALID, "the run directory is too long for a terminal's socket");
  strcpy(address.sun_path, console->path);
  mode_t before = umask(0177);
  console->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int result = console->listener < 0 ? -1 : bind(console->listener, (struct sockaddr *)&address, sizeof address);
  umask(before);
  if (result < 0 || listen(console->listener, 1) < 0) return fault_set(fault, "listen on %s", console->path);
  return 0;
}

static int receive_master(int connection) {
  char byte[4096], control[CMSG_SPACE(sizeof(int))];
  struct iovec part = {.iov_base = byte, .iov_len = sizeof byte};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  int master = -1;
  if (recvmsg(connection, &header, MSG_CMSG_CLOEXEC) < 0) return -1;
  struct cmsghdr *item = CMSG_FIRSTHDR(&header);
  if (item != NULL && item->cmsg_type == SCM_RIGHTS) memcpy(&master, CMSG_DATA(item), sizeof master);
  return master;
}

int console_take(struct console *console, const struct process_plan *process, int *master, struct fault *fault) {
  if (console->listener < 0) return 0;
  int connection = accept4(console->listener, NULL, NULL, SOCK_CLOEXEC);
  *master = connection < 0 ? -1 : receive_master(connection);
  if (connection >= 0) close(connection);
  if (*master < 0) return fault_set(fault, "take the terminal from %s", shim.runtime.path);
  if (process->rows > 0) terminal_resize(*master, process->rows, process->columns);
  return 0;
}

void console_close(struct console *console) {
  if (console->listener < 0) return;
  close(console->listener);
  unlink(console->path);
}
