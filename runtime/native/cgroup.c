// Works alike on v1, v2 and hybrid hosts: the daemon names the folders and the values, this file makes and writes them.
#include "cgroup.h"
#include "paths.h"
#include "syscalls.h"
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int write_file(int folder, const char *name, const char *value) {
  int file = openat(folder, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0) return -1;
  ssize_t length = (ssize_t)strlen(value);
  int result = write(file, value, (size_t)length) == length ? 0 : -1;
  int error = errno;
  close(file);
  errno = error;
  return result;
}

static ssize_t read_file(int folder, const char *name, char *buffer, size_t capacity) {
  int file = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0) return -1;
  ssize_t length = read(file, buffer, capacity - 1);
  if (length >= 0) buffer[length] = 0;
  close(file);
  return length;
}

// A new v1 cpuset is empty and takes no process until it has its parent's cpus and memory nodes.
static void inherit_cpuset(const char *path) {
  static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
  char value[4096];
  int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  for (int i = 0; i < 2; i++) {
    ssize_t length = read_file(folder, files[i], value, sizeof value);
    if (length < 0) break;
    if (value[0] != '\n' && value[0] != 0) continue;
    int parent = openat(folder, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (read_file(parent, files[i], value, sizeof value) > 0) write_file(folder, files[i], value);
    close(parent);
  }
  close(folder);
}

static int make_level(const struct group_plan *group, const char *path, struct fault *fault) {
  if (mkdir(path, 0755) == 0) {
    if (group->version == 1) inherit_cpuset(path);
    return 0;
  }
  return errno == EEXIST ? 0 : fault_set(fault, "make cgroup %s", path);
}

static int make_folder(const struct group_plan *group, struct fault *fault) {
  char prefix[PATH_MAX];
  struct stat status;
  if (snprintf(prefix, sizeof prefix, "%s", group->path) >= (int)sizeof prefix)
    return fault_say(fault, FAULT_INVALID, "the cgroup path is too long");
  char *slash = strrchr(prefix, '/');
  *slash = 0;
  bool parent_exists = prefix[0] == 0 || stat(prefix, &status) == 0;
  *slash = '/';
  if (parent_exists) return make_level(group, prefix, fault);
  for (slash = strchr(prefix + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    bool there = stat(prefix, &status) == 0;
    if (!there && make_level(group, prefix, fault) < 0) return -1;
    *slash = '/';
  }
  return make_level(group, prefix, fault);
}

// cgroup2: a limit's file is missing as long as some folder above does not hand the controller down.
static void hand_down(const char *path, const char *file) {
  char prefix[PATH_MAX], value[64];
  snprintf(prefix, sizeof prefix, "%s", path);
  snprintf(value, sizeof value, "+%.*s", (int)strcspn(file, "."), file);
  for (char *slash = strchr(prefix + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    int folder = open(prefix, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
      write_file(folder, "cgroup.subtree_control", value);
      close(folder);
    }
    *slash = '/';
  }
}

int cgroup_write_limits(const struct group_plan *group, int folder, struct fault *fault) {
  for (uint32_t i = 0; i < group->write_count; i++) {
    const struct group_write *entry = &group->writes[i];
    if (write_file(folder, entry->file, entry->value) == 0) continue;
    if (errno == ENOENT && group->version == 2) {
      hand_down(group->path, entry->file);
      if (write_file(folder, entry->file, entry->value) == 0) continue;
    }
    return fault_set(fault, "write %s to %s/%s", entry->value, group->path, entry->file);
  }
  return 0;
}

// Both files have a line `oom_kill N`.
static uint64_t oom_kills(int file) {
  char text[1024];
  ssize_t length = file < 0 ? -1 : pread(file, text, sizeof text - 1, 0);
  if (length <= 0) return 0;
  text[length] = 0;
  for (char *line = text; line != NULL; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    if (strncmp(line, "oom_kill ", 9) == 0) return strtoull(line + 9, NULL, 10);
  }
  return 0;
}

static int open_group(const struct group_plan *group, uint32_t index, struct cgroups *cgroups, struct fault *fault) {
  int folder = open(group->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return fault_set(fault, "open cgroup %s", group->path);
  int oom = openat(folder, group->version == 2 ? "memory.events" : "memory.oom_control", O_RDONLY | O_CLOEXEC);
  if (oom >= 0 && cgroups->oom >= 0) close(oom);
  else if (oom >= 0) cgroups->oom = oom;
  if (cgroup_write_limits(group, folder, fault) < 0) return close(folder), -1;
  if (group->version == 2) cgroups->unified = folder;
  else cgroups->folders[index] = folder;
  return 0;
}

void cgroups_none(struct cgroups *cgroups) {
  *cgroups = (struct cgroups){.count = 0, .unified = -1, .oom = -1};
  for (int i = 0; i < GROUPS_OF_CONTAINER_MAX; i++) cgroups->folders[i] = -1;
}

static int make_all(const struct launch_request *request, struct cgroups *cgroups, struct fault *fault) {
  for (uint32_t i = 0; i < request->group_count; i++) {
    const struct group_plan *group = &request->groups[i];
    if (group->version == 2 && cgroups->unified >= 0)
      return fault_say(fault, FAULT_INVALID, "a container has one cgroup2 folder, not two");
    if (make_folder(group, fault) < 0 || open_group(group, i, cgroups, fault) < 0) return -1;
    cgroups->count = i + 1;
  }
  if (request->has_device_rules && cgroups->unified >= 0)
    return device_filter_attach(cgroups->unified, request->device_rules, request->device_rule_count, fault);
  return 0;
}

int cgroups_make(const struct launch_request *request, struct cgroups *cgroups, struct fault *fault) {
  cgroups_none(cgroups);
  if (request->group_count > GROUPS_OF_CONTAINER_MAX)
    return fault_say(fault, FAULT_INVALID, "more than %d cgroups", GROUPS_OF_CONTAINER_MAX);
  if (make_all(request, cgroups, fault) < 0) {
    cgroups_remove(request);
    return -1;
  }
  cgroups->oom_kills_before = oom_kills(cgroups->oom);
  return 0;
}

// A thread that moves itself ("0" to `tasks`) needs no global lock; any write to cgroup.procs takes it and waits for
// a grace period, 10 ms on an idle machine (source: cgroup_procs_write_start in the kernel, since 5.18).
int cgroups_join(const struct cgroups *cgroups, struct fault *fault) {
  for (uint32_t i = 0; i < cgroups->count; i++)
    if (cgroups->folders[i] >= 0 && write_file(cgroups->folders[i], "tasks", "0") < 0)
      return fault_set(fault, "join cgroup number %u", i);
  return 0;
}

void cgroups_remove(const struct launch_request *request) {
  for (uint32_t i = 0; i < request->group_count; i++) rmdir(request->groups[i].path);
}

// Their paths are not kept: memory of an idle shim is counted in kilobytes.
static void remove_open_folder(int folder) {
  char link[64], path[PATH_MAX];
  if (folder < 0) return;
  snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return;
  path[length] = 0;
  rmdir(path);
}

void cgroups_take_away(const struct cgroups *cgroups) {
  for (uint32_t i = 0; i < cgroups->count; i++) remove_open_folder(cgroups->folders[i]);
  remove_open_folder(cgroups->unified);
}

bool cgroups_saw_oom(const struct cgroups *cgroups) { return oom_kills(cgroups->oom) > cgroups->oom_kills_before; }

static void kill_listed(int folder) {
  char text[4096];
  for (int round = 0; round < 20; round++) {
    if (read_file(folder, "cgroup.procs", text, sizeof text) <= 0) return;
    for (char *at = text; *at >= '0' && *at <= '9'; at += *at == '\n') {
      long pid = strtol(at, &at, 10);
      if (pid > 1) kill((pid_t)pid, SIGKILL);
    }
  }
}

// A process that the v1 freezer holds does not even die before it is thawed.
static void thaw(const struct cgroups *cgroups) {
  for (uint32_t i = 0; i < cgroups->count; i++)
    if (cgroups->folders[i] >= 0) write_file(cgroups->folders[i], "freezer.state", "THAWED");
}

static void kill_all(const struct cgroups *cgroups) {
  if (cgroups->unified >= 0 && write_file(cgroups->unified, "cgroup.kill", "1") == 0) return;
  for (uint32_t i = 0; i < cgroups->count; i++)
    if (cgroups->folders[i] >= 0) return kill_listed(cgroups->folders[i]);
}

void cgroups_kill(const struct cgroups *cgroups) {
  kill_all(cgroups);
  thaw(cgroups);
}
