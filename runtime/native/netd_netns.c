// Network namespaces as files, and sysctls inside them.
#include "netd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

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

// Detaching a mount waits for a grace period of the kernel, 10 ms and more: a process of its own does it, so that no
// other work waits. Paths go to it one to a message; for each it has done, one byte comes back.
static int remover_fd = -1;
static size_t removals_open; // asked for and not done

// The kernel takes the links down with the namespace, in its own time, when its last process has left too.
static void remove_namespace(const char *path) {
  if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT) perror(path);
  if (unlink(path) < 0 && errno != ENOENT) perror(path);
}

// What we inherit must end with netd: the daemon's pipe, and above all the sockets that hold ports.
static void keep_only(int fd) {
  int limit = (int)sysconf(_SC_OPEN_MAX);
  close(0);
  close(1);
  if (fd > 3 && syscall(SYS_close_range, 3, fd - 1, 0) < 0)
    for (int other = 3; other < fd; other++) close(other);
  if (syscall(SYS_close_range, fd + 1, ~0u, 0) < 0)
    for (int other = fd + 1; other < limit; other++) close(other);
}

static void run_remover(int fd) {
  char path[NETD_TEXT_MAX + 1];
  prctl(PR_SET_NAME, "shoal-netd-rm");
  keep_only(fd);
  for (;;) {
    ssize_t got = recv(fd, path, NETD_TEXT_MAX, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) _exit(0);
    path[got] = 0;
    remove_namespace(path);
    if (send(fd, "", 1, MSG_NOSIGNAL) < 0) _exit(0);
  }
}

static int start_remover(void) {
  int ends[2];
  if (remover_fd >= 0) return 0;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return -1;
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    run_remover(ends[1]);
  }
  int error = errno;
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    errno = error;
    return -1;
  }
  remover_fd = ends[0];
  return 0;
}

// Counts what is done; with `flags` 0 waits until all is.
static int count_removals(int flags) {
  char done;
  while (removals_open > 0) {
    ssize_t got = recv(remover_fd, &done, 1, flags);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return 0;
    if (got <= 0) {
      close(remover_fd); // it died: the next removal starts another
      remover_fd = -1;
      removals_open = 0;
      errno = ECONNRESET;
      return -1;
    }
    removals_open--;
  }
  return 0;
}

int netd_namespace_remove(struct netd_reader *in, struct netd_bytes *out) {
  char path[NETD_TEXT_MAX];
  netd_read_text(in, path, sizeof path);
  if (in->bad || path[0] == 0) return netd_fault(out, EINVAL, "remove namespace");
  if (remover_fd >= 0) count_removals(MSG_DONTWAIT);
  if (start_remover() < 0) return netd_fault(out, errno, "start the remover");
  if (send(remover_fd, path, strlen(path), MSG_NOSIGNAL) < 0) return netd_fault(out, errno, "remove namespace");
  removals_open++;
  return 0;
}

int netd_namespace_settle(struct netd_reader *in, struct netd_bytes *out) {
  (void)in;
  return count_removals(0) < 0 ? netd_fault(out, errno, "wait for the remover") : 0;
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
