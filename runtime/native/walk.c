// What changes under a walk is left out or cut short, never followed: each entry is opened once, looked at, and read
// through that same descriptor.
#include "walk.h"
#include "syscalls.h"
#include "tar_write.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define NAMES_MAX 2000000
#define LINKS_MAX (1u << 20)
#define CONTENT_BYTES (128 * 1024)
#define XATTR_BYTES (64 * 1024)

struct link {
  dev_t device;
  ino_t inode;
  char *name; // NULL: a free place
};

// Files with several names, by device and inode.
struct links {
  struct link *places;
  uint32_t capacity, count;
};

int walk_begin(struct walk *walk, struct sink *sink, struct fault *fault) {
  static struct links none;
  *walk = (struct walk){.sink = sink, .fault = fault, .links = &none};
  walk->proc = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return walk->proc < 0 ? fault_set(fault, "open /proc/self/fd") : 0;
}

bool is_kernels_own(int entry) {
  static const long magics[] = {MAGIC_PROC,   MAGIC_SYSFS, MAGIC_DEVPTS, MAGIC_CGROUP2, 0x27e0eb /* cgroup */,
                                0x19800202 /* mqueue */, 0x73636673 /* security */, 0x64626720 /* debug */,
                                0x74726163 /* trace */, 0xcafe4a11 /* bpf */, 0x62656570 /* config */, 0x6e736673 /* ns */};
  struct statfs status;
  if (fstatfs(entry, &status) < 0) return false;
  for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
    if ((unsigned long)status.f_type == (unsigned long)magics[i]) return true;
  return false;
}

