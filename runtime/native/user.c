// Own parser of passwd and group files: no name service of the host or of the image is ever loaded (CVE-2019-14271).
#include "user.h"
#include "syscalls.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define FILE_BYTES_MAX (4u << 20)
#define ID_MAX 2147483647ul

struct table {
  char *bytes;
  size_t length, at;
};

// A missing file is an empty table, as Docker has it.
static int table_open(struct table *table, const char *path, struct fault *fault) {
  struct stat status;
  *table = (struct table){0};
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : fault_set(fault, "open %s", path);
  if (fstat(file, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size > FILE_BYTES_MAX) {
    close(file);
    return fault_say(fault, FAULT_INVALID, "%s is not a usable file", path);
  }
  size_t size = (size_t)status.st_size;
  char *bytes = mmap(NULL, size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ssize_t got = bytes == MAP_FAILED ? -1 : pread(file, bytes, size, 0);
  if (got < 0) fault_set(fault, "read %s", path);
  else *table = (struct table){bytes, (size_t)got, 0};
  close(file);
  return got < 0 ? -1 : 0;
}

static void table_close(struct table *table) {
  if (table->bytes != NULL) munmap(table->bytes, table->length + 1);
}

// The next line's fields; missing ones are "". Returns 0 at the end.
static int next_line(struct table *table, char *fields[], int count) {
  while (table->at < table->length) {
    char *line = table->bytes + table->at;
    size_t length = strcspn(line, "\n");
    line[length] = 0;
    table->at += length + 1;
    if (*line == 0 || *line == '#') continue;
    for (int i = 0; i < count; i++) {
      char *field = strsep(&line, ":");
      fields[i] = field != NULL ? field : (char *)"";
    }
    return 1;
  }
  return 0;
}

// 1: a number within bounds, 0: not a number, -1: a number out of bounds.
static int as_id(const char *text, unsigned long *id) {
  if (*text == 0 || strspn(text, "0123456789") != strlen(text)) return 0;
  errno = 0;
  *id = strtoul(text, NULL, 10);
  return errno == 0 && *id <= ID_MAX ? 1 : -1;
}

static int out_of_range(struct fault *fault) {
  return fault_say(fault, FAULT_INVALID, "uids and gids must be in range 0-2147483647");
}

static int add_group(struct identity *identity, gid_t gid, struct fault *fault) {
  for (uint32_t i = 0; i < identity->group_count; i++)
    if (identity->groups[i] == gid) return 0;
  if (identity->group_count == GROUPS_MAX) return fault_say(fault, FAULT_INVALID, "more than %d groups", GROUPS_MAX);
  identity->groups[identity->group_count++] = gid;
  return 0;
}

// Fills uid, gid, home and `name` (for the look-up of groups).
static int find_user(const char *wanted, struct identity *identity, char *name, size_t capacity, struct fault *fault) {
  char *fields[6];
  unsigned long uid = 0, line_uid, line_gid;
  int numeric = *wanted == 0 ? 1 : as_id(wanted, &uid);
  if (numeric < 0) return out_of_range(fault);
  struct table table;
  if (table_open(&table, "/etc/passwd", fault) < 0) return -1;
  bool found = false;
  while (!found && next_line(&table, fields, 6)) {
    bool same = strcmp(fields[0], wanted) == 0 && *wanted != 0;
    if (as_id(fields[2], &line_uid) != 1 || as_id(fields[3], &line_gid) != 1) continue;
    if (!same && !(numeric == 1 && line_uid == uid)) continue;
    found = true;
    identity->uid = (uid_t)line_uid;
    identity->gid = (gid_t)line_gid;
    snprintf(identity->home, sizeof identity->home, "%s", fields[5]);
    snprintf(name, capacity, "%s", fields[0]);
  }
  table_close(&table);
  if (found) return 0;
  if (numeric == 0)
    return fault_say(fault, FAULT_INVALID, "unable to find user %s: no matching entries in passwd file", wanted);
  identity->uid = (uid_t)uid;
  return 0;
}

static bool lists(const char *members, const char *name) {
  size_t length = strlen(name);
  for (const char *at = members; *at != 0; at += strcspn(at, ","), at += *at == ',') {
    if (strcspn(at, ",") == length && strncmp(at, name, length) == 0) return true;
  }
  return false;
}

// The id of a group by name or number.
static int find_group(const char *wanted, gid_t *gid, struct fault *fault) {
  char *fields[4];
  unsigned long id = 0, line_id;
  int numeric = as_id(wanted, &id);
  if (numeric < 0) return out_of_range(fault);
  struct table table;
  if (table_open(&table, "/etc/group", fault) < 0) return -1;
  bool found = false;
  while (!found && next_line(&table, fields, 4)) {
    if (strcmp(fields[0], wanted) != 0 || as_id(fields[2], &line_id) != 1) continue;
    found = true;
    *gid = (gid_t)line_id;
  }
  table_close(&table);
  if (found) return 0;
  if (numeric == 0)
    return fault_say(fault, FAULT_INVALID, "unable to find group %s: no matching entries in group file", wanted);
  *gid = (gid_t)id;
  return 0;
}

static int add_memberships(struct identity *identity, const char *name, struct fault *fault) {
  char *fields[4];
  unsigned long id;
  struct table table;
  if (*name == 0) return 0;
  if (table_open(&table, "/etc/group", fault) < 0) return -1;
  int result = 0;
  while (result == 0 && next_line(&table, fields, 4))
    if (as_id(fields[2], &id) == 1 && lists(fields[3], name)) result = add_group(identity, (gid_t)id, fault);
  table_close(&table);
  return result;
}

int identity_find(const char *user, const struct strings *groups, struct identity *identity, struct fault *fault) {
  char wanted[256], name[256] = "";
  *identity = (struct identity){.home = "/"};
  if (snprintf(wanted, sizeof wanted, "%s", user) >= (int)sizeof wanted)
    return fault_say(fault, FAULT_INVALID, "the user '%.40s…' is too long", user);
  char *group = strchr(wanted, ':');
  if (group != NULL) *group++ = 0;
  if (find_user(wanted, identity, name, sizeof name, fault) < 0) return -1;
  bool has_group = group != NULL && *group != 0;
  if (has_group && find_group(group, &identity->gid, fault) < 0) return -1;
  if (add_group(identity, identity->gid, fault) < 0) return -1;
  if (!has_group && add_memberships(identity, name, fault) < 0) return -1;
  for (uint32_t i = 0; i < groups->count; i++) {
    gid_t gid;
    if (find_group(groups->items[i], &gid, fault) < 0) return -1;
    if (add_group(identity, gid, fault) < 0) return -1;
  }
  return 0;
}
