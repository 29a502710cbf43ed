// A reader of tar streams: ustar, PAX and GNU headers, strictly bounded.
#pragma once
#include "fault.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAR_PATH_MAX 4096
#define TAR_XATTRS_MAX 64
#define TAR_EXTENSION_BYTES_MAX (1u << 20) // one PAX or long-name header

enum tar_type { TAR_FILE, TAR_LINK, TAR_SYMLINK, TAR_CHARACTER, TAR_BLOCK, TAR_DIRECTORY, TAR_FIFO };

struct tar_xattr {
  const char *name;
  const char *value;
  size_t length;
};
struct tar_entry {
  enum tar_type type;
  char path[TAR_PATH_MAX], target[TAR_PATH_MAX];
  uint32_t mode, uid, gid, major, minor;
  uint64_t size;
  int64_t mtime_seconds;
  int32_t mtime_nanoseconds;
  uint32_t xattr_count;
  struct tar_xattr xattrs[TAR_XATTRS_MAX]; // into the reader's own memory, good until the next entry
};

struct tar_reader {
  int fd;
  struct fault *fault;
  uint64_t left;    // of the current entry's data
  uint32_t padding; // behind it
  uint8_t *buffer;
  size_t from, to;
  char *extension; // the current entry's PAX records
  size_t extension_length;
};

int tar_open(struct tar_reader *reader, int fd, struct fault *fault);
// 1: an entry, 0: the end, -1: a fault. Skips what is left of the entry before.
int tar_next(struct tar_reader *reader, struct tar_entry *entry);
// Some of the entry's data in place; 0 at its end, -1: a fault.
int64_t tar_data(struct tar_reader *reader, const uint8_t **bytes);
