// exec: a further process in a running container, by the same way in as the shim's execs.
#include "oci.h"
#include "entry.h"
#include "shim.h"
#include "sync.h"
#include "syscalls.h"
#include "user_namespace.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static int read_user(const char *text, struct process_plan *plan, struct fault *fault) {
  if (strspn(text, "0123456789:") != strlen(text)) return fault_say(fault, FAULT_INVALID, "--user takes UID[:GID]");
  plan->user = text;
  return 0;
}

// Without --process: the container's own process with these arguments.
static int read_arguments(struct oci_container *container, const struct oci_options *options, struct process_plan *plan,
                          struct fault *fault) {
  const struct json *own = json_member(container->config, "process");
  if (oci_read_process(own, container->config, &container->arena, plan, fault) < 0) return -1;
  if (options->rest_count == 0) return fault_say(fault, FAULT_INVALID, "exec needs --process or a command");
  plan->args = (struct strings){(uint32_t)options->rest_count, (const char **)options->rest};
  plan->terminal = options->terminal;
  if (options->app_armor != NULL) plan->app_armor_profile = oci_profile(options->app_armor);
  if (options->cwd != NULL) plan->directory = options->cwd;
  if (options->user != NULL && read_user(options->user, plan, fault) < 0) return -1;
  uint32_t count = plan->env.count + options->env.count;
  const char **env = arena_take(&container->arena, (count + 1) * sizeof *env, fault);
  if (env == NULL) return -1;
  // The first of two equal names counts for most programs.
  memcpy(env, options->env.items, options->env.count * sizeof *env);
  memcpy(env + options->env.count, plan->env.items, plan->env.count * sizeof *env);
  plan->env = (struct strings){count, env};
  return 0;
}

static int read_plan(struct oci_container *container, const struct oci_options *options, struct process_plan *plan,
                     struct fault *fault) {
  if (options->process == NULL) return read_arguments(container, options, plan, fault);
  const struct json *process = json_read(AT_FDCWD, options->process, &(struct arena){0}, fault);
  if (process == NULL) return -1;
  return oci_read_process(process, container->config, &container->arena, plan, fault);
}

static int score_of(int pid) {
  char path[64];
  int score = 0;
  snprintf(path, sizeof path, "/proc/%d/oom_score_adj", pid);
  FILE *file = fopen(path, "re");
  if (file != NULL && fscanf(file, "%d", &score) != 1) score = 0;
  if (file != NULL) fclose(file);
  return score;
}

// From the fork of the helper to the command's exec. `*pid` is the command's.
static int attend(int line, const struct oci_options *options, int *pid, struct fault *fault) {
  struct sync_message message;
  int master, got;
  while ((got = sync_receive(line, &message, &master)) == 1) {
    if (message.kind == SYNC_FAULT) return *fault = message.fault, -1;
    if (message.kind == SYNC_CHILD) {
      *pid = message.value;
      if (oci_write_pid_file(options->pid_file, *pid, fault) < 0) return -1;
      message.kind = SYNC_GO;
      // One that has failed meanwhile does not listen any more: what it said comes next.
      if (sync_send(line, &message, -1) < 0 && errno != EPIPE) return fault_set(fault, "tell the process to go on");
    } else if (master >= 0) {
      int result = oci_send_console(options->console_socket, master, fault);
      close(master);
      if (result < 0) return -1;
    }
  }
  if (got < 0) return fault_set(fault, "start the process");
  return *pid > 0 ? 0 : fault_say(fault, FAULT_INTERNAL, "the process died while it was prepared");
}

static int run(struct entry *entry, const struct oci_options *options, int *pid, struct fault *fault) {
  int pair[2];
  if (sync_pair(pair, fault) < 0) return -1;
  entry->sync = pair[1];
  int helper = clone_into(entry->cgroups, 0, NULL);
  if (helper == 0) entry_main(entry);
  close(pair[1]);
  if (helper < 0) return fault_set(fault, "create the helper of an exec");
  int result = attend(pair[0], options, pid, fault);
  close(pair[0]);
  waitpid(helper, NULL, 0);
  if (result < 0 && *pid > 0) kill(*pid, SIGKILL), waitpid(*pid, NULL, 0);
  return result;
}

int oci_exec(struct oci_container *container, const struct oci_options *options, int *code, struct fault *fault) {
  struct cgroups cgroups;
  struct entry entry = {.stdio = {0, 1, 2, -1, options->preserved}, .pidfd = sys_pidfd_open(container->pid), .cgroups = &cgroups};
  int pid = 0;
  enum oci_status status = oci_status_of(container);
  if (status == OCI_STOPPED) return fault_say(fault, FAULT_CONFLICT, "cannot exec in a stopped container");
  if (status == OCI_PAUSED) return fault_say(fault, FAULT_CONFLICT, "cannot exec in a paused container");
  if (oci_check_preserved(options, fault) < 0 || read_plan(container, options, &entry.process, fault) < 0) return -1;
  if (entry.process.terminal && options->console_socket == NULL)
    return fault_say(fault, FAULT_INVALID, "a process with a terminal needs --console-socket");
  if (entry.pidfd < 0) return fault_set(fault, "open the container's first process");
  entry.process.outlives_parent = true;
  entry.process.oom_score_adjustment = score_of(container->pid);
  entry.in_user_namespace = oci_has_user_namespace(container->config);
  if (entry.in_user_namespace) user_namespace_own_streams(container->pid, &entry.stdio);
  if (arena_map(&entry.arena, 1 << 20, fault) < 0 || oci_open_groups(&container->request, &cgroups, fault) < 0) return -1;
  if (run(&entry, options, &pid, fault) < 0) return -1;
  *code = options->detach ? 0 : oci_wait(pid);
  return 0;
}
