// The way into a user namespace. A middle process, still root of the host, joins what is joined, and clones PID 1 as its own
// parent's child; that parent then writes the maps. PID 1 comes into being with the host's user 0 and no power over the
// host: it enters its groups with the one, and then becomes the namespace's root. Paths of the host are therefore opened by
// a further helper, which has the host's rights, in PID 1's mount namespace, where every mount's flags are locked.
#include "user_namespace.h"
#include "namespaces.h"
#include "rootfs.h"
#include "shim.h"
#include "sync.h"
#include "syscalls.h"
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SYNC_OPENED 101 // helper: the next of what PID 1 needs
#define MAP_BYTES_MAX 4095 // the kernel takes less than a page in one write
#define OPENED_FOLDERS 3 // run directory, root directory, null

// One descriptor joined is one the child need not join.
static int join(int *namespace_, int type, const char *name, struct fault *fault) {
  int fd = *namespace_;
  *namespace_ = -1;
  return join_namespace(fd, type, name, fault);
}

static int join_user(const struct namespace_choice *user, struct fault *fault) {
  if (user->kind != NS_PATH) return 0;
  int fd = open(user->path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fault_invalid(fault, "open namespace %s", user->path);
  return join_namespace(fd, CLONE_NEWUSER, "user", fault);
}

// In the middle process. What it joins while it is root of the host need not belong to the user namespace.
static int clone_there(struct birth *birth, int pid_namespace, struct fault *fault) {
  const struct namespace_choice *user = &birth->request->user;
  uint64_t flags = (namespace_flags(birth->request) & ~(uint64_t)CLONE_NEWIPC) | CLONE_PARENT;
  if (user->kind == NS_NEW) flags |= CLONE_NEWUSER;
  struct cgroups none;
  cgroups_none(&none);
  rlimits_raise(&birth->request->process); // nobody inside may
  bool joins_cgroup = birth->cgroup >= 0;
  if (joins_cgroup && cgroups_join(birth->cgroups, fault) < 0) return -1;
  if (join(&birth->cgroup, CLONE_NEWCGROUP, "cgroup", fault) < 0) return -1;
  if (join(&birth->network, CLONE_NEWNET, "network", fault) < 0) return -1;
  if (join(&birth->ipc, CLONE_NEWIPC, "ipc", fault) < 0) return -1;
  if (join(&birth->uts, CLONE_NEWUTS, "uts", fault) < 0) return -1;
  if (join(&pid_namespace, CLONE_NEWPID, "pid", fault) < 0) return -1;
  if (join_user(user, fault) < 0) return -1;
  int pid = clone_into(joins_cgroup ? &none : birth->cgroups, flags, NULL);
  if (pid < 0) fault_set(fault, "create the container's first process in a user namespace");
  return pid;
}

static void middle_main(struct birth *birth, int pid_namespace, int line) __attribute__((noreturn));
static void middle_main(struct birth *birth, int pid_namespace, int line) {
  struct fault fault = {0};
  struct sync_message message = {.kind = SYNC_CHILD};
  message.value = clone_there(birth, pid_namespace, &fault);
  if (message.value == 0) container_main(birth);
  if (message.value < 0) sync_send_fault(line, &fault);
  else sync_send(line, &message, -1);
  _exit(0);
}

int user_namespace_clone(struct birth *birth, int pid_namespace, struct fault *fault) {
  struct sync_message message;
  struct cgroups none;
  int line[2], passed;
  cgroups_none(&none);
  if (sync_pair(line, fault) < 0) return -1;
  // A cgroup namespace that is joined allows moves below itself only: so the groups are entered before, at birth.
  int middle = clone_into(birth->cgroup >= 0 ? birth->cgroups : &none, 0, NULL);
  if (middle == 0) middle_main(birth, pid_namespace, line[1]);
  close(line[1]);
  int got = middle < 0 ? -1 : sync_receive(line[0], &message, &passed);
  if (middle < 0) fault_set(fault, "create the helper of a user namespace");
  else waitpid(middle, NULL, 0);
  close(line[0]);
  if (got == 1 && message.kind == SYNC_CHILD) return message.value;
  if (got == 1) *fault = message.fault;
  else if (fault->kind == FAULT_NONE) fault_say(fault, FAULT_INTERNAL, "the helper of a user namespace died");
  return -1;
}

static int write_map(int pid, const char *name, const struct id_maps *maps, struct fault *fault) {
  char path[64], text[MAP_BYTES_MAX + 1];
  size_t length = 0;
  for (uint32_t i = 0; i < maps->count && length < sizeof text; i++)
    length += (size_t)snprintf(text + length, sizeof text - length, "%u %u %u\n", maps->items[i].inside, maps->items[i].outside,
                               maps->items[i].count);
  if (length >= sizeof text) return fault_say(fault, FAULT_INVALID, "%s: more mappings than the kernel takes", name);
  snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  int file = open(path, O_WRONLY | O_CLOEXEC);
  int result = file >= 0 && write(file, text, length) == (ssize_t)length ? 0 : fault_invalid(fault, "write the %s", name);
  if (file >= 0) close(file);
  return result;
}

// The id on the host of the namespace's 0; -1: it has none.
static int64_t root_of(int pid, const char *name) {
  char path[64];
  unsigned inside, outside, count;
  int64_t found = -1;
  snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  FILE *file = fopen(path, "re");
  while (file != NULL && found < 0 && fscanf(file, "%u %u %u", &inside, &outside, &count) == 3)
    if (inside == 0) found = outside;
  if (file != NULL) fclose(file);
  return found;
}

void user_namespace_own_streams(int pid, const struct stdio *stdio) {
  int streams[3] = {stdio->in, stdio->out, stdio->err};
  int64_t uid = root_of(pid, "uid_map"), gid = root_of(pid, "gid_map");
  struct stat status;
  if (uid < 0 || gid < 0) return;
  for (int i = 0; i < 3; i++) {
    if (fstat(streams[i], &status) < 0 || !S_ISFIFO(status.st_mode)) continue;
    if (fchown(streams[i], (uid_t)uid, (gid_t)gid) < 0) continue; // on a file system without owners
  }
}

static int send_opened(int line, int fd, struct fault *fault) {
  struct sync_message message = {.kind = SYNC_OPENED};
  int result = fd < 0 ? -1 : sync_send(line, &message, fd);
  if (result < 0 && fault->kind == FAULT_NONE) fault_set(fault, "hand a descriptor to the container's first process");
  if (fd >= 0) close(fd);
  return result;
}

static int send_folder(int line, const char *path, struct fault *fault) {
  int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return fault_invalid(fault, "open %s", path);
  return send_opened(line, folder, fault);
}

// In the helper; the order is that of user_namespace_receive.
static int send_all(struct launch_request *request, int pidfd, int line, struct fault *fault) {
  if (setns(pidfd, CLONE_NEWNS) < 0) return fault_set(fault, "join the container's mount namespace");
  if (send_folder(line, request->run_directory, fault) < 0 || send_folder(line, request->root_directory, fault) < 0) return -1;
  if (send_opened(line, device_open(request, 0, fault), fault) < 0) return -1;
  for (uint32_t i = 0; i < devices_count(request); i++)
    if (send_opened(line, device_open(request, i, fault), fault) < 0) return -1;
  if (open_bind_sources(request, fault) < 0) return -1;
  for (uint32_t i = 0; i < request->mount_count; i++)
    if (request->mounts[i].type == M_BIND && send_opened(line, request->mounts[i].tree, fault) < 0) return -1;
  return 0;
}

static void opener_main(struct launch_request *request, int pidfd, int line) __attribute__((noreturn));
static void opener_main(struct launch_request *request, int pidfd, int line) {
  struct fault fault = {0};
  if (send_all(request, pidfd, line, &fault) < 0) sync_send_fault(line, &fault);
  _exit(0);
}

int user_namespace_furnish(const struct birth *birth, int pid, int line, struct fault *fault) {
  struct launch_request *request = birth->request;
  struct cgroups none;
  if (request->user.kind == NS_NEW && (write_map(pid, "uid_map", &request->user_ids, fault) < 0 ||
                                       write_map(pid, "gid_map", &request->group_ids, fault) < 0))
    return -1;
  user_namespace_own_streams(pid, &birth->stdio);
  cgroups_none(&none);
  int pidfd = sys_pidfd_open(pid);
  int opener = pidfd < 0 ? -1 : clone_into(&none, 0, NULL);
  if (opener == 0) opener_main(request, pidfd, line);
  if (opener < 0) fault_set(fault, "create the helper that opens the container's files");
  else waitpid(opener, NULL, 0);
  if (pidfd >= 0) close(pidfd);
  return opener < 0 ? -1 : 0;
}

static int receive_opened(int line, struct fault *fault) {
  struct sync_message message;
  int passed, got = sync_receive(line, &message, &passed);
  if (got == 1 && message.kind == SYNC_FAULT) return *fault = message.fault, -1;
  if (got == 1 && message.kind == SYNC_OPENED && passed >= 0) return passed;
  return fault_say(fault, FAULT_INTERNAL, "the helper that opens the container's files went away");
}

int user_namespace_become_root(struct fault *fault) {
  if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
    return fault_set(fault, "become the root of the user namespace");
  return 0;
}

int user_namespace_receive(struct birth *birth, struct fault *fault) {
  struct launch_request *request = birth->request;
  uint32_t count = OPENED_FOLDERS + devices_count(request);
  struct opened *opened = arena_take(birth->arena, sizeof *opened, fault);
  int *all = arena_take(birth->arena, count * sizeof *all, fault);
  if (opened == NULL || all == NULL) return -1;
  for (uint32_t i = 0; i < count; i++)
    if ((all[i] = receive_opened(birth->sync, fault)) < 0) return -1;
  *opened = (struct opened){all[0], all[1], all[2], all + OPENED_FOLDERS};
  request->opened = opened;
  for (uint32_t i = 0; i < request->mount_count; i++)
    if (request->mounts[i].type == M_BIND && (request->mounts[i].tree = receive_opened(birth->sync, fault)) < 0) return -1;
  if (user_namespace_become_root(fault) < 0) return -1;
  // The file system of its message queues belongs to who makes the namespace.
  if (request->ipc.kind == NS_NEW && unshare(CLONE_NEWIPC) < 0) return fault_set(fault, "make an ipc namespace");
  return 0;
}
