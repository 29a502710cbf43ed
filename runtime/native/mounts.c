// The mounts of a container, in the order given. Sources of binds are opened first, while the namespace still has the
// host's propagation; targets are resolved under the container's root each time, since earlier mounts change it.
#include "paths.h"
#include "rootfs.h"
#include "syscalls.h"
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static unsigned attributes_of(const struct mount_plan *plan, bool with_read_only) {
  unsigned attributes = with_read_only && plan->read_only ? MOUNT_ATTR_RDONLY : 0;
  if (plan->flags & MF_NOSUID) attributes |= MOUNT_ATTR_NOSUID;
  if (plan->flags & MF_NODEV) attributes |= MOUNT_ATTR_NODEV;
  if (plan->flags & MF_NOEXEC) attributes |= MOUNT_ATTR_NOEXEC;
  if (plan->flags & MF_STRICTATIME) attributes |= MOUNT_ATTR_STRICTATIME;
  if (plan->flags & MF_NOATIME) attributes |= MOUNT_ATTR_NOATIME;
  if (plan->flags & MF_NODIRATIME) attributes |= MOUNT_ATTR_NODIRATIME;
  return attributes;
}

static int set_attributes(int tree, bool recursive, struct mount_attr_ attributes) {
  if (attributes.set == 0 && attributes.propagation == 0) return 0;
  if (attributes.set & (MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_NOATIME)) attributes.clear = 0x70; // the whole atime field is replaced
  return sys_mount_setattr(tree, recursive ? AT_RECURSIVE : 0, &attributes);
}

// A part of the source: what a link in it leads to counts only inside (CVE-2017-1002101).
static int open_part(const struct mount_plan *plan, unsigned flags, struct fault *fault) {
  int whole = open(plan->source, O_PATH | O_DIRECTORY | O_CLOEXEC);
  int part = whole < 0 ? -1 : sys_openat2(whole, plan->data, O_PATH | O_CLOEXEC, 0, RESOLVE_BENEATH_ | RESOLVE_NO_MAGICLINKS_);
  int tree = part < 0 ? -1 : sys_open_tree(part, "", flags | AT_EMPTY_PATH);
  if (tree < 0) fault_invalid(fault, "cannot access path %s/%s", plan->source, plan->data);
  if (part >= 0) close(part);
  if (whole >= 0) close(whole);
  return tree;
}

static int open_bind_source(struct mount_plan *plan, struct fault *fault) {
  unsigned how = OPEN_TREE_CLONE | (plan->recursive ? AT_RECURSIVE : 0);
  bool all = plan->recursive && !(plan->flags & MF_TOP_ONLY);
  plan->tree = plan->data[0] != 0 ? open_part(plan, how, fault) : sys_open_tree(AT_FDCWD, plan->source, how);
  if (plan->tree < 0 && fault->kind != FAULT_NONE) return -1;
  if (plan->tree < 0 && errno == ENOENT)
    return fault_say(fault, FAULT_INVALID, "bind source path does not exist: %s", plan->source);
  if (plan->tree < 0) return fault_set(fault, "open bind source %s", plan->source);
  struct mount_attr_ propagation = {.propagation = plan->propagation};
  struct mount_attr_ flags = {.set = attributes_of(plan, true)};
  if (set_attributes(plan->tree, plan->propagation_recursive, propagation) < 0)
    return fault_set(fault, "set the propagation of %s", plan->source);
  if (set_attributes(plan->tree, all, flags) < 0) return fault_set(fault, "set the flags of %s", plan->source);
  return 0;
}

static int open_there(struct mount_plan *plan, struct fault *fault) {
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  int at = root < 0 ? -1 : open_in_root_straight(root, plan->data, O_PATH);
  plan->tree = at < 0 ? -1 : sys_open_tree(at, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
  if (plan->tree < 0) fault_set(fault, "open %s of the other container", plan->data);
  if (at >= 0) close(at);
  if (root >= 0) close(root);
  return plan->tree < 0 ? -1 : 0;
}

// A mount can only be copied from within its namespace.
static int open_foreign_source(struct mount_plan *plan, struct fault *fault) {
  int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC), other = open(plan->source, O_RDONLY | O_CLOEXEC);
  int result = own < 0 || other < 0 || setns(other, CLONE_NEWNS) < 0 ? fault_set(fault, "enter %s", plan->source) : 0;
  if (result == 0) result = open_there(plan, fault);
  if (own >= 0 && setns(own, CLONE_NEWNS) < 0) result = fault_set(fault, "return to the own mounts");
  if (own >= 0) close(own);
  if (other >= 0) close(other);
  return result;
}

