// The pair is made by descriptors only: the master from a devpts that was verified, the slave from the master.
#include "terminal.h"
#include "syscalls.h"
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <termios.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

static int open_master(int devpts) {
  if (devpts >= 0) return openat(devpts, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  return sys_openat2(AT_FDCWD, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS_);
}

int terminal_resize(int master, uint16_t rows, uint16_t columns) {
  struct winsize size = {.ws_row = rows, .ws_col = columns};
  return ioctl(master, TIOCSWINSZ, &size);
}

int terminal_open(int devpts, uint16_t rows, uint16_t columns, struct terminal *terminal, struct fault *fault) {
  struct statfs file_system;
  int unlock = 0;
  terminal->master = open_master(devpts);
  if (terminal->master < 0) return fault_set(fault, "open a terminal");
  if (fstatfs(terminal->master, &file_system) < 0) return fault_set(fault, "look at the terminal");
  if (file_system.f_type != MAGIC_DEVPTS) return fault_say(fault, FAULT_INVALID, "/dev/pts is not a devpts file system");
  if (ioctl(terminal->master, TIOCSPTLCK, &unlock) < 0) return fault_set(fault, "unlock the terminal");
  terminal->slave = ioctl(terminal->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal->slave < 0) return fault_set(fault, "open the terminal's other end");
  if (rows != 0 || columns != 0) terminal_resize(terminal->master, rows, columns);
  return 0;
}
