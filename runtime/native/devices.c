// Device nodes and links on our own /dev. Everything is done by descriptor on that tmpfs, so that what an image put
// at /dev does not matter (CVE-2026-41579).
#include "paths.h"
#include "rootfs.h"
#include "syscalls.h"
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const struct {
  const char *name;
  unsigned major, minor;
} NODES[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

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

// A device of the request: below /dev on our tmpfs, elsewhere under the root.
static int make_asked(const struct rootfs *rootfs, const struct device_plan *device, struct fault *fault) {
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
  bool bad = make_node(at, name, type, makedev(device->major, device->minor), device->mode & 0777) < 0;
  bad = bad || fchownat(at, name, device->uid, device->gid, AT_SYMLINK_NOFOLLOW) < 0;
  if (bad) fault_set(fault, "make device %s", device->path);
  close(at);
  return bad ? -1 : 0;
}

int devices_make(struct rootfs *rootfs, const struct launch_request *request, struct fault *fault) {
  for (size_t i = 0; i < sizeof NODES / sizeof *NODES; i++)
    if (make_node(rootfs->dev, NODES[i].name, S_IFCHR, makedev(NODES[i].major, NODES[i].minor), 0666) < 0)
      return fault_set(fault, "make device /dev/%s", NODES[i].name);
  for (size_t i = 0; i < sizeof LINKS / sizeof *LINKS; i++) {
    if (strcmp(LINKS[i][1], "core") == 0 && access(LINKS[i][0], F_OK) < 0) continue; // a kernel built without it
    if (symlinkat(LINKS[i][0], rootfs->dev, LINKS[i][1]) < 0 && errno != EEXIST)
      return fault_set(fault, "make link /dev/%s", LINKS[i][1]);
  }
  for (uint32_t i = 0; i < request->device_count; i++)
    if (make_asked(rootfs, &request->devices[i], fault) < 0) return -1;
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