int open_bind_sources(struct launch_request *request, struct fault *fault) {
  for (uint32_t i = 0; i < request->mount_count; i++) {
    struct mount_plan *plan = &request->mounts[i];
    if (plan->type == M_BIND && open_bind_source(plan, fault) < 0) return -1;
    if (plan->type == M_FOREIGN && open_foreign_source(plan, fault) < 0) return -1;
  }
  return 0;
}

// Attaches a tree on `target`. `straight` refuses links: the kernel's own file systems are only put on real folders.
static int attach(const struct rootfs *rootfs, int tree, const char *target, bool straight, struct fault *fault) {
  struct stat status;
  if (fstat(tree, &status) < 0) return fault_set(fault, "look at the source of %s", target);
  int at = make_in_root(rootfs->root, target, S_ISDIR(status.st_mode), fault);
  if (at < 0) return -1;
  close(at);
  at = straight ? open_in_root_straight(rootfs->root, target, O_PATH) : open_in_root(rootfs->root, target, O_PATH);
  if (at < 0 && errno == ELOOP)
    return fault_say(fault, FAULT_INVALID, "refusing to mount on %s: the image has a symbolic link there", target);
  if (at < 0) return fault_set(fault, "open mount point %s", target);
  int result = sys_move_mount(tree, at);
  if (result < 0) fault_set(fault, "mount on %s", target);
  close(at);
  return result;
}

static bool is_own_dev(const struct mount_plan *plan) {
  return plan->type == M_TMPFS && strcmp(plan->target, "/dev") == 0;
}

static int mount_new(struct rootfs *rootfs, const struct mount_plan *plan, const char *type, struct fault *fault) {
  // A read-only tmpfs must take its mount points first; the kernel's own file systems have none to take.
  bool later = plan->type == M_TMPFS;
  int tree = new_file_system(type, plan->source[0] != 0 ? plan->source : type, plan->data, attributes_of(plan, !later), fault);
  if (tree < 0) return -1;
  bool straight = plan->type != M_TMPFS || is_own_dev(plan);
  int result = attach(rootfs, tree, plan->target, straight, fault);
  if (result == 0 && is_own_dev(plan)) rootfs->dev = tree;
  else if (result == 0 && plan->type == M_DEVPTS) rootfs->devpts = tree;
  else close(tree);
  return result;
}

// The name under which a controller is shown: that of the folder where its hierarchy is mounted.
static int controller_name(const char *path, char *name, size_t capacity) {
  char folder[PATH_MAX], parent[PATH_MAX];
  struct stat here, above;
  if (snprintf(folder, sizeof folder, "%s", path) >= (int)sizeof folder || stat(folder, &here) < 0) return -1;
  for (;;) {
    strcpy(parent, folder);
    char *up = dirname(parent);
    if (stat(up, &above) < 0) return -1;
    if (above.st_dev != here.st_dev || strcmp(up, "/") == 0) break;
    memmove(folder, up, strlen(up) + 1);
  }
  return snprintf(name, capacity, "%s", basename(folder)) < (int)capacity ? 0 : -1;
}

// cpu,cpuacct is also found as cpu and as cpuacct.
static void link_parts(int base, const char *name) {
  char copy[NAME_MAX + 1];
  if (strchr(name, ',') == NULL) return;
  snprintf(copy, sizeof copy, "%s", name);
  char *rest = copy;
  for (char *part = strsep(&rest, ","); part != NULL; part = strsep(&rest, ",")) symlinkat(name, base, part);
}

