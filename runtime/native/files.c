// One process for one request. It enters the container's file system (the mount namespace of its PID 1, or a mount of
// its own of a stopped one's layers), and only then looks at the path: everything is resolved below that root by the
// kernel, so no link that a container swaps at the last moment leads out (CVE-2018-15664). It stays in the host's pid
// namespace, invisible to the container, and never executes or loads anything from there (CVE-2019-14271).
#include "files.h"
#include "changes.h"
#include "paths.h"
#include "request.h"
#include "rootfs.h"
#include "shim.h"
#include "syscalls.h"
#include "unpack.h"
#include "walk.h"
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>

#define LINKS_FOLLOWED_MAX 40

enum operation { F_STAT, F_READ, F_WRITE, F_EXPORT, F_LAYER, F_CHANGES, F_SIZE, F_OPERATIONS };
enum view { V_PROCESS, V_LAYERS, V_FOLDER, V_VIEWS };

struct files {
  enum operation operation;
  enum view view;
  uint32_t number; // of the request
  int pid;
  uint64_t start_ticks;
  struct launch_request layers; // only what concerns its root
  const char *folder;
  const char *path, *name;
  struct unpack_options options;
  int connection;
  int root; // of the container, once entered
  struct sink sink;
  struct walk walk;
  struct fault fault;
};

static int parse(struct files *files, struct reader *reader, struct arena *arena) {
  files->number = read_u32(reader);
  files->operation = read_u8(reader);
  files->view = read_u8(reader);
  if (files->operation >= F_OPERATIONS || files->view >= V_VIEWS)
    return fault_say(reader->fault, FAULT_INVALID, "unknown operation on files");
  if (files->view == V_PROCESS) {
    files->pid = (int)read_u32(reader);
    files->start_ticks = read_u64(reader);
  } else if (files->view == V_LAYERS) {
    files->layers.run_directory = read_string(reader);
    parse_root(reader, arena, &files->layers);
  } else files->folder = read_string(reader);
  files->path = read_string(reader);
  files->name = read_string(reader);
  files->options.keeps_kind = read_u8(reader) == 1;
  files->options.owner = read_string(reader);
  return read_finish(reader);
}

// The descriptor is checked against the start time, so a number that was used again is noticed.
static int enter_process(struct files *files) {
  int pidfd = sys_pidfd_open(files->pid);
  if (pidfd < 0 || start_ticks_of(files->pid) != files->start_ticks)
    return fault_say(&files->fault, FAULT_CONFLICT, "the container has stopped meanwhile");
  if (setns(pidfd, CLONE_NEWNS) < 0) return fault_set(&files->fault, "enter the container's mounts");
  close(pidfd);
  files->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return files->root < 0 ? fault_set(&files->fault, "open the container's root") : 0;
}

static int mount_layers(struct files *files) {
  struct rootfs rootfs;
  struct mount_attr_ read_only = {.set = MOUNT_ATTR_RDONLY};
  struct fault *fault = &files->fault;
  if (unshare(CLONE_NEWNS) < 0) return fault_set(fault, "make a mount namespace");
  if (open_bind_sources(&files->layers, fault) < 0 || rootfs_begin(&rootfs, &files->layers, fault) < 0) return -1;
  if (mount_all(&rootfs, &files->layers, fault) < 0) return -1;
  if (files->layers.root_read_only && sys_mount_setattr(rootfs.root, 0, &read_only) < 0)
    return fault_set(fault, "make the root file system read-only");
  if (fchdir(rootfs.root) < 0 || chroot(".") < 0) return fault_set(fault, "enter the container's root");
  files->root = rootfs.root;
  return 0;
}

static int enter(struct files *files) {
  if (files->view == V_PROCESS) return enter_process(files);
  if (files->view == V_LAYERS) return mount_layers(files);
  return fault_say(&files->fault, FAULT_INVALID, "this operation needs a container");
}

static int not_found(struct files *files) {
  return fault_say(&files->fault, FAULT_NOT_FOUND, "Could not find the file %s", files->path);
}

