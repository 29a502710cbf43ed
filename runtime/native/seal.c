// The program goes on from a copy of itself in memory that nobody can write to.
#include "seal.h"
#include "syscalls.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define SEALED "SHOAL_NATIVE_SEALED"

static int copy_self(void) {
  struct stat status;
  int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  int copy = (int)syscall(SYS_memfd_create, "shoal-native", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (self < 0 || copy < 0 || fstat(self, &status) < 0) return -1;
  off_t at = 0;
  while (at < status.st_size)
    if (sendfile(copy, self, &at, (size_t)(status.st_size - at)) <= 0) return -1;
  close(self);
  if (fchmod(copy, 0500) < 0) return -1;
  if (fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) return -1;
  return copy;
}

int seal(char **argv) {
  if (getenv(SEALED) != NULL) return unsetenv(SEALED);
  int copy = copy_self();
  if (copy < 0) return -1;
  char *env[] = {SEALED "=1", NULL};
  return (int)syscall(SYS_execveat, copy, "", argv, env, AT_EMPTY_PATH);
}
