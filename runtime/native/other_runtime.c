// Drives another OCI runtime. To its daemon the shim stays what it is: parent of PID 1 and of execs, since it is the
// subreaper to whom their maker leaves them, and holder of stdio, log and exit status. Each of the runtime's commands is
// run by a short-lived driver in a mount namespace of its own, where the root file system and the sources of binds
// stand; nothing of that is left once the container has what it needs.
#include "other_runtime.h"
#include "rootfs.h"
#include "runtime_command.h"
#include "shim.h"
#include "sync.h"
#include "syscalls.h"
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

int other_runtime_keep(const struct launch_request *request, struct fault *fault) {
  struct other_runtime *runtime = &shim.runtime;
  size_t used = 0;
  if (access(request->runtime.path, X_OK) < 0) return fault_invalid(fault, "run the runtime %s", request->runtime.path);
  bool fits = strlen(request->runtime.path) < sizeof runtime->path && request->runtime.args.count <= RUNTIME_ARGS_MAX;
  for (uint32_t i = 0; i < request->runtime.args.count && fits; i++) {
    const char *word = request->runtime.args.items[i];
    fits = used + strlen(word) < sizeof runtime->words;
    if (!fits) break;
    runtime->args[runtime->arg_count++] = strcpy(runtime->words + used, word);
    used += strlen(word) + 1;
  }
  if (!fits) return fault_say(fault, FAULT_INVALID, "the path or the arguments of the runtime are too long");
  for (uint32_t i = 0; i < request->group_count; i++) runtime->is_hybrid |= request->groups[i].version == 1;
  runtime->is_hybrid &= shim.cgroups.unified >= 0;
  strcpy(runtime->path, request->runtime.path);
  return 0;
}

// --- the driver's world ---

// Where controllers are on version 1, some runtimes refuse to work beside a cgroup2 that they would not use.
static int hide_unified(struct fault *fault) {
  char line[1024], path[300], type[64];
  FILE *mounts = fopen("/proc/self/mounts", "re");
  if (mounts == NULL) return fault_set(fault, "read the mounts");
  char found[300] = "";
  while (fgets(line, sizeof line, mounts) != NULL)
    if (sscanf(line, "%*s %299s %63s", path, type) == 2 && strcmp(type, "cgroup2") == 0) strcpy(found, path);
  fclose(mounts);
  if (found[0] != 0 && umount2(found, MNT_DETACH) < 0) return fault_set(fault, "hide %s", found);
  return 0;
}

// What the host mounts later still arrives, what is mounted here stays here.
static int keep_mounts_apart(struct fault *fault) {
  if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) return fault_set(fault, "keep the driver's mounts apart");
  return shim.runtime.is_hybrid ? hide_unified(fault) : 0;
}

static int enter_own_mounts(struct fault *fault) {
  if (unshare(CLONE_NEWNS) < 0) return fault_set(fault, "make the driver's mount namespace");
  return keep_mounts_apart(fault);
}

// What the shim has open is not a driver's to hold.
static void become_driver(int sync, const struct stdio *stdio) {
  int kept[] = {sync, stdio->in, stdio->out, stdio->err, shim.cgroups.unified};
  close_others(3, kept, 5);
  setsid();
  prctl(PR_SET_NAME, "shoal-driver", 0, 0, 0);
}

// The runtime knows the version 1 groups alone; freezing, killing and device rules go by the other.
static int place_in_unified(int pid, struct fault *fault) {
  char text[16];
  if (!shim.runtime.is_hybrid) return 0;
  int length = snprintf(text, sizeof text, "%d", pid);
  int file = openat(shim.cgroups.unified, "cgroup.procs", O_WRONLY | O_CLOEXEC);
  int result = file >= 0 && (write(file, text, (size_t)length) == length || errno == ESRCH) ? 0 : -1;
  if (result < 0) fault_set(fault, "put process %d into its cgroup", pid);
  if (file >= 0) close(file);
  return result;
}

// --- what both kinds of process need ---

// Looked up with the container's root as ours for the moment; this process has one thread and its host's root open.
static int find_identity(int root, const struct process_plan *process, struct identity *identity, struct fault *fault) {
  int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (host < 0 || fchdir(root) < 0 || chroot(".") < 0) return fault_set(fault, "enter the root file system");
  int result = identity_find(process->user, &process->groups, identity, fault);
  if (fchdir(host) < 0 || chroot(".") < 0) return fault_set(fault, "return to the host's root");
  close(host);
  return result;
}

