// Network namespaces as files, and sysctls inside them.
#include "netd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

static int home_fd = -1;

int netd_home_open(void) {
  home_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  return home_fd;
}

int netd_home_fd(void) { return home_fd; }

void netd_come_home(void) {
  if (setns(home_fd, CLONE_NEWNET) == 0) return;
  perror("netd: can not return to its own network namespace");
  abort(); // to go on would change the wrong namespace
}

int netd_enter(const char *path) {
  if (path[0] == 0) return 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  int result = setns(fd, CLONE_NEWNET);
  int error = errno;
  close(fd);
  errno = error;
  return result;
}

static int touch(const char *path) {
  int fd = open(path, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0400);
  if (fd >= 0) close(fd);
  return fd;
}

static int make_namespace_at(const char *path) {
  if (unshare(CLONE_NEWNET) < 0) return -1;
  int result = mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL);
  int error = errno;
  netd_come_home();
  errno = error;
  return result;
}

int netd_namespace_create(struct netd_reader *in, struct netd_bytes *out) {
  char path[NETD_TEXT_MAX];
  netd_read_text(in, path, sizeof path);
  if (in->bad) return netd_fault(out, EINVAL, "create namespace");
  if (touch(path) < 0) return netd_fault(out, errno, path);
  if (make_namespace_at(path) == 0) return 0;
  int error = errno;
  unlink(path);
  return netd_fault(out, error, "create network namespace");
}

// The kernel takes the links down with the namespace, in its own time, when its last process has left too. Detaching
// the mount waits for a grace period, 10 ms and more: a step to be done aside.
int netd_namespace_remove(struct netd_reader *in, struct netd_bytes *out) {
  char path[NETD_TEXT_MAX];
  netd_read_text(in, path, sizeof path);
  if (in->bad) return netd_fault(out, EINVAL, "remove namespace");
  netd_sockets_forget(path);
  if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
    return netd_fault(out, errno, path);
  if (unlink(path) < 0 && errno != ENOENT) return netd_fault(out, errno, path);
  return 0;
}

// Result: the descriptor's number.
int netd_namespace_hold(struct netd_reader *in, struct netd_bytes *out) {
  char path[NETD_TEXT_MAX];
  netd_read_text(in, path, sizeof path);
  if (in->bad) return netd_fault(out, EINVAL, "hold namespace");
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return netd_fault(out, errno, path);
  netd_bytes_u32(out, (uint32_t)fd);
  return 0;
}

// Only what is a namespace of its own: a wrong number must not close a pipe or a held port.
int netd_namespace_drop(struct netd_reader *in, struct netd_bytes *out) {
  struct statfs what;
  int fd = (int)netd_read_u32(in);
  if (in->bad || fd == home_fd || fstatfs(fd, &what) < 0 || what.f_type != NSFS_MAGIC)
    return netd_fault(out, EINVAL, "drop namespace");
  close(fd);
  return 0;
}

// Opens /proc/sys/net/NAME of the namespace we are in; a name can not climb out.
static int open_sysctl(const char *name, int flags) {
  char path[NETD_TEXT_MAX * 2];
  if (strstr(name, "..")) {
    errno = EINVAL;
    return -1;
  }
  snprintf(path, sizeof path, "/proc/sys/net/%s", name);
  return open(path, flags | O_CLOEXEC);
}

int netd_sysctl_read(struct netd_reader *in, struct netd_bytes *out) {
  char where[NETD_TEXT_MAX], name[NETD_TEXT_MAX], value[NETD_TEXT_MAX];
  netd_read_text(in, where, sizeof where);
  netd_read_text(in, name, sizeof name);
  if (in->bad) return netd_fault(out, EINVAL, "read sysctl");
  if (netd_enter(where) < 0) return netd_fault(out, errno, where);
  int fd = open_sysctl(name, O_RDONLY);
  ssize_t got = fd < 0 ? -1 : read(fd, value, sizeof value);
  int error = errno;
  if (fd >= 0) close(fd);
  netd_come_home();
  if (got < 0) return netd_fault(out, error, name);
  netd_bytes_add(out, value, (size_t)got);
  return 0;
}

int netd_sysctl_write(struct netd_reader *in, struct netd_bytes *out) {
  char where[NETD_TEXT_MAX], name[NETD_TEXT_MAX], value[NETD_TEXT_MAX];
  netd_read_text(in, where, sizeof where);
  netd_read_text(in, name, sizeof name);
  netd_read_text(in, value, sizeof value);
  if (in->bad) return netd_fault(out, EINVAL, "write sysctl");
  if (netd_enter(where) < 0) return netd_fault(out, errno, where);
  int fd = open_sysctl(name, O_WRONLY);
  ssize_t done = fd < 0 ? -1 : write(fd, value, strlen(value));
  int error = errno;
  if (fd >= 0) close(fd);
  netd_come_home();
  return done < 0 ? netd_fault(out, error, name) : 0;
}

// The values of the file's second line stand in the order of the names in its first, which only grows at its end.
static unsigned long long packets4(void) {
  unsigned long long in = 0, out = 0;
  FILE *file = fopen("/proc/self/net/snmp", "re");
  if (!file) return 1;
  int found = fscanf(file, "Ip: %*[^\n] Ip: %*u %*u %llu %*u %*u %*u %*u %*u %*u %llu", &in, &out);
  fclose(file);
  return found == 2 ? in + out : 1;
}

// No such file: a kernel without IPv6.
static unsigned long long packets6(void) {
  unsigned long long sum = 0, value;
  char name[64];
  FILE *file = fopen("/proc/self/net/snmp6", "re");
  if (!file) return errno == ENOENT ? 0 : 1;
  while (fscanf(file, "%63s %llu", name, &value) == 2)
    if (strcmp(name, "Ip6InReceives") == 0 || strcmp(name, "Ip6OutRequests") == 0) sum += value;
  fclose(file);
  return sum;
}

int netd_packets(struct netd_reader *in, struct netd_bytes *out) {
  char where[NETD_TEXT_MAX], text[32];
  netd_read_text(in, where, sizeof where);
  if (in->bad) return netd_fault(out, EINVAL, "count packets");
  if (netd_enter(where) < 0) return netd_fault(out, errno, where);
  int length = snprintf(text, sizeof text, "%llu", packets4() + packets6());
  netd_come_home();
  netd_bytes_add(out, text, (size_t)length);
  return 0;
}
