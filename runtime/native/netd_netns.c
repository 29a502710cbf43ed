// Network namespaces as files, and sysctls inside them.
#define _GNU_SOURCE
#include "netd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
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

// Detaching a mount waits for a grace period of the kernel, 10 ms and more: a thread of its own does it, so that no
// other work waits. It touches mounts and files only, never the network namespace of the process.
struct removal {
  struct removal *next;
  char path[NETD_TEXT_MAX];
};

static pthread_mutex_t removals_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t removals_changed = PTHREAD_COND_INITIALIZER;
static struct removal *removals, **removals_end = &removals;
static size_t removals_open; // asked for and not done
static int remover_runs;

// The kernel takes the links down with the namespace, in its own time, when its last process has left too.
static void remove_namespace(const char *path) {
  if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT) perror(path);
  if (unlink(path) < 0 && errno != ENOENT) perror(path);
}

static struct removal *next_removal(void) {
  pthread_mutex_lock(&removals_lock);
  while (!removals) pthread_cond_wait(&removals_changed, &removals_lock);
  struct removal *removal = removals;
  removals = removal->next;
  if (!removals) removals_end = &removals;
  pthread_mutex_unlock(&removals_lock);
  return removal;
}

static void *remover(void *unused) {
  (void)unused;
  for (;;) {
    struct removal *removal = next_removal();
    remove_namespace(removal->path);
    free(removal);
    pthread_mutex_lock(&removals_lock);
    removals_open--;
    pthread_cond_broadcast(&removals_changed);
    pthread_mutex_unlock(&removals_lock);
  }
  return NULL;
}

static int start_remover(void) {
  pthread_t thread;
  if (remover_runs) return 0;
  int error = pthread_create(&thread, NULL, remover, NULL);
  if (error == 0) {
    pthread_detach(thread);
    remover_runs = 1;
  }
  return error;
}

int netd_namespace_remove(struct netd_reader *in, struct netd_bytes *out) {
  struct removal *removal = calloc(1, sizeof *removal);
  if (!removal) return netd_fault(out, ENOMEM, "remove namespace");
  netd_read_text(in, removal->path, sizeof removal->path);
  int error = in->bad ? EINVAL : start_remover();
  if (error) {
    free(removal);
    return netd_fault(out, error, "remove namespace");
  }
  pthread_mutex_lock(&removals_lock);
  *removals_end = removal;
  removals_end = &removal->next;
  removals_open++;
  pthread_cond_broadcast(&removals_changed);
  pthread_mutex_unlock(&removals_lock);
  return 0;
}

int netd_namespace_settle(struct netd_reader *in, struct netd_bytes *out) {
  (void)in;
  (void)out;
  pthread_mutex_lock(&removals_lock);
  while (removals_open > 0) pthread_cond_wait(&removals_changed, &removals_lock);
  pthread_mutex_unlock(&removals_lock);
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