// What this machine does not allow is lowered before the runtime would stumble over it.
static int lower(struct process_plan *process, struct warnings *warnings, struct fault *fault) {
  size_t used = strlen(warnings->text);
  if (!set_oom_score(getpid(), process->oom_score_adjustment)) {
    snprintf(warnings->text + used, sizeof warnings->text - used, "oom score adjustment %d is not allowed on this machine\n",
             process->oom_score_adjustment);
    process->oom_score_adjustment = 0;
  }
  return rlimits_clamp(process, warnings, fault);
}

// --- PID 1 ---

static int place_source(int folder, uint32_t index, int tree, struct fault *fault) {
  char name[32];
  struct stat status;
  snprintf(name, sizeof name, BUNDLE_SOURCE, index);
  bool bad = fstat(tree, &status) < 0;
  bad = bad || (S_ISDIR(status.st_mode) ? mkdirat(folder, name, 0700) : mknodat(folder, name, S_IFREG | 0600, 0)) < 0;
  int at = bad ? -1 : openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  bad = at < 0 || sys_move_mount(tree, at) < 0;
  if (at >= 0) close(at);
  return bad ? fault_set(fault, "place the source of mount %u", index) : 0;
}

// runc's exec goes by the folder of the root file system, though nothing is mounted there for it.
static int make_folders(char *path, size_t capacity, struct fault *fault) {
  static const char *const names[] = {"b/root", "b"};
  for (int i = 1; i >= 0; i--)
    if (run_path(path, capacity, names[i], fault) < 0 || (mkdir(path, 0700) < 0 && errno != EEXIST))
      return fault_set(fault, "make %s", path);
  return run_path(path, capacity, "b", fault);
}

// A folder of this namespace only, on `b` of the run directory: config.json, `root`, and the sources of binds, opened and
// checked as for our own containers.
static int make_bundle(const struct launch_request *request, int *root, struct fault *fault) {
  char path[300];
  if (make_folders(path, sizeof path, fault) < 0) return -1;
  int at = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int folder = new_file_system("tmpfs", "tmpfs", "size=16m,nr_inodes=8k,mode=0700", MOUNT_ATTR_NOSUID, fault);
  if (folder < 0) return -1;
  if (at < 0 || sys_move_mount(folder, at) < 0 || mkdirat(folder, "root", 0755) < 0) return fault_set(fault, "make the bundle");
  close(at);
  *root = rootfs_overlay(folder, request, fault);
  for (uint32_t i = 0; i < request->mount_count && *root >= 0; i++)
    if (request->mounts[i].tree >= 0 && place_source(folder, i, request->mounts[i].tree, fault) < 0) return -1;
  return *root < 0 ? -1 : folder;
}

static int write_bundle(struct launch_request *request, struct warnings *warnings, struct fault *fault) {
  static struct identity identity;
  char path[300];
  int root = -1;
  if (unshare(CLONE_NEWNS) < 0) return fault_set(fault, "make the driver's mount namespace");
  // While mounts still have the host's propagation, which those of binds may keep.
  if (open_bind_sources(request, fault) < 0 || keep_mounts_apart(fault) < 0) return -1;
  int folder = make_bundle(request, &root, fault);
  if (folder < 0 || find_identity(root, &request->process, &identity, fault) < 0) return -1;
  if (lower(&request->process, warnings, fault) < 0 || run_path(path, sizeof path, "b/root", fault) < 0) return -1;
  return bundle_write(folder, path, request, &identity, fault);
}

static int create(struct birth *birth, struct sync_message *message, int *master, struct fault *fault) {
  struct process_plan *process = &birth->request->process;
  struct console console;
  char bundle[300], pid_file[300];
  if (write_bundle(birth->request, &message->warnings, fault) < 0) return -1;
  if (run_path(bundle, sizeof bundle, "b", fault) < 0 || run_path(pid_file, sizeof pid_file, "b/pid", fault) < 0) return -1;
  if (console_open(&console, process->terminal, fault) < 0) return -1;
  const char *words[] = {"create", "--bundle", bundle, "--pid-file", pid_file, shim.id, NULL, NULL, NULL};
  if (process->terminal) words[5] = "--console-socket", words[6] = console.path, words[7] = shim.id;
  int result = runtime_run(words, &birth->stdio, fault);
  if (result == 0) result = console_take(&console, process, master, fault);
  console_close(&console);
  message->value = result == 0 ? runtime_read_pid(pid_file, fault) : -1;
  return message->value < 0 ? -1 : place_in_unified(message->value, fault);
}

