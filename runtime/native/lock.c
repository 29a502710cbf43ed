/* `shoal-native lock FILE PID`: holds an exclusive lock on FILE for the process PID, whose pipe is standard input, and
 * ends when that does. Prints "locked", or, when somebody else holds it, what they wrote into it (their pid). */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lock.h"

static int fail(const char *step) {
  perror(step);
  return 1;
}

int lock_main(int argc, char **argv) {
  char text[64], ignored[256];
  if (argc != 3) {
    fprintf(stderr, "usage: shoal-native lock FILE PID\n");
    return 2;
  }
  int fd = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return fail("opening the lock file");
  if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    text[got > 0 ? got : 0] = 0;
    printf("%s", text);
    return 3;
  }
  int length = snprintf(text, sizeof text, "%s\n", argv[2]);
  if (ftruncate(fd, 0) < 0 || pwrite(fd, text, length, 0) != length) return fail("writing the lock file");
  printf("locked\n");
  fflush(stdout);
  close(STDOUT_FILENO);
  while (read(STDIN_FILENO, ignored, sizeof ignored) > 0) continue;
  return 0;
}
