// The table of system call numbers.
#pragma once

enum table_column { TABLE_X86_64, TABLE_X86, TABLE_AARCH64, TABLE_ARM, TABLE_COLUMNS };

struct syscall_row {
  const char *name;
  int number[TABLE_COLUMNS];
};

extern const struct syscall_row SYSCALLS[]; // sorted by name
extern const unsigned SYSCALL_COUNT;
