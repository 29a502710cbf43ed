// Writes tar entries: ustar headers, and a PAX header before an entry whose fields do not fit into one.
#pragma once
#include "sink.h"
#include "tar.h"
#include <sys/stat.h>

struct tar_item {
  const char *name; // a folder's ends in '/'
  const char *target;
  char type; // as in the header: '0' file, '1' hard link, '2' symbolic link, '3' '4' devices, '5' folder, '6' fifo
  const struct stat *status;
  uint64_t size; // of the content that follows
  uint32_t xattr_count;
  const struct tar_xattr *xattrs;
};

int tar_put_header(struct sink *sink, const struct tar_item *item);
// Zeroes after `size` bytes of content.
int tar_put_padding(struct sink *sink, uint64_t size);
int tar_put_end(struct sink *sink);
