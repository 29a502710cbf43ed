// System calls and constants that older C libraries do not name. Raw numbers are the same on every architecture
// for calls added since Linux 5.0; the rest come from the headers.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NR_OPEN_TREE 428
#define NR_MOVE_MOUNT 429
#define NR_FSOPEN 430
#define NR_FSCONFIG 431
#define NR_FSMOUNT 432
#define NR_PIDFD_OPEN 434
#define NR_CLONE3 435
#define NR_CLOSE_RANGE 436
#define NR_OPENAT2 437
#define NR_FACCESSAT2 439
#define NR_MOUNT_SETATTR 442

#ifndef FSOPEN_CLOEXEC
#define FSOPEN_CLOEXEC 1
#endif
#ifndef FSMOUNT_CLOEXEC
#define FSMOUNT_CLOEXEC 1
#endif
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef OPEN_TREE_CLOEXEC
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 0x04
#endif
#ifndef MOVE_MOUNT_T_EMPTY_PATH
#define MOVE_MOUNT_T_EMPTY_PATH 0x40
#endif
#ifndef MOUNT_ATTR_RDONLY
#define MOUNT_ATTR_RDONLY 0x01
#define MOUNT_ATTR_NOSUID 0x02
#define MOUNT_ATTR_NODEV 0x04
#define MOUNT_ATTR_NOEXEC 0x08
#define MOUNT_ATTR_STRICTATIME 0x20
#define MOUNT_ATTR_NOATIME 0x10
#define MOUNT_ATTR_NODIRATIME 0x80
#endif

enum { FS_SET_FLAG = 0, FS_SET_STRING = 1, FS_CREATE = 6 }; // fsconfig's commands

#define RESOLVE_NO_XDEV_ 0x01
#define RESOLVE_NO_MAGICLINKS_ 0x02
#define RESOLVE_NO_SYMLINKS_ 0x04
#define RESOLVE_BENEATH_ 0x08
#define RESOLVE_IN_ROOT_ 0x10

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif
#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif
#define CLONE_PIDFD_ 0x00001000ULL
#define CLONE_INTO_CGROUP_ 0x200000000ULL

#define MAGIC_PROC 0x9fa0
#define MAGIC_SYSFS 0x62656572
#define MAGIC_DEVPTS 0x1cd1
#define MAGIC_CGROUP2 0x63677270

struct open_how_ {
  uint64_t flags, mode, resolve;
};
struct mount_attr_ {
  uint64_t set, clear, propagation, userns_fd;
};
struct clone_args_ {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

static inline int sys_openat2(int at, const char *path, int flags, int mode, uint64_t resolve) {
  struct open_how_ how = {(uint64_t)flags, (uint64_t)mode, resolve};
  return (int)syscall(NR_OPENAT2, at, path, &how, sizeof how);
}
static inline int sys_fsopen(const char *type) { return (int)syscall(NR_FSOPEN, type, FSOPEN_CLOEXEC); }
static inline int sys_fsconfig(int fs, unsigned command, const char *key, const char *value) {
  return (int)syscall(NR_FSCONFIG, fs, command, key, value, 0);
}
static inline int sys_fsmount(int fs, unsigned attributes) {
  return (int)syscall(NR_FSMOUNT, fs, FSMOUNT_CLOEXEC, attributes);
}
static inline int sys_open_tree(int at, const char *path, unsigned flags) {
  return (int)syscall(NR_OPEN_TREE, at, path, flags | OPEN_TREE_CLOEXEC);
}
static inline int sys_move_mount(int from, int to) {
  return (int)syscall(NR_MOVE_MOUNT, from, "", to, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}
static inline int sys_mount_setattr(int at, unsigned flags, struct mount_attr_ *attributes) {
  return (int)syscall(NR_MOUNT_SETATTR, at, "", flags | AT_EMPTY_PATH, attributes, sizeof *attributes);
}
static inline int sys_pidfd_open(int pid) { return (int)syscall(NR_PIDFD_OPEN, pid, 0); }
static inline int sys_close_range(unsigned from, unsigned to, unsigned flags) {
  return (int)syscall(NR_CLOSE_RANGE, from, to, flags);
}
static inline int sys_faccessat2(int at, const char *path, int mode, int flags) {
  return (int)syscall(NR_FACCESSAT2, at, path, mode, flags);
}
static inline int sys_pivot_root(const char *new_root, const char *put_old) {
  return (int)syscall(SYS_pivot_root, new_root, put_old);
}
// A plain fork with clone3's extra flags: the child returns 0 on its own copy of this stack.
static inline int sys_clone3(struct clone_args_ *arguments) {
  return (int)syscall(NR_CLONE3, arguments, sizeof *arguments);
}