bool is_opaque(int folder) {
  char value;
  return fgetxattr(folder, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

void names_free(struct names *names) {
  for (size_t i = 0; i < names->count; i++) free(names->items[i]);
  free(names->items);
  *names = (struct names){0};
}

static int add_name(struct names *names, size_t *capacity, const char *name, struct fault *fault) {
  if (names->count == NAMES_MAX) return fault_say(fault, FAULT_INVALID, "a folder has more than %d entries", NAMES_MAX);
  if (names->count == *capacity) {
    *capacity = *capacity * 2 + 64;
    char **grown = realloc(names->items, *capacity * sizeof *grown);
    if (grown == NULL) return fault_set(fault, "memory for the names of a folder");
    names->items = grown;
  }
  char *copy = strdup(name);
  if (copy == NULL) return fault_set(fault, "memory for the names of a folder");
  names->items[names->count++] = copy;
  return 0;
}

int names_read(int folder, struct names *names, struct fault *fault) {
  size_t capacity = 0;
  int result = 0, copy = fcntl(folder, F_DUPFD_CLOEXEC, 0);
  *names = (struct names){0};
  DIR *stream = copy < 0 ? NULL : fdopendir(copy);
  if (stream == NULL) return fault_set(fault, "read a folder");
  rewinddir(stream);
  for (struct dirent *entry; result == 0 && (entry = readdir(stream)) != NULL;)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      result = add_name(names, &capacity, entry->d_name, fault);
  closedir(stream);
  if (result < 0) names_free(names);
  else if (names->count > 1) qsort(names->items, names->count, sizeof *names->items, by_name);
  return result;
}

int walk_push(struct walk *walk, const char *name, size_t *before) {
  size_t length = strlen(name);
  bool slash = walk->length > 0 && walk->name[walk->length - 1] != '/';
  *before = walk->length;
  if (walk->length + length + 2 >= sizeof walk->name)
    return fault_say(walk->fault, FAULT_INVALID, "a path is longer than %d bytes: %.100s…", WALK_PATH_MAX, walk->name);
  if (slash) walk->name[walk->length++] = '/';
  memcpy(walk->name + walk->length, name, length + 1);
  walk->length += length;
  return 0;
}

void walk_pop(struct walk *walk, size_t before) {
  walk->length = before;
  walk->name[before] = 0;
}

static struct link *place_of(struct links *links, const struct stat *status) {
  uint64_t hash = (status->st_ino * 0x9e3779b97f4a7c15ull) ^ (status->st_dev * 0xc2b2ae3d27d4eb4full);
  for (uint32_t at = (uint32_t)(hash >> 32) & (links->capacity - 1);; at = (at + 1) & (links->capacity - 1)) {
    struct link *place = &links->places[at];
    if (place->name == NULL || (place->device == status->st_dev && place->inode == status->st_ino)) return place;
  }
}

static bool grow(struct links *links) {
  struct links larger = {.capacity = links->capacity == 0 ? 1024 : links->capacity * 2, .count = links->count};
  larger.places = calloc(larger.capacity, sizeof *larger.places);
  if (larger.places == NULL) return false;
  for (uint32_t i = 0; i < links->capacity; i++) {
    struct stat key = {.st_dev = links->places[i].device, .st_ino = links->places[i].inode};
    if (links->places[i].name != NULL) *place_of(&larger, &key) = links->places[i];
  }
  free(links->places);
  *links = larger;
  return true;
}

// The name under which this file has been written already, or NULL; then it is remembered. Past the bound, and out of
// memory, a further name becomes a file of its own.
static const char *first_name(struct walk *walk, const struct stat *status) {
  struct links *links = walk->links;
  if (status->st_nlink < 2) return NULL;
  if (links->count * 2 >= links->capacity && (links->count >= LINKS_MAX || !grow(links))) return NULL;
  struct link *place = place_of(links, status);
  if (place->name != NULL) return place->name;
  char *name = strdup(walk->name);
  if (name == NULL) return NULL;
  *place = (struct link){status->st_dev, status->st_ino, name};
  links->count++;
  return NULL;
}

static bool is_written(const char *name) {
  if (strncmp(name, "user.", 5) == 0) return strncmp(name, "user.overlay.", 13) != 0;
  return strcmp(name, "security.capability") == 0 || strncmp(name, "system.posix_acl_", 17) == 0;
}

struct attributes {
  uint32_t count;
  struct tar_xattr items[TAR_XATTRS_MAX];
  char names[XATTR_BYTES], values[XATTR_BYTES];
};

static void read_attributes(int file, struct attributes *attributes) {
  size_t used = 0;
  ssize_t length = flistxattr(file, attributes->names, sizeof attributes->names);
  attributes->count = 0;
  for (ssize_t at = 0; at < length; at += (ssize_t)strlen(attributes->names + at) + 1) {
    const char *name = attributes->names + at;
    if (!is_written(name) || attributes->count == TAR_XATTRS_MAX) continue;
    ssize_t size = fgetxattr(file, name, attributes->values + used, sizeof attributes->values - used);
    if (size < 0) continue;
    attributes->items[attributes->count++] = (struct tar_xattr){name, attributes->values + used, (size_t)size};
    used += (size_t)size;
  }
}

static int reopen(const struct walk *walk, int entry) {
  char number[16];
  snprintf(number, sizeof number, "%d", entry);
  return openat(walk->proc, number, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int put_plain(struct walk *walk, char type, const struct stat *status, const char *target) {
  struct tar_item item = {.name = walk->name, .target = target, .type = type, .status = status};
  return tar_put_header(walk->sink, &item);
}

static int put_content(struct walk *walk, int file, uint64_t size) {
  static uint8_t bytes[CONTENT_BYTES];
  for (uint64_t left = size; left > 0;) {
    ssize_t got = read(file, bytes, left < sizeof bytes ? (size_t)left : sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fault_set(walk->fault, "read %s", walk->name);
    if (got == 0) return fault_say(walk->fault, FAULT_CONFLICT, "%.300s shrank while it was read", walk->name);
    if (sink_put(walk->sink, bytes, (size_t)got) < 0) return -1;
    left -= (uint64_t)got;
  }
  return tar_put_padding(walk->sink, size);
}

static int put_file(struct walk *walk, int entry) {
  static struct attributes attributes;
  struct stat status;
  int file = reopen(walk, entry);
  if (file < 0 || fstat(file, &status) < 0) {
    fault_set(walk->fault, "open %s", walk->name);
    if (file >= 0) close(file);
    return -1;
  }
  read_attributes(file, &attributes);
  struct tar_item item = {.name = walk->name, .target = "", .type = '0', .status = &status, .size = (uint64_t)status.st_size,
                          .xattr_count = attributes.count, .xattrs = attributes.items};
  int result = tar_put_header(walk->sink, &item);
  if (result == 0) result = put_content(walk, file, item.size);
  close(file);
  return result;
}

static int put_symlink(struct walk *walk, int entry, const struct stat *status) {
  char target[WALK_PATH_MAX];
  ssize_t length = readlinkat(entry, "", target, sizeof target - 1);
  if (length < 0) return fault_set(walk->fault, "read the link %s", walk->name);
  target[length] = 0;
  return put_plain(walk, '2', status, target);
}

static int put_entry(struct walk *walk, int entry);

static int put_named(struct walk *walk, int folder, const char *name) {
  size_t before;
  int entry = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (entry < 0) return errno == ENOENT ? 0 : fault_set(walk->fault, "open %s", name); // it vanished meanwhile
  int result = walk_push(walk, name, &before);
  if (result == 0) {
    result = put_entry(walk, entry);
    walk_pop(walk, before);
  }
  close(entry);
  return result;
}

// Docker's marks, in a layer: ".wh.name" for what is gone, ".wh..wh..opq" in a folder that hides those below.
static int put_mark(struct walk *walk, const char *name, const struct stat *status) {
  size_t before;
  struct stat plain = *status;
  plain.st_mode = S_IFREG | 0600;
  if (walk_push(walk, name, &before) < 0) return -1;
  int result = put_plain(walk, '0', &plain, "");
  walk_pop(walk, before);
  return result;
}

static int put_contents(struct walk *walk, int folder) {
  struct names names;
  if (++walk->depth > WALK_DEPTH_MAX)
    return fault_say(walk->fault, FAULT_INVALID, "folders are nested deeper than %d: %.100s…", WALK_DEPTH_MAX, walk->name);
  if (names_read(folder, &names, walk->fault) < 0) return -1;
  int result = 0;
  for (size_t i = 0; i < names.count && result == 0; i++) result = put_named(walk, folder, names.items[i]);
  names_free(&names);
  walk->depth--;
  return result;
}

static int put_folder(struct walk *walk, int entry, const struct stat *status) {
  static struct attributes attributes;
  int folder = openat(entry, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return fault_set(walk->fault, "open %s", walk->name);
  size_t before = walk->length;
  int result = 0;
  if (walk->length > 0) {
    if (walk->name[walk->length - 1] != '/') memcpy(walk->name + walk->length++, "/", 2);
    read_attributes(folder, &attributes);
    struct tar_item item = {.name = walk->name, .target = "", .type = '5', .status = status,
                            .xattr_count = attributes.count, .xattrs = attributes.items};
    result = tar_put_header(walk->sink, &item);
  }
  if (result == 0 && walk->layer && is_opaque(folder)) result = put_mark(walk, ".wh..wh..opq", status);
  if (result == 0 && !is_kernels_own(folder)) result = put_contents(walk, folder);
  walk_pop(walk, before);
  close(folder);
  return result;
}

static int put_whiteout(struct walk *walk, const struct stat *status) {
  char name[NAME_MAX + 8];
  char *slash = strrchr(walk->name, '/');
  snprintf(name, sizeof name, ".wh.%.255s", slash == NULL ? walk->name : slash + 1);
  size_t whole = walk->length;
  char kept[WALK_PATH_MAX];
  memcpy(kept, walk->name, whole + 1);
  walk_pop(walk, slash == NULL ? 0 : (size_t)(slash - walk->name));
  int result = put_mark(walk, name, status);
  memcpy(walk->name, kept, whole + 1);
  walk->length = whole;
  return result;
}

static int put_entry(struct walk *walk, int entry) {
  struct stat status;
  if (fstat(entry, &status) < 0) return fault_set(walk->fault, "look at %s", walk->name);
  bool whiteout = S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0);
  if (walk->layer && whiteout) return put_whiteout(walk, &status);
  if (S_ISDIR(status.st_mode)) return put_folder(walk, entry, &status);
  if (S_ISSOCK(status.st_mode)) return 0; // means nothing without its process
  const char *first = first_name(walk, &status);
  if (first != NULL) return put_plain(walk, '1', &status, first);
  switch (status.st_mode & S_IFMT) {
  case S_IFREG: return is_kernels_own(entry) ? 0 : put_file(walk, entry);
  case S_IFLNK: return put_symlink(walk, entry, &status);
  case S_IFCHR: return put_plain(walk, '3', &status, "");
  case S_IFBLK: return put_plain(walk, '4', &status, "");
  default: return put_plain(walk, '6', &status, "");
  }
}

int walk_archive(struct walk *walk, int entry, const char *name) {
  if (strlen(name) >= sizeof walk->name - 2) return fault_say(walk->fault, FAULT_INVALID, "the name is too long");
  strcpy(walk->name, name);
  walk->length = strlen(name);
  if (put_entry(walk, entry) < 0 || tar_put_end(walk->sink) < 0) return -1;
  return sink_flush(walk->sink);
}

static int add_size(struct walk *walk, int folder, uint64_t *bytes) {
  struct names names;
  struct stat status;
  if (++walk->depth > WALK_DEPTH_MAX) return fault_say(walk->fault, FAULT_INVALID, "folders are nested too deep");
  if (names_read(folder, &names, walk->fault) < 0) return -1;
  int result = 0;
  for (size_t i = 0; i < names.count && result == 0; i++) {
    const char *name = names.items[i];
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0) continue; // it vanished meanwhile
    if (S_ISREG(status.st_mode) && first_name(walk, &status) == NULL) *bytes += (uint64_t)status.st_size;
    if (!S_ISDIR(status.st_mode)) continue;
    int inner = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (inner < 0) continue;
    result = add_size(walk, inner, bytes);
    close(inner);
  }
  names_free(&names);
  walk->depth--;
  return result;
}

int walk_size(struct walk *walk, int folder, uint64_t *bytes) {
  *bytes = 0;
  strcpy(walk->name, "/");
  walk->length = 1;
  return add_size(walk, folder, bytes);
}
