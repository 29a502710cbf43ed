// Recursive removal by descriptors: every step opens the next folder below the last one, without following links.
#include "remove.h"
#include "syscalls.h"
#include <string.h>
#include <sys/resource.h>

// A level takes some 1.2 KB of the stack.
#define DEPTH_MAX 4000

// Removes what one reading of the folder names; the count, or -1.
static int remove_some(int folder) {
  char buffer[1024];
  int removed = 0;
  lseek(folder, 0, SEEK_SET);
  for (long got; (got = syscall(SYS_getdents64, folder, buffer, sizeof buffer)) != 0;) {
    if (got < 0) return -1;
    for (long at = 0; at < got;) {
      uint16_t length;
      memcpy(&length, buffer + at + 16, sizeof length);
      const char *name = buffer + at + 19; // struct linux_dirent64: u64 inode, s64 offset, u16 length, u8 type, name
      at += length;
      if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
      if (remove_tree(folder, name) < 0) return -1;
      removed++;
    }
  }
  return removed;
}

// A folder that changes while it is read may skip names, so it is read until nothing is left.
static int remove_entries(int folder) {
  int removed;
  do removed = remove_some(folder);
  while (removed > 0);
  return removed;
}

int remove_tree(int folder, const char *name) {
  if (unlinkat(folder, name, 0) == 0 || errno == ENOENT) return 0;
  if (errno != EISDIR && errno != EPERM) return -1;
  static int depth;
  if (depth >= DEPTH_MAX) return errno = ENAMETOOLONG, -1;
  uint64_t resolve = folder == AT_FDCWD ? 0 : RESOLVE_NO_XDEV_ | RESOLVE_NO_SYMLINKS_;
  int inner = sys_openat2(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0, resolve);
  if (inner < 0) return -1;
  depth++;
  int result = remove_entries(inner);
  depth--;
  close(inner);
  return result < 0 ? -1 : unlinkat(folder, name, AT_REMOVEDIR);
}

// Each level of a tree takes a descriptor.
static void allow_deep_trees(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void remove_named(struct reader *reader, struct fault *fault) {
  struct fault first = {0};
  allow_deep_trees();
  for (uint32_t left = read_count(reader, 5); left > 0; left--) {
    const char *path = read_string(reader);
    if (fault->kind != FAULT_NONE) return;
    if (remove_tree(AT_FDCWD, path) < 0) fault_set(&first, "remove %s", path);
  }
  if (read_finish(reader) == 0 && first.kind != FAULT_NONE) *fault = first;
}
