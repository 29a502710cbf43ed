// The groups of a container: one folder in every mounted hierarchy, as runc has it, so that whoever reads
// /proc/PID/cgroup finds the same path everywhere. Freezing, listing and removing go by those folders.
#include "oci.h"
#include "syscalls.h"
#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define REMOVE_ROUNDS 400 // of 25 ms: the last process may take a while to go
#define FREEZE_ROUNDS 400
static const struct timespec ROUND = {.tv_nsec = 25000000};

// mountinfo writes blanks as \040.
static void unescape(char *text) {
  char *to = text;
  for (; *text != 0; text++) {
    if (*text != '\\') *to++ = *text;
    else *to++ = (char)strtol((char[]){text[1], text[2], text[3], 0}, NULL, 8), text += 3;
  }
  *to = 0;
}

static int check_path(const char *path, struct fault *fault) {
  if (strchr(path, ':') != NULL)
    return fault_say(fault, FAULT_INVALID, "the cgroup path '%s' is systemd's; set the engine's cgroup driver to cgroupfs", path);
  for (const char *at = path; at != NULL; at = strchr(at, '/')) {
    at += strspn(at, "/");
    if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == 0))
      return fault_say(fault, FAULT_INVALID, "the cgroup path '%s' must not climb", path);
    if (*at == 0) break;
  }
  return 0;
}

static int add_group(struct launch_request *request, int version, const char *mount_point, const char *options,
                     const char *path, struct arena *arena, struct fault *fault) {
  if (request->group_count == GROUPS_OF_CONTAINER_MAX) return fault_say(fault, FAULT_INTERNAL, "too many hierarchies");
  struct group_plan *group = &request->groups[request->group_count];
  char *joined = arena_take(arena, strlen(mount_point) + strlen(path) + 2, fault);
  char *kept = arena_take(arena, strlen(options) + 3, fault);
  if (joined == NULL || kept == NULL) return -1;
  sprintf(joined, "%s/%s", mount_point, path + strspn(path, "/"));
  sprintf(kept, ",%s,", options);
  // The same hierarchy may be mounted at several places.
  for (uint32_t i = 0; i < request->group_count; i++)
    if (strcmp(request->groups[i].controllers, kept) == 0 && request->groups[i].version == version) return 0;
  *group = (struct group_plan){.version = (uint8_t)version, .path = joined, .controllers = kept};
  request->group_count++;
  return 0;
}

static int add_line(char *line, const char *path, struct arena *arena, struct launch_request *request, struct fault *fault) {
  char *rest = strstr(line, " - "), *field[5];
  if (rest == NULL) return 0;
  char *type = strtok(rest + 3, " "), *source = strtok(NULL, " "), *options = strtok(NULL, " \n");
  *rest = 0;
  field[0] = strtok(line, " ");
  for (int i = 1; i < 5; i++) field[i] = strtok(NULL, " ");
  if (type == NULL || source == NULL || options == NULL || field[4] == NULL) return 0;
  unescape(field[4]);
  if (strcmp(type, "cgroup2") == 0) return add_group(request, 2, field[4], "", path, arena, fault);
  if (strcmp(type, "cgroup") != 0) return 0;
  if (strncmp(options, "rw,", 3) == 0) options += 3;
  return add_group(request, 1, field[4], options, path, arena, fault);
}

int oci_find_groups(const char *path, struct arena *arena, struct launch_request *request, struct fault *fault) {
  char line[8192];
  request->groups = arena_take(arena, GROUPS_OF_CONTAINER_MAX * sizeof *request->groups, fault);
  FILE *file = fopen("/proc/self/mountinfo", "re");
  if (file == NULL || request->groups == NULL) return fault_set(fault, "read mountinfo");
  int result = check_path(path, fault);
  while (result == 0 && fgets(line, sizeof line, file) != NULL) result = add_line(line, path, arena, request, fault);
  fclose(file);
  if (result == 0 && request->group_count == 0) return fault_say(fault, FAULT_INTERNAL, "no cgroup hierarchy is mounted");
  return result;
}

