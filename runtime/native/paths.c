// Descriptor-based path walking. Invariant: nothing here follows a link out of the given root.
#include "paths.h"
#include "syscalls.h"
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

int open_in_root(int root, const char *path, int flags) {
  return sys_openat2(root, path, flags | O_CLOEXEC, 0, RESOLVE_IN_ROOT_ | RESOLVE_NO_MAGICLINKS_);
}

int open_in_root_straight(int root, const char *path, int flags) {
  return sys_openat2(root, path, flags | O_CLOEXEC, 0, RESOLVE_IN_ROOT_ | RESOLVE_NO_SYMLINKS_);
}

// Makes `name` in the folder `parent`, which is known to lack it. A dangling link in its place is replaced,
// as Docker does for /etc/resolv.conf.
static int make_one(int parent, const char *name, bool directory) {
  if (directory) return mkdirat(parent, name, 0755);
  int file = openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (file < 0 && errno == EEXIST && unlinkat(parent, name, 0) == 0)
    file = openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (file < 0) return -1;
  close(file);
  return 0;
}

// The next step of make_in_root: `prefix` ends with `name`, whose folder is open as `parent`.
static int step_in_root(int root, int parent, const char *prefix, const char *name, bool directory) {
  int next = open_in_root(root, prefix, O_PATH);
  if (next >= 0 || errno != ENOENT) return next;
  if (make_one(parent, name, directory) < 0 && errno != EEXIST) return -1;
  return sys_openat2(parent, name, O_PATH | O_CLOEXEC, 0, RESOLVE_BENEATH_ | RESOLVE_NO_SYMLINKS_);
}

int make_in_root(int root, const char *path, bool directory, struct fault *fault) {
  char prefix[PATH_MAX];
  if (strlen(path) >= sizeof prefix) return fault_say(fault, FAULT_INVALID, "the path '%.60s…' is too long", path);
  strcpy(prefix, path);
  int current = open_in_root(root, "/", O_PATH | O_DIRECTORY);
  for (char *name = prefix; current >= 0;) {
    name += strspn(name, "/");
    if (*name == 0) break;
    char *end = name + strcspn(name, "/");
    bool last = end[strspn(end, "/")] == 0;
    char kept = *end;
    *end = 0;
    int next = step_in_root(root, current, prefix, name, directory || !last);
    *end = kept;
    close(current);
    current = next;
    name = end;
  }
  if (current < 0) return fault_set(fault, "make mount point %s", path);
  struct stat status;
  if (fstat(current, &status) == 0 && S_ISDIR(status.st_mode) == directory) return current;
  close(current);
  return fault_say(fault, FAULT_INVALID,
                   "mount point %s: are you trying to mount a directory onto a file (or vice-versa)? Check if the "
                   "specified path exists and is the expected type: not a directory",
                   path);
}

int make_directories(const char *path, int mode, struct fault *fault) {
  char prefix[PATH_MAX];
  if (strlen(path) >= sizeof prefix) return fault_say(fault, FAULT_INVALID, "the path '%.60s…' is too long", path);
  strcpy(prefix, path);
  if (mkdir(prefix, (mode_t)mode) == 0 || errno == EEXIST) return 0;
  for (char *slash = strchr(prefix + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    if (mkdir(prefix, (mode_t)mode) < 0 && errno != EEXIST) return fault_set(fault, "make folder %s", prefix);
    *slash = '/';
  }
  if (mkdir(prefix, (mode_t)mode) < 0 && errno != EEXIST) return fault_set(fault, "make folder %s", path);
  return 0;
}
