// `shoal-native spread FOLDER…`: asks the file system to put the folders made in these far apart, as it does with those
// of /home. ext4 otherwise looks for every new inode in the same place, past all that were deleted there in the last
// minutes, one by one: with hundreds of containers coming and going that is most of a container's start.
#include "spread.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

// 0: done, or the file system has no such thing; -1: errno says why not.
static int spread(const char *folder) {
  int flags = 0, fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -1;
  int result = ioctl(fd, FS_IOC_GETFLAGS, &flags);
  if (result == 0 && !(flags & FS_TOPDIR_FL)) {
    flags |= FS_TOPDIR_FL;
    result = ioctl(fd, FS_IOC_SETFLAGS, &flags);
  }
  if (result < 0 && (errno == ENOTTY || errno == EOPNOTSUPP || errno == EINVAL)) result = 0;
  int error = errno;
  close(fd);
  errno = error;
  return result;
}

int spread_main(int argc, char **argv) {
  int failed = 0;
  for (int i = 1; i < argc; i++) {
    if (spread(argv[i]) == 0) continue;
    fprintf(stderr, "spreading folders in %s: %s\n", argv[i], strerror(errno));
    failed = 1;
  }
  return failed;
}