int oci_open_groups(const struct launch_request *request, struct cgroups *cgroups, struct fault *fault) {
  cgroups_none(cgroups);
  for (uint32_t i = 0; i < request->group_count; i++) {
    int folder = open(request->groups[i].path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return fault_set(fault, "open cgroup %s", request->groups[i].path);
    if (request->groups[i].version == 2) cgroups->unified = folder;
    else cgroups->folders[i] = folder;
    cgroups->count = i + 1;
  }
  return 0;
}

static int read_text(const char *folder, const char *name, char *text, size_t capacity) {
  char path[PATH_MAX];
  if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return -1;
  int file = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = file < 0 ? -1 : read(file, text, capacity - 1);
  if (file >= 0) close(file);
  if (length < 0) return -1;
  text[length] = 0;
  return 0;
}

// cgroup2 freezes on hybrid machines too.
static const struct group_plan *freezer(const struct launch_request *request) {
  char text[64];
  const struct group_plan *found = NULL;
  for (uint32_t i = 0; i < request->group_count; i++) {
    const struct group_plan *group = &request->groups[i];
    const char *file = group->version == 2 ? "cgroup.freeze" : "freezer.state";
    if (read_text(group->path, file, text, sizeof text) == 0 && (found == NULL || group->version == 2)) found = group;
  }
  return found;
}

static bool is_frozen(const struct group_plan *group) {
  char text[256];
  if (read_text(group->path, group->version == 2 ? "cgroup.events" : "freezer.state", text, sizeof text) < 0) return false;
  return strstr(text, group->version == 2 ? "frozen 1" : "FROZEN") != NULL;
}

bool oci_is_frozen(const struct launch_request *request) {
  const struct group_plan *group = freezer(request);
  return group != NULL && is_frozen(group);
}

int oci_freeze(const struct launch_request *request, bool frozen, struct fault *fault) {
  const struct group_plan *group = freezer(request);
  if (group == NULL) return fault_say(fault, FAULT_INTERNAL, "no hierarchy of this machine can pause");
  struct group_write write = group->version == 2 ? (struct group_write){"cgroup.freeze", frozen ? "1" : "0"}
                                                 : (struct group_write){"freezer.state", frozen ? "FROZEN" : "THAWED"};
  struct group_plan change = {.version = group->version, .path = group->path, .write_count = 1, .writes = &write};
  int folder = open(group->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int result = folder < 0 ? fault_set(fault, "open cgroup %s", group->path) : cgroup_write_limits(&change, folder, fault);
  if (folder >= 0) close(folder);
  for (int round = 0; result == 0 && is_frozen(group) != frozen; round++) {
    if (round == FREEZE_ROUNDS) return fault_say(fault, FAULT_INTERNAL, "the container did not %s in time", frozen ? "pause" : "resume");
    nanosleep(&ROUND, NULL);
  }
  return result;
}

static int list_folder(int folder, int *pids, int count, int capacity) {
  int file = openat(folder, "cgroup.procs", O_RDONLY | O_CLOEXEC);
  FILE *lines = file < 0 ? NULL : fdopen(file, "r");
  int pid;
  while (lines != NULL && count < capacity && fscanf(lines, "%d", &pid) == 1)
    if (pid > 0) pids[count++] = pid;
  if (lines != NULL) fclose(lines);
  DIR *entries = fdopendir(dup(folder));
  for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    int below = openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below >= 0) count = list_folder(below, pids, count, capacity), close(below);
  }
  if (entries != NULL) closedir(entries);
  return count;
}

int oci_list_processes(const struct launch_request *request, int *pids, int capacity, struct fault *fault) {
  if (request->group_count == 0) return 0;
  const struct group_plan *group = &request->groups[0];
  for (uint32_t i = 0; i < request->group_count; i++)
    if (request->groups[i].version == 2) group = &request->groups[i];
  int folder = open(group->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return errno == ENOENT ? 0 : fault_set(fault, "open cgroup %s", group->path);
  int count = list_folder(folder, pids, 0, capacity);
  close(folder);
  return count;
}

// With the folders that the container may have made below.
static int remove_folder(int parent, const char *name) {
  int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder < 0) return errno == ENOENT ? 0 : -1;
  DIR *entries = fdopendir(folder);
  for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;)
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') remove_folder(folder, entry->d_name);
  if (entries != NULL) closedir(entries);
  return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -1;
}

int oci_remove_groups(const struct launch_request *request, struct fault *fault) {
  for (uint32_t i = 0; i < request->group_count; i++) {
    const char *path = request->groups[i].path;
    for (int round = 0; remove_folder(AT_FDCWD, path) < 0; round++) {
      if (errno != EBUSY || round == REMOVE_ROUNDS) return fault_set(fault, "remove cgroup %s", path);
      nanosleep(&ROUND, NULL);
    }
  }
  return 0;
}
