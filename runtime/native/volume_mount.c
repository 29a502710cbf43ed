// `shoal-native volume mount FLAGS` mounts a volume's file system on its folder, `shoal-native volume unmount TARGET` takes
// it away. What to mount comes by standard input, as four strings that each end in a zero byte (device, target, type, data):
// the data can hold a password, and arguments can be read by everybody. Says on standard output what failed, in the words
// that Docker's clients know: "mount DEVICE:TARGET, flags: 0x1000, data: D: no such file or directory".
#include "volume_mount.h"
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define PROPAGATION (MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE)

struct plan {
  const char *device, *target, *type, *data;
};

// 0, or -1 when the input is not four strings of this length at most.
static int read_plan(char *buffer, size_t capacity, struct plan *plan) {
  const char **fields[] = {&plan->device, &plan->target, &plan->type, &plan->data};
  size_t length = 0, at = 0;
  for (ssize_t got; length < capacity && (got = read(STDIN_FILENO, buffer + length, capacity - length)) != 0;) {
    if (got < 0 && errno != EINTR) return -1;
    if (got > 0) length += (size_t)got;
  }
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    const char *end = at < length ? memchr(buffer + at, 0, length - at) : NULL;
    if (end == NULL) return -1;
    *fields[i] = buffer + at;
    at = (size_t)(end - buffer) + 1;
  }
  return at == length ? 0 : -1;
}

static int say(const char *step, const struct plan *plan, unsigned long flags) {
  const char *reason = strerror(errno);
  printf("%s ", step);
  if (strcmp(step, "mount") == 0 && plan->device[0] != 0) printf("%s:", plan->device);
  printf("%s", plan->target);
  if (flags != 0) printf(", flags: 0x%lx", flags);
  if (strcmp(step, "mount") == 0 && plan->data[0] != 0) printf(", data: %s", plan->data);
  printf(": %c%s", tolower((unsigned char)reason[0]), reason + 1);
  return 1;
}

// What a mount call leaves out takes calls of its own: how a mount propagates, and that a bind can only be read.
static int finish(const struct plan *plan, unsigned long flags) {
  unsigned long propagation = flags & (PROPAGATION | MS_REC | MS_SILENT), own = flags & ~(unsigned long)PROPAGATION;
  if ((flags & PROPAGATION) != 0 && mount("", plan->target, "", propagation, "") < 0)
    return say("remount", plan, propagation);
  bool only_read = (own & (MS_BIND | MS_RDONLY)) == (MS_BIND | MS_RDONLY);
  if (only_read && mount("", plan->target, "", own | MS_REMOUNT, "") < 0) return say("remount-ro", plan, own | MS_REMOUNT);
  return 0;
}

static int mount_volume(const struct plan *plan, unsigned long flags) {
  unsigned long own = flags & ~(unsigned long)PROPAGATION;
  if (mount(plan->device, plan->target, plan->type, own, plan->data) < 0) return say("mount", plan, own);
  int result = finish(plan, flags);
  if (result != 0) umount2(plan->target, MNT_DETACH | UMOUNT_NOFOLLOW);
  return result;
}

// Who still has a file open there keeps it; nobody finds it any more.
static int unmount_volume(const char *target) {
  if (umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || errno == ENOENT) return 0;
  struct plan plan = {.device = "", .target = target, .type = "", .data = ""};
  return say("unmount", &plan, 0);
}

int volume_main(int argc, char **argv) {
  static char buffer[64 * 1024];
  struct plan plan;
  if (argc == 3 && strcmp(argv[1], "unmount") == 0) return unmount_volume(argv[2]);
  if (argc == 3 && strcmp(argv[1], "mount") == 0 && read_plan(buffer, sizeof buffer, &plan) == 0)
    return mount_volume(&plan, strtoul(argv[2], NULL, 10));
  fprintf(stderr, "usage: shoal-native volume mount FLAGS < DEVICE TARGET TYPE DATA, or volume unmount TARGET\n");
  return 2;
}
