// Programs of the bundle that run at fixed moments of a container's life, with its state on their standard input. One
// after the other; the first that fails or lasts too long is the fault.
#include "oci.h"
#include "syscalls.h"
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static const struct json *first_hook(const struct oci_container *container, const char *name, struct fault *fault) {
  return json_list(json_member(container->config, "hooks"), name, fault);
}

bool oci_has_hooks(const struct oci_container *container, const char *name) {
  struct fault ignored = {0};
  return first_hook(container, name, &ignored) != NULL;
}

static void become_hook(const char *path, struct strings *args, struct strings *env, int input) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  dup2(input, 0);
  sys_close_range(3, ~0u, 0);
  if (args->count == 0) args->items = (const char *[]){path, NULL};
  execve(path, (char *const *)args->items, (char *const *)env->items);
  _exit(127);
}

// 0 when the hook ended well; it is killed after its timeout (0: none).
static int await_hook(int pid, const char *path, int64_t seconds, struct fault *fault) {
  struct pollfd ended = {.fd = sys_pidfd_open(pid), .events = POLLIN};
  int status;
  bool late = seconds > 0 && ended.fd >= 0 && poll(&ended, 1, (int)(seconds > 86400 ? 86400000 : seconds * 1000)) == 0;
  if (late) kill(pid, SIGKILL);
  if (ended.fd >= 0) close(ended.fd);
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return fault_set(fault, "wait for hook %s", path);
  if (late) return fault_say(fault, FAULT_INVALID, "hook %s lasted longer than %lld s", path, (long long)seconds);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
  return fault_say(fault, FAULT_INVALID, "error running hook %s: %s %d", path, WIFEXITED(status) ? "exit status" : "signal",
                   WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static int run_hook(const struct json *hook, const char *state, struct fault *fault) {
  struct arena arena = {0};
  int line[2];
  if (arena_map(&arena, 1 << 20, fault) < 0) return -1;
  const char *path = json_text(hook, "path", "", fault);
  struct strings args = json_strings(hook, "args", &arena, fault), env = json_strings(hook, "env", &arena, fault);
  int64_t seconds = json_integer(hook, "timeout", 0, fault);
  if (path[0] != '/') fault_say(fault, FAULT_INVALID, "the path of hook '%s' must be absolute", path);
  if (fault->kind != FAULT_NONE || pipe2(line, O_CLOEXEC) < 0) return fault_set(fault, "make a pipe for hook %s", path);
  int pid = fork();
  if (pid == 0) become_hook(path, &args, &env, line[0]);
  close(line[0]);
  // A hook that does not read its input must not end us; a state fits into a pipe.
  sighandler_t before = signal(SIGPIPE, SIG_IGN);
  if (pid > 0 && write_fully(line[1], state, strlen(state)) < 0 && errno != EPIPE) fault_set(fault, "tell hook %s the state", path);
  signal(SIGPIPE, before);
  close(line[1]);
  int result = pid < 0 ? fault_set(fault, "start hook %s", path) : await_hook(pid, path, seconds, fault);
  arena_unmap(&arena);
  return fault->kind == FAULT_NONE ? result : -1;
}

int oci_run_hooks(const struct oci_container *container, const char *name, const char *status, struct fault *fault) {
  const struct json *hook = first_hook(container, name, fault);
  if (hook == NULL) return fault->kind == FAULT_NONE ? 0 : -1;
  char *state = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&state, &length);
  if (out == NULL) return fault_set(fault, "write the state for hooks");
  oci_write_state(out, container, status);
  fclose(out);
  int result = 0;
  for (; hook != NULL && result == 0; hook = hook->next) result = run_hook(hook, state, fault);
  free(state);
  return result;
}
