// A change at exec comes with `exec NAME`, one at once with `changeprofile NAME`; the kernel lets a process write its own
// only. The files are found by number in a file system that the kernel says is proc, across no mount and no link, so that
// nothing that a container put there takes the words for the kernel (CVE-2025-52881).
#include "app_armor.h"
#include "rootfs.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PROFILE_BYTES_MAX 512

int app_armor_proc(struct fault *fault) {
  return new_file_system("proc", "proc", "", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, fault);
}

int app_armor_proc_inside(struct fault *fault) {
  struct statfs status;
  int proc = open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (proc < 0) return fault_invalid(fault, "open the container's /proc for an AppArmor profile");
  if (fstatfs(proc, &status) == 0 && status.f_type == PROC_SUPER_MAGIC) return proc;
  close(proc);
  return fault_say(fault, FAULT_INVALID, "apply an AppArmor profile: the container's /proc is no proc file system");
}

// Where several security modules are stacked, AppArmor has a folder of its own (Linux 5.8); `attr/NAME` is the first module's.
static int open_attribute(int proc, const char *name, struct fault *fault) {
  static const char *const forms[] = {"%d/attr/apparmor/%s", "%d/attr/%s"};
  for (int i = 0; i < 2; i++) {
    char path[64];
    snprintf(path, sizeof path, forms[i], getpid(), name);
    int file = sys_openat2(proc, path, O_WRONLY | O_CLOEXEC, 0, RESOLVE_BENEATH_ | RESOLVE_NO_SYMLINKS_ | RESOLVE_NO_XDEV_);
    if (file >= 0) return file;
    if (errno != ENOENT) break;
  }
  return fault_invalid(fault, "open the process' AppArmor attribute %s", name);
}

static int change(int attribute, const char *how, const char *profile, struct fault *fault) {
  char text[PROFILE_BYTES_MAX + 16];
  int length = snprintf(text, sizeof text, "%s %s", how, profile);
  if (write(attribute, text, (size_t)length) == length) return 0;
  if (errno == EINVAL)
    return fault_say(fault, FAULT_INVALID, "apply the AppArmor profile '%s': this kernel has no AppArmor", profile);
  if (errno == ENOENT) return fault_say(fault, FAULT_INVALID, "apply the AppArmor profile '%s': it is not loaded", profile);
  return fault_invalid(fault, "apply the AppArmor profile '%s'", profile);
}

int app_armor_take(int proc, const char *profile, bool use_init, int *current, struct fault *fault) {
  *current = -1;
  if (strlen(profile) > PROFILE_BYTES_MAX)
    return fault_say(fault, FAULT_INVALID, "the name of the AppArmor profile '%.60s…' is too long", profile);
  int attribute = open_attribute(proc, use_init ? "current" : "exec", fault);
  if (attribute < 0) return -1;
  if (use_init) return *current = attribute, 0;
  int result = change(attribute, "exec", profile, fault);
  close(attribute);
  return result;
}

int app_armor_become(int current, const char *profile, struct fault *fault) {
  return current < 0 ? 0 : change(current, "changeprofile", profile, fault);
}
