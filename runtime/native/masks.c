// Masked and read-only paths. Sources are clones of our own scratch, checked by descriptor; only a path that does not
// exist is skipped; afterwards the path is opened again to see that the mask is what stands there
// (CVE-2025-31133, CVE-2023-27561).
#include "paths.h"
#include "rootfs.h"
#include "syscalls.h"
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

static int covered_by(int root, const char *path, const struct stat *source) {
  struct stat now;
  int at = open_in_root(root, path, O_PATH);
  int same = at >= 0 && fstat(at, &now) == 0 && now.st_dev == source->st_dev && now.st_ino == source->st_ino;
  if (at >= 0) close(at);
  return same;
}

// What is under /proc and /sys must be the kernel's own: otherwise the mask would be put on something else.
static int expect_kernel_file(int at, const char *path, struct fault *fault) {
  struct statfs file_system;
  if (fstatfs(at, &file_system) < 0) return fault_set(fault, "look at %s", path);
  if (strncmp(path, "/proc/", 6) == 0 && file_system.f_type != MAGIC_PROC)
    return fault_say(fault, FAULT_INVALID, "%s is not on a proc file system", path);
  return 0;
}

static int clone_mask(const struct rootfs *rootfs, bool directory, struct stat *source, struct fault *fault) {
  int tree = sys_open_tree(rootfs->scratch, directory ? "empty" : "null", OPEN_TREE_CLONE);
  if (tree < 0 || fstat(tree, source) < 0) return fault_set(fault, "clone the mask");
  if (!directory && (!S_ISCHR(source->st_mode) || source->st_rdev != makedev(1, 3)))
    return fault_say(fault, FAULT_INTERNAL, "the mask is not the null device");
  struct mount_attr_ flags = {.set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | (directory ? MOUNT_ATTR_RDONLY : 0)};
  if (sys_mount_setattr(tree, 0, &flags) < 0) return fault_set(fault, "set the flags of the mask");
  return tree;
}

static int mask(const struct rootfs *rootfs, const char *path, struct fault *fault) {
  struct stat target, source;
  int at = open_in_root(rootfs->root, path, O_PATH);
  if (at < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : fault_set(fault, "open %s to mask it", path);
  int tree = -1, result = -1;
  if (fstat(at, &target) < 0) fault_set(fault, "look at %s", path);
  else if (expect_kernel_file(at, path, fault) == 0)
    tree = clone_mask(rootfs, S_ISDIR(target.st_mode), &source, fault);
  if (tree >= 0 && (result = sys_move_mount(tree, at)) < 0) fault_set(fault, "mask %s", path);
  if (result == 0 && !covered_by(rootfs->root, path, &source))
    result = fault_say(fault, FAULT_INTERNAL, "%s changed while it was being masked", path);
  if (tree >= 0) close(tree);
  close(at);
  return result;
}

static int is_read_only(int root, const char *path) {
  struct statfs file_system;
  int at = open_in_root(root, path, O_PATH);
  int read_only = at >= 0 && fstatfs(at, &file_system) == 0 && (file_system.f_flags & 1 /* ST_RDONLY */) != 0;
  if (at >= 0) close(at);
  return read_only;
}

static int lock(const struct rootfs *rootfs, const char *path, struct fault *fault) {
  int at = open_in_root(rootfs->root, path, O_PATH);
  if (at < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : fault_set(fault, "open %s to make it read-only", path);
  int result = expect_kernel_file(at, path, fault);
  int tree = result < 0 ? -1 : sys_open_tree(at, "", OPEN_TREE_CLONE | AT_RECURSIVE | AT_EMPTY_PATH);
  struct mount_attr_ flags = {.set = MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE};
  if (result == 0 && (tree < 0 || sys_mount_setattr(tree, AT_RECURSIVE, &flags) < 0 || sys_move_mount(tree, at) < 0))
    result = fault_set(fault, "make %s read-only", path);
  if (result == 0 && !is_read_only(rootfs->root, path))
    result = fault_say(fault, FAULT_INTERNAL, "%s changed while it was being made read-only", path);
  if (tree >= 0) close(tree);
  close(at);
  return result;
}

int mask_paths(struct rootfs *rootfs, const struct strings *paths, struct fault *fault) {
  for (uint32_t i = 0; i < paths->count; i++)
    if (mask(rootfs, paths->items[i], fault) < 0) return -1;
  return 0;
}

int lock_paths(struct rootfs *rootfs, const struct strings *paths, struct fault *fault) {
  for (uint32_t i = 0; i < paths->count; i++)
    if (lock(rootfs, paths->items[i], fault) < 0) return -1;
  return 0;
}
