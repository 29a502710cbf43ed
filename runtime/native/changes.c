// What a container's own layer changed in the layers below it, as Docker lists it: records of a kind ('C', 'A', 'D'),
// the path and a NUL. A folder that is only there for what changed inside is itself a change.
#include "changes.h"
#include "syscalls.h"
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#define RECORDS_BYTES_MAX (256u << 20)

struct changes {
  struct walk *walk;
  char *bytes;
  size_t length, capacity;
};

static int add(struct changes *changes, char kind) {
  size_t bytes = changes->walk->length + 2;
  if (changes->capacity - changes->length < bytes) {
    size_t capacity = changes->capacity * 2 + (64 << 10);
    char *grown = capacity > RECORDS_BYTES_MAX ? NULL : realloc(changes->bytes, capacity);
    if (grown == NULL) return fault_say(changes->walk->fault, FAULT_INVALID, "the container has too many changed files");
    changes->bytes = grown;
    changes->capacity = capacity;
  }
  changes->bytes[changes->length] = kind;
  memcpy(changes->bytes + changes->length + 1, changes->walk->name, bytes - 1);
  changes->length += bytes;
  return 0;
}

static bool is_same_folder(const struct stat *a, const struct stat *b) {
  return a->st_mode == b->st_mode && a->st_uid == b->st_uid && a->st_gid == b->st_gid &&
         a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int compare(struct changes *changes, int upper, int base);

static int compare_folder(struct changes *changes, int upper, int base, const char *name, bool same) {
  size_t at = changes->length, with_own;
  int inner = openat(upper, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (inner < 0) return errno == ENOENT ? 0 : fault_set(changes->walk->fault, "open %s", changes->walk->name);
  bool hides = base >= 0 && is_opaque(inner);
  int below = base < 0 || hides ? -1 : openat(base, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int result = add(changes, base < 0 || (below < 0 && !hides) ? 'A' : 'C');
  with_own = changes->length;
  if (result == 0) result = compare(changes, inner, below);
  if (result == 0 && same && changes->length == with_own) changes->length = at;
  if (below >= 0) close(below);
  close(inner);
  return result;
}

static int compare_one(struct changes *changes, int upper, int base, const char *name) {
  struct stat ours, theirs;
  if (fstatat(upper, name, &ours, AT_SYMLINK_NOFOLLOW) < 0)
    return errno == ENOENT ? 0 : fault_set(changes->walk->fault, "look at %s", changes->walk->name);
  bool was_there = base >= 0 && fstatat(base, name, &theirs, AT_SYMLINK_NOFOLLOW) == 0;
  if (S_ISCHR(ours.st_mode) && ours.st_rdev == makedev(0, 0)) return was_there ? add(changes, 'D') : 0;
  if (!S_ISDIR(ours.st_mode)) return add(changes, was_there ? 'C' : 'A');
  bool both = was_there && S_ISDIR(theirs.st_mode);
  if (was_there && !both) return compare_folder(changes, upper, -1, name, false);
  return compare_folder(changes, upper, both ? base : -1, name, both && is_same_folder(&ours, &theirs));
}

static int compare(struct changes *changes, int upper, int base) {
  struct walk *walk = changes->walk;
  struct names names;
  if (++walk->depth > WALK_DEPTH_MAX) return fault_say(walk->fault, FAULT_INVALID, "folders are nested too deep");
  if (names_read(upper, &names, walk->fault) < 0) return -1;
  int result = 0;
  for (size_t i = 0; i < names.count && result == 0; i++) {
    size_t before;
    result = walk_push(walk, names.items[i], &before);
    if (result < 0) break;
    result = compare_one(changes, upper, base, names.items[i]);
    walk_pop(walk, before);
  }
  names_free(&names);
  walk->depth--;
  return result;
}

int changes_write(struct walk *walk, int upper, int base) {
  struct changes changes = {.walk = walk};
  strcpy(walk->name, "/");
  walk->length = 1;
  if (compare(&changes, upper, base) < 0) return -1;
  if (sink_put(walk->sink, changes.bytes, changes.length) < 0) return -1;
  return sink_flush(walk->sink);
}
