// The root file system: overlay on a scratch tmpfs, later pivoted into. Nothing is mounted in the host's namespace.
#include "rootfs.h"
#include "paths.h"
#include "syscalls.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static const char *const OVERLAY_OPTIONS[][2] = {{"redirect_dir", "off"}, {"metacopy", "off"}, {"index", "off"}};

static int configure(int fs, const char *options) {
  char copy[4096];
  if (strlen(options) >= sizeof copy) return errno = E2BIG, -1;
  strcpy(copy, options);
  char *rest = copy;
  for (char *option = strsep(&rest, ","); option != NULL; option = strsep(&rest, ",")) {
    if (*option == 0) continue;
    char *value = strchr(option, '=');
    if (value != NULL) *value++ = 0;
    if (sys_fsconfig(fs, value != NULL ? FS_SET_STRING : FS_SET_FLAG, option, value) < 0) return -1;
  }
  return sys_fsconfig(fs, FS_CREATE, NULL, NULL);
}

int new_file_system(const char *type, const char *source, const char *data, unsigned attributes, struct fault *fault) {
  int fs = sys_fsopen(type);
  if (fs < 0) return fault_set(fault, "open file system %s", type);
  if (sys_fsconfig(fs, FS_SET_STRING, "source", source) < 0 || configure(fs, data) < 0) {
    fault_set(fault, "configure %s with '%s'", type, data);
    close(fs);
    return -1;
  }
  int mount = sys_fsmount(fs, attributes);
  if (mount < 0) fault_set(fault, "make a mount of %s", type);
  close(fs);
  return mount;
}

// Linux 6.8 and newer take one parameter for each layer. -1 without a fault: try the option string.
static int overlay_by_layers(const struct launch_request *request) {
  int fs = sys_fsopen("overlay");
  if (fs < 0) return -1;
  int bad = sys_fsconfig(fs, FS_SET_STRING, "source", "overlay") < 0;
  for (uint32_t i = 0; i < request->lowers.count && !bad; i++)
    bad = sys_fsconfig(fs, FS_SET_STRING, "lowerdir+", request->lowers.items[i]) < 0;
  bool has_upper = request->upper != NULL;
  bad = bad || (has_upper && sys_fsconfig(fs, FS_SET_STRING, "upperdir", request->upper) < 0);
  bad = bad || (has_upper && sys_fsconfig(fs, FS_SET_STRING, "workdir", request->work) < 0);
  for (size_t i = 0; i < sizeof OVERLAY_OPTIONS / sizeof *OVERLAY_OPTIONS && !bad; i++)
    bad = sys_fsconfig(fs, FS_SET_STRING, OVERLAY_OPTIONS[i][0], OVERLAY_OPTIONS[i][1]) < 0;
  bad = bad || sys_fsconfig(fs, FS_CREATE, NULL, NULL) < 0;
  int mount = bad ? -1 : sys_fsmount(fs, 0);
  close(fs);
  return mount;
}

struct text {
  char bytes[4096]; // one page: what mount(2) takes
  size_t length;
};

static void append(struct text *text, const char *part, bool escape) {
  for (; *part != 0 && text->length + 2 < sizeof text->bytes; part++) {
    if (escape && strchr(":,\\", *part) != NULL) text->bytes[text->length++] = '\\';
    text->bytes[text->length++] = *part;
  }
  if (*part != 0) text->length = sizeof text->bytes; // overflow
  else text->bytes[text->length] = 0;
}