static void start(int pid, struct fault *fault) {
  const char *words[] = {"start", shim.id, NULL};
  int pidfd = sys_pidfd_open(pid);
  if (runtime_run(words, NULL, fault) == 0) return;
  if (pidfd >= 0) syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

void other_runtime_create(struct birth *birth) {
  struct fault fault = {0};
  struct sync_message message = {.kind = SYNC_PREPARED, .warnings = {""}}, answer;
  int master = -1, passed;
  become_driver(birth->sync, &birth->stdio);
  if (create(birth, &message, &master, &fault) == 0 && sync_send(birth->sync, &message, master) < 0)
    fault_set(&fault, "report to the shim");
  close_stdio(&birth->stdio);
  if (master >= 0) close(master);
  bool goes = fault.kind == FAULT_NONE && sync_receive(birth->sync, &answer, &passed) == 1 && answer.kind == SYNC_GO;
  if (goes) start(message.value, &fault);
  if (fault.kind != FAULT_NONE) sync_send_fault(birth->sync, &fault);
  _exit(0);
}

// --- an exec ---

static int open_root_of(int pid, struct fault *fault) {
  char path[40];
  snprintf(path, sizeof path, "/proc/%d/root", pid);
  int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return root >= 0 ? root : fault_set(fault, "open the container's root");
}

static int exec_command(struct entry *entry, const char *process_file, const char *pid_file, int *master, struct fault *fault) {
  struct console console;
  if (console_open(&console, entry->process.terminal, fault) < 0) return -1;
  const char *words[] = {"exec", "--detach", "--process", process_file, "--pid-file", pid_file, shim.id, NULL, NULL, NULL};
  if (entry->process.terminal) words[6] = "--console-socket", words[7] = console.path, words[8] = shim.id;
  int result = runtime_run(words, &entry->stdio, fault);
  if (result == 0) result = console_take(&console, &entry->process, master, fault);
  console_close(&console);
  return result < 0 ? -1 : runtime_read_pid(pid_file, fault);
}

static int exec_in(struct entry *entry, int *master, struct fault *fault) {
  static struct identity identity;
  struct warnings warnings = {""};
  char process_file[300], pid_file[300], name[32];
  int root = open_root_of(shim.processes[0].pid, fault);
  // Before the process exists: it must not have had children outside by the time that its number is known.
  if (root < 0 || place_in_unified(getpid(), fault) < 0 || enter_own_mounts(fault) < 0) return -1;
  if (find_identity(root, &entry->process, &identity, fault) < 0) return -1;
  if (lower(&entry->process, &warnings, fault) < 0) return -1;
  snprintf(name, sizeof name, "x%d.json", getpid());
  if (run_path(process_file, sizeof process_file, name, fault) < 0) return -1;
  snprintf(name, sizeof name, "x%d.pid", getpid());
  if (run_path(pid_file, sizeof pid_file, name, fault) < 0) return -1;
  int pid = bundle_write_process(process_file, &entry->process, &identity, fault);
  if (pid == 0) pid = exec_command(entry, process_file, pid_file, master, fault);
  unlink(process_file);
  unlink(pid_file);
  return pid;
}

// As the subreaper this driver keeps the process, or what is left of it, until the shim has been told its number.
void other_runtime_exec(struct entry *entry) {
  struct fault fault = {0};
  struct sync_message message = {.kind = SYNC_CHILD}, terminal = {.kind = SYNC_PREPARED, .warnings = {""}};
  int master = -1;
  become_driver(entry->sync, &entry->stdio);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  message.value = exec_in(entry, &master, &fault);
  close_stdio(&entry->stdio);
  if (fault.kind != FAULT_NONE) sync_send_fault(entry->sync, &fault);
  else {
    sync_send(entry->sync, &message, -1);
    if (master >= 0) sync_send(entry->sync, &terminal, master);
  }
  _exit(0);
}

// --- the end ---

void other_runtime_delete(void) {
  const char *words[] = {"delete", "--force", shim.id, NULL};
  struct fault fault = {0};
  if (shim.runtime.path[0] == 0) return;
  int pid = fork();
  if (pid == 0) {
    become_driver(-1, &(struct stdio){-1, -1, -1, -1, 0});
    if (enter_own_mounts(&fault) == 0) runtime_run(words, NULL, &fault);
    _exit(0);
  }
  while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
}
