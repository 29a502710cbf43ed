// Device nodes and links on our own /dev. Everything is done by descriptor on that tmpfs, so that what an image put
// at /dev does not matter (CVE-2026-41579).
#include "paths.h"
#include "rootfs.h"
#include "syscalls.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const struct {
  const char *name;
  unsigned major, minor;
} NODES[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

#define NODE_COUNT (sizeof NODES / sizeof *NODES)

static const char *const LINKS[][2] = {{"/proc/self/fd", "fd"},       {"/proc/self/fd/0", "stdin"},
                                       {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"},
                                       {"/proc/kcore", "core"},       {"pts/ptmx", "ptmx"}};

static int make_node(int folder, const char *name, mode_t type, dev_t device, mode_t mode) {
  if (mknodat(folder, name, type | mode, device) < 0 && errno != EEXIST) return -1;
  struct stat status;
  if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0) return -1;
  if ((status.st_mode & S_IFMT) != type || status.st_rdev != device) return errno = EEXIST, -1;
  return fchmodat(folder, name, mode, 0); // mknod's mode went through the umask
}

uint32_t devices_count(const struct launch_request *request) { return NODE_COUNT + request->device_count; }

static int open_node(const char *path, mode_t type, dev_t device) {
  struct stat status;
  int node = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (node < 0) return -1;
  if (fstat(node, &status) == 0 && (status.st_mode & S_IFMT) == type && status.st_rdev == device) return node;
  close(node);
  return errno = ENODEV, -1;
}

// Where udev put the device of this number.
static int open_by_number(mode_t type, dev_t device) {
  char path[PATH_MAX], line[512], name[400];
  int node = -1;
  snprintf(path, sizeof path, "/sys/dev/%s/%u:%u/uevent", type == S_IFBLK ? "block" : "char", major(device), minor(device));
  FILE *file = fopen(path, "re");
  while (file != NULL && node < 0 && fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "DEVNAME=%399[^\n]", name) != 1) continue;
    snprintf(path, sizeof path, "/dev/%s", name);
    node = open_node(path, type, device);
  }
  if (file != NULL) fclose(file);
  return node;
}

int device_open(const struct launch_request *request, uint32_t number, struct fault *fault) {
  const struct device_plan *asked = number < NODE_COUNT ? NULL : &request->devices[number - NODE_COUNT];
  dev_t device = asked ? makedev(asked->major, asked->minor) : makedev(NODES[number].major, NODES[number].minor);
  mode_t type = asked != NULL && asked->type == 'b' ? S_IFBLK : S_IFCHR;
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s%s", asked ? "" : "/dev/", asked ? asked->path : NODES[number].name);
  int node = open_node(path, type, device);
  if (node < 0) node = open_by_number(type, device);
  if (node < 0)
    return fault_say(fault, FAULT_INVALID, "device %s: this machine has no node of number %u:%u to bind", path, major(device),
                     minor(device));
  int tree = sys_open_tree(node, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
  if (tree < 0) fault_set(fault, "bind device %s", path);
  close(node);
  return tree;
}

static int bind_node(int folder, const char *name, int tree) {
  struct stat status;
  int file = openat(folder, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
  int at = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC); // an image's own file may be there, but no link
  int result = at < 0 || fstat(at, &status) < 0 ? -1 : S_ISLNK(status.st_mode) ? (errno = ELOOP, -1) : sys_move_mount(tree, at);
  if (file >= 0) close(file);
  if (at >= 0) close(at);
  close(tree);
  return result;
}

// A device of the request: below /dev on our tmpfs, elsewhere under the root.
static int make_asked(const struct rootfs *rootfs, const struct device_plan *device, int tree, struct fault *fault) {
  char folder[512];
  const char *name = strrchr(device->path, '/') + 1;
  size_t length = (size_t)(name - device->path);
  if (*name == 0 || length >= sizeof folder)
    return fault_say(fault, FAULT_INVALID, "device path '%s' is not a name", device->path);
  memcpy(folder, device->path, length);
  folder[length] = 0;
  int at = make_in_root(rootfs->root, folder, true, fault);
  if (at < 0) return -1;
  mode_t type = device->type == 'b' ? S_IFBLK : S_IFCHR;
  bool bad = tree >= 0 ? bind_node(at, name, tree) < 0
                       : make_node(at, name, type, makedev(device->major, device->minor), device->mode & 0777) < 0;
  bad = bad || (tree < 0 && fchownat(at, name, device->uid, device->gid, AT_SYMLINK_NOFOLLOW) < 0);
  if (bad) fault_set(fault, "make device %s", device->path);
  close(at);
  return bad ? -1 : 0;
}

int devices_make(struct rootfs *rootfs, const struct launch_request *request, struct fault *fault) {
  const int *trees = request->opened != NULL ? request->opened->devices : NULL;
  for (size_t i = 0; i < NODE_COUNT; i++)
    if ((trees != NULL ? bind_node(rootfs->dev, NODES[i].name, trees[i])
                       : make_node(rootfs->dev, NODES[i].name, S_IFCHR, makedev(NODES[i].major, NODES[i].minor), 0666)) < 0)
      return fault_set(fault, "make device /dev/%s", NODES[i].name);
  for (size_t i = 0; i < sizeof LINKS / sizeof *LINKS; i++) {
    if (strcmp(LINKS[i][1], "core") == 0 && access(LINKS[i][0], F_OK) < 0) continue; // a kernel built without it
    if (symlinkat(LINKS[i][0], rootfs->dev, LINKS[i][1]) < 0 && errno != EEXIST)
      return fault_set(fault, "make link /dev/%s", LINKS[i][1]);
  }
  for (uint32_t i = 0; i < request->device_count; i++)
    if (make_asked(rootfs, &request->devices[i], trees != NULL ? trees[NODE_COUNT + i] : -1, fault) < 0) return -1;
  return 0;
}

// The terminal as /dev/console, by descriptor: neither end can be swapped by a path (CVE-2025-52565).
int console_mount(struct rootfs *rootfs, int slave, struct fault *fault) {
  int file = openat(rootfs->dev, "console", O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
  int at = openat(rootfs->dev, "console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
  int tree = sys_open_tree(slave, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
  int result = file < 0 || at < 0 || tree < 0 ? -1 : sys_move_mount(tree, at);
  if (result < 0) fault_set(fault, "mount the terminal on /dev/console");
  if (file >= 0) close(file);
  if (at >= 0) close(at);
  if (tree >= 0) close(tree);
  return result;
}