// The classic way: one string of at most a page.
static int overlay_by_string(int scratch, const struct launch_request *request, struct fault *fault) {
  struct text options = {.length = 0};
  for (uint32_t i = 0; i < request->lowers.count; i++) {
    append(&options, i == 0 ? "lowerdir=" : ":", false);
    append(&options, request->lowers.items[i], true);
  }
  if (request->upper != NULL) {
    append(&options, ",upperdir=", false);
    append(&options, request->upper, true);
    append(&options, ",workdir=", false);
    append(&options, request->work, true);
  }
  append(&options, ",redirect_dir=off,metacopy=off,index=off", false);
  if (options.length >= sizeof options.bytes)
    return fault_say(fault, FAULT_INVALID, "%u layers are too many for this kernel's overlay options; Linux 6.8 takes more",
                     request->lowers.count);
  if (fchdir(scratch) < 0 || mount("overlay", "root", "overlay", 0, options.bytes) < 0)
    return fault_set(fault, "mount overlay with %s", options.bytes);
  int root = openat(scratch, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return root >= 0 ? root : fault_set(fault, "open the root file system");
}

// On itself, so that who looks into this namespace finds the mounts where the folder stands on the host.
static int plain_folder(const struct launch_request *request, struct fault *fault) {
  const char *directory = request->root_directory;
  int at = request->opened != NULL ? request->opened->root_directory : open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  int root = at < 0 ? -1 : sys_open_tree(at, "", OPEN_TREE_CLONE | AT_RECURSIVE | AT_EMPTY_PATH);
  if (root < 0 || sys_move_mount(root, at) < 0) {
    fault_invalid(fault, "use %s as the root file system", directory);
    if (root >= 0) close(root);
    root = -1;
  }
  if (at >= 0) close(at);
  return root;
}

int rootfs_overlay(int scratch, const struct launch_request *request, struct fault *fault) {
  if (request->root_directory != NULL) return plain_folder(request, fault);
  if (request->lowers.count == 0) return fault_say(fault, FAULT_INVALID, "the root file system has no layer");
  int root = overlay_by_layers(request);
  if (root < 0) return overlay_by_string(scratch, request, fault);
  int at = openat(scratch, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (at < 0 || sys_move_mount(root, at) < 0) {
    fault_set(fault, "attach the root file system");
    close(root);
    root = -1;
  }
  if (at >= 0) close(at);
  return root;
}

// In a user namespace a node that one makes is no device; the host's own is bound.
static int make_null(int scratch, const struct opened *opened) {
  if (opened == NULL)
    return mknodat(scratch, "null", S_IFCHR | 0666, makedev(1, 3)) < 0 ? -1 : fchmodat(scratch, "null", 0666, 0);
  int file = openat(scratch, "null", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  int at = openat(scratch, "null", O_PATH | O_CLOEXEC);
  int result = file < 0 || at < 0 ? -1 : sys_move_mount(opened->null, at);
  if (file >= 0) close(file);
  if (at >= 0) close(at);
  close(opened->null);
  return result;
}

static int scratch_begin(const struct launch_request *request, struct fault *fault) {
  const char *directory = request->run_directory;
  int scratch = new_file_system("tmpfs", "tmpfs", "size=64k,nr_inodes=16,mode=0700", MOUNT_ATTR_NOSUID, fault);
  if (scratch < 0) return -1;
  int at = request->opened != NULL ? request->opened->run_directory : open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  bool bad = at < 0 || sys_move_mount(scratch, at) < 0;
  bad = bad || mkdirat(scratch, "root", 0755) < 0 || mkdirat(scratch, "empty", 0555) < 0;
  bad = bad || make_null(scratch, request->opened) < 0;
  if (bad) fault_set(fault, "prepare the scratch folder on %s", directory);
  if (at >= 0) close(at);
  return bad ? -1 : scratch;
}

int rootfs_begin(struct rootfs *rootfs, const struct launch_request *request, struct fault *fault) {
  *rootfs = (struct rootfs){-1, -1, -1, -1};
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return fault_set(fault, "make the mounts private");
  rootfs->scratch = scratch_begin(request, fault);
  if (rootfs->scratch < 0) return -1;
  rootfs->root = rootfs_overlay(rootfs->scratch, request, fault);
  return rootfs->root < 0 ? -1 : 0;
}

// Overlay takes two layers at least; one alone is its own view.
int rootfs_below(struct rootfs *rootfs, const struct launch_request *request, struct fault *fault) {
  struct launch_request lowers = *request;
  lowers.upper = lowers.work = NULL;
  if (request->lowers.count != 1) return rootfs_begin(rootfs, &lowers, fault);
  *rootfs = (struct rootfs){-1, -1, -1, -1};
  rootfs->root = open(request->lowers.items[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
  return rootfs->root < 0 ? fault_set(fault, "open layer %s", request->lowers.items[0]) : 0;
}

// pivot_root(".", ".") stacks the old root on the new one, from where it is detached (source: pivot_root(2)).
int rootfs_enter(struct rootfs *rootfs, const struct launch_request *request, struct fault *fault) {
  if (fchdir(rootfs->root) < 0 || sys_pivot_root(".", ".") < 0) return fault_set(fault, "pivot into the root file system");
  if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) return fault_set(fault, "leave the host's root");
  if (request->root_read_only) {
    struct mount_attr_ read_only = {.set = MOUNT_ATTR_RDONLY};
    if (sys_mount_setattr(rootfs->root, 0, &read_only) < 0) return fault_set(fault, "make the root file system read-only");
  }
  // Nothing of these may be found through /proc/self/fd by the working directory (CVE-2024-21626).
  int open_ones[] = {rootfs->root, rootfs->scratch, rootfs->dev, rootfs->devpts};
  for (int i = 0; i < 4; i++)
    if (open_ones[i] >= 0) close(open_ones[i]);
  return 0;
}