static int mount_controller(int base, const struct mount_plan *plan, const char *group, struct fault *fault) {
  char name[NAME_MAX + 1];
  if (controller_name(group, name, sizeof name) < 0) return fault_set(fault, "find the hierarchy of cgroup %s", group);
  int tree = sys_open_tree(AT_FDCWD, group, OPEN_TREE_CLONE);
  if (tree < 0) return fault_set(fault, "open cgroup %s", group);
  struct mount_attr_ flags = {.set = attributes_of(plan, true), .propagation = MS_PRIVATE};
  bool bad = set_attributes(tree, false, flags) < 0 || (mkdirat(base, name, 0755) < 0 && errno != EEXIST);
  int at = bad ? -1 : openat(base, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  bad = at < 0 || sys_move_mount(tree, at) < 0;
  if (bad) fault_set(fault, "mount cgroup %s", group);
  else link_parts(base, name);
  if (at >= 0) close(at);
  close(tree);
  return bad ? -1 : 0;
}

// v1 and hybrid hosts: a tmpfs with one folder for each of the container's own groups.
static int mount_controllers(struct rootfs *rootfs, const struct mount_plan *plan, const struct launch_request *request,
                             struct fault *fault) {
  int base = new_file_system("tmpfs", "tmpfs", "mode=755,size=64k", attributes_of(plan, false), fault);
  if (base < 0) return -1;
  int result = attach(rootfs, base, plan->target, true, fault);
  for (uint32_t i = 0; i < request->group_count && result == 0; i++)
    result = mount_controller(base, plan, request->groups[i].path, fault);
  struct mount_attr_ read_only = {.set = MOUNT_ATTR_RDONLY};
  if (result == 0 && plan->read_only && set_attributes(base, false, read_only) < 0)
    result = fault_set(fault, "make %s read-only", plan->target);
  close(base);
  return result;
}

static int mount_cgroup(struct rootfs *rootfs, const struct mount_plan *plan, const struct launch_request *request,
                        struct fault *fault) {
  struct statfs host;
  if (statfs("/sys/fs/cgroup", &host) < 0) return fault_set(fault, "look at /sys/fs/cgroup");
  if (host.f_type == MAGIC_CGROUP2) return mount_new(rootfs, plan, "cgroup2", fault);
  return mount_controllers(rootfs, plan, request, fault);
}

static int mount_one(struct rootfs *rootfs, struct mount_plan *plan, const struct launch_request *request,
                     struct fault *fault) {
  static const char *const types[] = {
      [M_TMPFS] = "tmpfs", [M_PROC] = "proc", [M_SYSFS] = "sysfs", [M_DEVPTS] = "devpts", [M_MQUEUE] = "mqueue"};
  switch (plan->type) {
  case M_BIND: case M_FOREIGN: return attach(rootfs, plan->tree, plan->target, false, fault);
  case M_CGROUP: return mount_cgroup(rootfs, plan, request, fault);
  default: return mount_new(rootfs, plan, types[plan->type], fault);
  }
}

static int finish_tmpfs(const struct rootfs *rootfs, const struct mount_plan *plan, struct fault *fault) {
  int at = open_in_root(rootfs->root, plan->target, O_PATH);
  struct mount_attr_ read_only = {.set = MOUNT_ATTR_RDONLY};
  int result = at < 0 ? -1 : set_attributes(at, false, read_only);
  if (result < 0) fault_set(fault, "make %s read-only", plan->target);
  if (at >= 0) close(at);
  return result;
}

// A root file system that is a folder may come without a mount for /dev: then the folder's own takes the devices.
static int own_dev(struct rootfs *rootfs, const struct launch_request *request, struct fault *fault) {
  if (rootfs->dev >= 0 || request->root_directory == NULL) return 0;
  for (uint32_t i = 0; i < request->mount_count; i++)
    if (strcmp(request->mounts[i].target, "/dev") == 0) return 0;
  int made = make_in_root(rootfs->root, "/dev", true, fault);
  if (made < 0) return -1;
  close(made);
  rootfs->dev = open_in_root_straight(rootfs->root, "/dev", O_PATH | O_DIRECTORY);
  return rootfs->dev >= 0 ? 0 : fault_invalid(fault, "open /dev of the root file system");
}

int mount_all(struct rootfs *rootfs, const struct launch_request *request, struct fault *fault) {
  for (uint32_t i = 0; i < request->mount_count; i++)
    if (mount_one(rootfs, &request->mounts[i], request, fault) < 0) return -1;
  if (own_dev(rootfs, request, fault) < 0) return -1;
  if (rootfs->dev >= 0 && devices_make(rootfs, request, fault) < 0) return -1;
  for (uint32_t i = 0; i < request->mount_count; i++) {
    const struct mount_plan *plan = &request->mounts[i];
    if (plan->type == M_TMPFS && plan->read_only && finish_tmpfs(rootfs, plan, fault) < 0) return -1;
  }
  return 0;
}