// The entry itself, also when it is a link; what stands before its last name is followed.
static int open_entry(struct files *files) {
  int entry = sys_openat2(files->root, files->path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0,
                          RESOLVE_IN_ROOT_ | RESOLVE_NO_MAGICLINKS_);
  if (entry < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) return not_found(files);
  if (entry < 0) return fault_set(&files->fault, "open %s", files->path);
  if (!is_kernels_own(entry)) return entry;
  close(entry);
  return not_found(files);
}

// The path below the root of the folder that is open here, as the kernel names it.
static int path_of(int folder, char *path, size_t capacity) {
  if (fchdir(folder) < 0) return -1;
  return syscall(SYS_getcwd, path, capacity) > 0 && path[0] == '/' ? 0 : -1;
}

// Where a link leads in the end, as far as there is something; always below the root.
static void follow_link(struct files *files, char path[PATH_MAX]) {
  char folder[PATH_MAX], target[PATH_MAX];
  for (int followed = 0; followed < LINKS_FOLLOWED_MAX; followed++) {
    char *slash = strrchr(path, '/');
    char name[NAME_MAX + 1];
    if (slash == NULL || strlen(slash + 1) > NAME_MAX) return;
    strcpy(name, slash + 1);
    snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    int at = open_in_root(files->root, folder, O_PATH | O_DIRECTORY);
    if (at < 0 || path_of(at, folder, sizeof folder) < 0) {
      if (at >= 0) close(at);
      return;
    }
    ssize_t length = readlinkat(at, name, target, sizeof target - 1);
    close(at);
    const char *between = folder[1] == 0 ? "" : "/";
    target[length < 0 ? 0 : length] = 0;
    const char *next = length < 0 ? name : target;
    int fits = target[0] == '/' ? snprintf(path, PATH_MAX, "%s", target)
                                : snprintf(path, PATH_MAX, "%s%s%s", folder, between, next);
    if (length < 0 || fits >= PATH_MAX) return;
    for (size_t end = strlen(path); end > 1 && path[end - 1] == '/';) path[--end] = 0;
  }
}

static int send_stat(struct files *files, int entry) {
  uint8_t frame[2 * PATH_MAX + 512];
  char target[PATH_MAX] = "";
  struct stat status;
  struct writer writer;
  if (fstat(entry, &status) < 0) return fault_set(&files->fault, "look at %s", files->path);
  if (S_ISLNK(status.st_mode) && snprintf(target, sizeof target, "/%s", files->path) < (int)sizeof target)
    follow_link(files, target);
  write_begin(&writer, frame, sizeof frame, FRAME_FILE);
  write_u32(&writer, files->number);
  write_string(&writer, target);
  write_u64(&writer, (uint64_t)status.st_size);
  write_u32(&writer, status.st_mode);
  write_u64(&writer, (uint64_t)status.st_mtim.tv_sec);
  write_u32(&writer, (uint32_t)status.st_mtim.tv_nsec);
  return write_fully(files->connection, frame, write_finish(&writer)) < 0 ? fault_set(&files->fault, "send to the daemon") : 0;
}

static int stat_or_read(struct files *files) {
  if (walk_begin(&files->walk, &files->sink, &files->fault) < 0 || enter(files) < 0) return -1;
  int entry = open_entry(files);
  if (entry < 0 || send_stat(files, entry) < 0) return -1;
  return files->operation == F_STAT ? 0 : walk_archive(&files->walk, entry, files->name);
}

static int check_writable(struct files *files, int folder) {
  struct statvfs system;
  struct stat here, root;
  if (fstatvfs(folder, &system) < 0 || fstat(folder, &here) < 0 || fstat(files->root, &root) < 0)
    return fault_set(&files->fault, "look at %s", files->path);
  if (!(system.f_flag & ST_RDONLY)) return 0;
  return fault_say(&files->fault, FAULT_FORBIDDEN,
                   here.st_dev == root.st_dev ? "container rootfs is marked read-only" : "mounted volume is marked read-only");
}

static int write_below(struct files *files) {
  char folder[PATH_MAX];
  struct stat status;
  if (enter(files) < 0) return -1;
  int at = open_in_root(files->root, files->path, O_PATH);
  if (at < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) return not_found(files);
  if (at < 0 || fstat(at, &status) < 0) return fault_set(&files->fault, "open %s", files->path);
  if (is_kernels_own(at)) return not_found(files);
  if (!S_ISDIR(status.st_mode)) return fault_say(&files->fault, FAULT_INVALID, "extraction point is not a directory");
  if (check_writable(files, at) < 0) return -1;
  if (path_of(at, folder, sizeof folder) < 0) return fault_set(&files->fault, "name %s", files->path);
  files->options.below = folder + 1;
  return unpack_at(files->connection, files->root, &files->options, &files->fault);
}

// The root alone, without what is mounted on it.
static int export_root(struct files *files) {
  if (walk_begin(&files->walk, &files->sink, &files->fault) < 0 || enter(files) < 0) return -1;
  int alone = sys_open_tree(files->root, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
  if (alone < 0) return fault_set(&files->fault, "open the root file system");
  return walk_archive(&files->walk, alone, "");
}

static int open_upper(struct files *files) {
  int upper = open(files->layers.upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return upper < 0 ? fault_set(&files->fault, "open the container's layer") : upper;
}

static int write_layer(struct files *files) {
  if (walk_begin(&files->walk, &files->sink, &files->fault) < 0) return -1;
  int upper = open_upper(files);
  files->walk.layer = true;
  return upper < 0 ? -1 : walk_archive(&files->walk, upper, "");
}

static int write_changes(struct files *files) {
  struct rootfs below;
  int upper = open_upper(files);
  if (upper < 0) return -1;
  if (unshare(CLONE_NEWNS) < 0) return fault_set(&files->fault, "make a mount namespace");
  if (rootfs_below(&below, &files->layers, &files->fault) < 0) return -1;
  if (walk_begin(&files->walk, &files->sink, &files->fault) < 0) return -1;
  return changes_write(&files->walk, upper, below.root);
}

static int send_size(struct files *files) {
  uint8_t frame[64];
  uint64_t bytes;
  struct writer writer;
  int folder = open(files->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder < 0) return errno == ENOENT ? not_found(files) : fault_set(&files->fault, "open %s", files->folder);
  if (walk_begin(&files->walk, &files->sink, &files->fault) < 0 || walk_size(&files->walk, folder, &bytes) < 0) return -1;
  write_begin(&writer, frame, sizeof frame, FRAME_FILE);
  write_u32(&writer, files->number);
  write_string(&writer, "");
  write_u64(&writer, bytes);
  write_u32(&writer, 0);
  write_u64(&writer, 0);
  write_u32(&writer, 0);
  return write_fully(files->connection, frame, write_finish(&writer)) < 0 ? fault_set(&files->fault, "send to the daemon") : 0;
}

static int serve(struct files *files) {
  switch (files->operation) {
  case F_STAT: case F_READ: return stat_or_read(files);
  case F_WRITE: return write_below(files);
  case F_EXPORT: return export_root(files);
  case F_LAYER: return write_layer(files);
  case F_CHANGES: return write_changes(files);
  case F_SIZE: return send_size(files);
  default: return -1;
  }
}

void files_serve(int connection, const uint8_t *frame, size_t length) {
  static struct files files;
  struct reader reader = {frame + FRAME_HEADER, frame + length, &files.fault};
  struct arena arena = {0};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_NAME, "shoal-files", 0, 0, 0);
  files.connection = connection;
  files.root = -1;
  sink_open(&files.sink, connection, &files.fault);
  fcntl(connection, F_SETFD, FD_CLOEXEC);
  if (arena_map(&arena, 16 * length + (256 << 10), &files.fault) == 0 && parse(&files, &reader, &arena) == 0) serve(&files);
  unpack_report(connection, files.number, &files.fault);
  _exit(0);
}
