// Reads headers and data from a descriptor that is read once, front to back.
#include "tar.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 512
#define BUFFER_BYTES (256 * 1024)

struct header {
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[8], uname[32],
      gname[32], major[8], minor[8], prefix[155], pad[12];
};

// What the extension headers before an entry say of it.
struct overrides {
  bool path, target, size, uid, gid, mtime;
};

int tar_open(struct tar_reader *reader, int fd, struct fault *fault) {
  *reader = (struct tar_reader){.fd = fd, .fault = fault};
  reader->buffer = malloc(BUFFER_BYTES);
  reader->extension = malloc(TAR_EXTENSION_BYTES_MAX + 1);
  if (reader->buffer == NULL || reader->extension == NULL) return fault_set(fault, "memory for the archive");
  return 0;
}

// Bytes that are there, reading more only when there are none. 0 at the end of the stream.
static int64_t fill(struct tar_reader *reader) {
  while (reader->from == reader->to) {
    ssize_t got = read(reader->fd, reader->buffer, BUFFER_BYTES);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fault_set(reader->fault, "read the archive");
    if (got == 0) return 0;
    reader->from = 0;
    reader->to = (size_t)got;
  }
  return (int64_t)(reader->to - reader->from);
}

// 1: all there, 0: the stream ended before the first byte, -1: a fault.
static int take(struct tar_reader *reader, void *to, size_t length) {
  for (size_t done = 0; done < length;) {
    int64_t there = fill(reader);
    if (there < 0) return -1;
    if (there == 0) return done == 0 ? 0 : fault_say(reader->fault, FAULT_INVALID, "the archive ends too early");
    size_t part = (size_t)there < length - done ? (size_t)there : length - done;
    if (to != NULL) memcpy((uint8_t *)to + done, reader->buffer + reader->from, part);
    reader->from += part;
    done += part;
  }
  return 1;
}

static int skip(struct tar_reader *reader, uint64_t length) {
  while (length > 0) {
    int64_t there = fill(reader);
    if (there < 0) return -1;
    if (there == 0) return fault_say(reader->fault, FAULT_INVALID, "the archive ends too early");
    uint64_t part = (uint64_t)there < length ? (uint64_t)there : length;
    reader->from += part;
    length -= part;
  }
  return 0;
}

int64_t tar_data(struct tar_reader *reader, const uint8_t **bytes) {
  if (reader->left == 0) return 0;
  int64_t there = fill(reader);
  if (there == 0) return fault_say(reader->fault, FAULT_INVALID, "the archive ends too early");
  if (there < 0) return -1;
  uint64_t part = (uint64_t)there < reader->left ? (uint64_t)there : reader->left;
  *bytes = reader->buffer + reader->from;
  reader->from += part;
  reader->left -= part;
  return (int64_t)part;
}

// Octal, padded by blanks or NULs; or, with the first bit set, base 256 in two's complement (GNU).
static int number(struct tar_reader *reader, const char *field, size_t length, int64_t *value) {
  const uint8_t *bytes = (const uint8_t *)field;
  if (bytes[0] & 0x80) {
    uint64_t wide = bytes[0] & 0x40 ? ~0ull : 0;
    for (size_t i = 0; i < length; i++) {
      uint8_t byte = i == 0 ? (bytes[0] & 0x40 ? bytes[0] : bytes[0] & 0x7f) : bytes[i];
      uint8_t lost = (uint8_t)(wide >> 56);
      if (i > 0 && lost != 0 && lost != 0xff) goto bad;
      wide = wide << 8 | byte;
    }
    *value = (int64_t)wide;
    return 0;
  }
  uint64_t octal = 0;
  size_t at = 0;
  while (at < length && bytes[at] == ' ') at++;
  for (; at < length && bytes[at] >= '0' && bytes[at] <= '7'; at++) octal = octal << 3 | (uint64_t)(bytes[at] - '0');
  while (at < length && (bytes[at] == ' ' || bytes[at] == 0)) at++;
  if (at < length && bytes[at] != 0) goto bad;
  *value = (int64_t)octal;
  return 0;
bad:
  return fault_say(reader->fault, FAULT_INVALID, "the archive has a malformed number");
}

static bool checksum_fits(const struct header *header, int64_t wanted) {
  const uint8_t *bytes = (const uint8_t *)header;
  int64_t unsigned_sum = 0, signed_sum = 0;
  for (size_t i = 0; i < sizeof *header; i++) {
    bool own = i >= offsetof(struct header, checksum) && i < offsetof(struct header, type);
    unsigned_sum += own ? ' ' : bytes[i];
    signed_sum += own ? ' ' : (int8_t)bytes[i];
  }
  return wanted == unsigned_sum || wanted == signed_sum;
}

static bool is_zero(const struct header *header) {
  const uint8_t *bytes = (const uint8_t *)header;
  for (size_t i = 0; i < sizeof *header; i++)
    if (bytes[i] != 0) return false;
  return true;
}

static int set_path(struct tar_reader *reader, char *to, const char *from, size_t length) {
  if (length >= TAR_PATH_MAX) return fault_say(reader->fault, FAULT_INVALID, "the archive has a name of %zu bytes", length);
  if (memchr(from, 0, length) != NULL) return fault_say(reader->fault, FAULT_INVALID, "the archive has a NUL in a name");
  memcpy(to, from, length);
  to[length] = 0;
  return 0;
}

static int decimal(struct tar_reader *reader, const char *text, int64_t max, int64_t *value) {
  char *end;
  errno = 0;
  *value = strtoll(text, &end, 10);
  if (errno != 0 || end == text || *end != 0 || *value < 0 || *value > max)
    return fault_say(reader->fault, FAULT_INVALID, "the archive has a malformed number '%.20s'", text);
  return 0;
}

// seconds[.fraction], possibly negative
static int set_time(struct tar_reader *reader, struct tar_entry *entry, const char *text) {
  char *end;
  errno = 0;
  entry->mtime_seconds = strtoll(text, &end, 10);
  entry->mtime_nanoseconds = 0;
  if (errno != 0 || end == text || (*end != 0 && *end != '.'))
    return fault_say(reader->fault, FAULT_INVALID, "the archive has a malformed time '%.30s'", text);
  int32_t scale = 100000000;
  if (*end == '.')
    for (const char *digit = end + 1; *digit >= '0' && *digit <= '9'; digit++, scale /= 10)
      entry->mtime_nanoseconds += (*digit - '0') * scale;
  if (text[0] == '-' && entry->mtime_nanoseconds > 0) {
    entry->mtime_seconds--;
    entry->mtime_nanoseconds = 1000000000 - entry->mtime_nanoseconds;
  }
  return 0;
}

static int apply_record(struct tar_reader *reader, struct tar_entry *entry, struct overrides *known, const char *key,
                        const char *value, size_t length) {
  int64_t parsed;
  if (strncmp(key, "SCHILY.xattr.", 13) == 0) {
    if (entry->xattr_count == TAR_XATTRS_MAX)
      return fault_say(reader->fault, FAULT_INVALID, "the archive has an entry with more than %d attributes", TAR_XATTRS_MAX);
    entry->xattrs[entry->xattr_count++] = (struct tar_xattr){key + 13, value, length};
    return 0;
  }
  if (strncmp(key, "GNU.sparse.", 11) == 0)
    return fault_say(reader->fault, FAULT_INVALID, "the archive has a sparse file, which is not supported");
  if (strcmp(key, "path") == 0) return known->path = true, set_path(reader, entry->path, value, length);
  if (strcmp(key, "linkpath") == 0) return known->target = true, set_path(reader, entry->target, value, length);
  if (strcmp(key, "mtime") == 0) return known->mtime = true, set_time(reader, entry, value);
  if (strcmp(key, "size") == 0) {
    known->size = true;
    if (decimal(reader, value, INT64_MAX, &parsed) < 0) return -1;
    entry->size = (uint64_t)parsed;
  } else if (strcmp(key, "uid") == 0) {
    known->uid = true;
    if (decimal(reader, value, UINT32_MAX - 1, &parsed) < 0) return -1;
    entry->uid = (uint32_t)parsed;
  } else if (strcmp(key, "gid") == 0) {
    known->gid = true;
    if (decimal(reader, value, UINT32_MAX - 1, &parsed) < 0) return -1;
    entry->gid = (uint32_t)parsed;
  }
  return 0;
}

// Records are "LENGTH KEY=VALUE\n", where LENGTH counts all of it. They are cut up in place.
static int apply_records(struct tar_reader *reader, struct tar_entry *entry, struct overrides *known) {
  char *at = reader->extension, *end = at + reader->extension_length;
  while (at < end) {
    char *text;
    unsigned long length = strtoul(at, &text, 10);
    char *equals = *text == ' ' ? memchr(text, '=', (size_t)(end - text)) : NULL;
    if (equals == NULL || length > (unsigned long)(end - at) || at + length <= equals + 1 || at[length - 1] != '\n')
      return fault_say(reader->fault, FAULT_INVALID, "the archive has a malformed extension header");
    at += length;
    at[-1] = 0;
    *equals = 0;
    if (apply_record(reader, entry, known, text + 1, equals + 1, (size_t)(at - 1 - (equals + 1))) < 0) return -1;
  }
  return 0;
}

static int read_extension(struct tar_reader *reader, uint64_t size) {
  if (size > TAR_EXTENSION_BYTES_MAX)
    return fault_say(reader->fault, FAULT_INVALID, "the archive has an extension header of %llu bytes",
                     (unsigned long long)size);
  if (size > 0 && take(reader, reader->extension, (size_t)size) != 1)
    return fault_say(reader->fault, FAULT_INVALID, "the archive ends too early");
  reader->extension[size] = 0;
  reader->extension_length = (size_t)size;
  return skip(reader, -size % BLOCK);
}

static int type_of(struct tar_reader *reader, const struct header *header, struct tar_entry *entry) {
  size_t length = strlen(entry->path);
  switch (header->type) {
  case '0': case 0: case '7':
    entry->type = length > 0 && entry->path[length - 1] == '/' ? TAR_DIRECTORY : TAR_FILE;
    return 0;
  case '1': entry->type = TAR_LINK; return 0;
  case '2': entry->type = TAR_SYMLINK; return 0;
  case '3': entry->type = TAR_CHARACTER; return 0;
  case '4': entry->type = TAR_BLOCK; return 0;
  case '5': entry->type = TAR_DIRECTORY; return 0;
  case '6': entry->type = TAR_FIFO; return 0;
  default:
    return fault_say(reader->fault, FAULT_INVALID, "the archive has an entry of unknown type '%c' (%.100s)",
                     header->type, entry->path);
  }
}

static int plain_path(struct tar_reader *reader, const struct header *header, struct tar_entry *entry) {
  char whole[sizeof header->prefix + sizeof header->name + 2];
  size_t name = strnlen(header->name, sizeof header->name), prefix = 0;
  if (memcmp(header->magic, "ustar\0", 6) == 0) prefix = strnlen(header->prefix, sizeof header->prefix);
  memcpy(whole, header->prefix, prefix);
  if (prefix > 0) whole[prefix++] = '/';
  memcpy(whole + prefix, header->name, name);
  return set_path(reader, entry->path, whole, prefix + name);
}

static int plain_fields(struct tar_reader *reader, const struct header *header, struct tar_entry *entry,
                        const struct overrides *known) {
  int64_t mode, uid, gid, size, mtime, major = 0, minor = 0;
  if (number(reader, header->mode, 8, &mode) < 0 || number(reader, header->uid, 8, &uid) < 0 ||
      number(reader, header->gid, 8, &gid) < 0 || number(reader, header->size, 12, &size) < 0 ||
      number(reader, header->mtime, 12, &mtime) < 0)
    return -1;
  bool device = header->type == '3' || header->type == '4';
  if (device && (number(reader, header->major, 8, &major) < 0 || number(reader, header->minor, 8, &minor) < 0)) return -1;
  if (size < 0 || uid < 0 || uid > UINT32_MAX - 1 || gid < 0 || gid > UINT32_MAX - 1 || major < 0 || minor < 0)
    return fault_say(reader->fault, FAULT_INVALID, "the archive has a number out of range");
  entry->mode = (uint32_t)mode & 07777;
  entry->major = (uint32_t)major;
  entry->minor = (uint32_t)minor;
  if (!known->uid) entry->uid = (uint32_t)uid;
  if (!known->gid) entry->gid = (uint32_t)gid;
  if (!known->size) entry->size = (uint64_t)size;
  if (!known->mtime) entry->mtime_seconds = mtime;
  if (!known->path && plain_path(reader, header, entry) < 0) return -1;
  if (!known->target && set_path(reader, entry->target, header->link, strnlen(header->link, sizeof header->link)) < 0)
    return -1;
  return type_of(reader, header, entry);
}

// A whole header block. 1: read, 0: the archive is over, -1: a fault.
static int read_header(struct tar_reader *reader, struct header *header) {
  int64_t checksum;
  int got = take(reader, header, sizeof *header);
  if (got <= 0) return got;
  if (is_zero(header)) return 0;
  if (number(reader, header->checksum, 8, &checksum) < 0) return -1;
  if (!checksum_fits(header, checksum))
    return fault_say(reader->fault, FAULT_INVALID, "this is not a tar archive, or it is damaged: a header's checksum is wrong");
  return 1;
}

// The sender must not be cut off: what stands behind the end is read and dropped.
static int finish(struct tar_reader *reader) {
  for (int64_t there; (there = fill(reader)) != 0; reader->from = reader->to)
    if (there < 0) return -1;
  return 0;
}

static int extend(struct tar_reader *reader, const struct header *header, struct tar_entry *entry,
                  struct overrides *known) {
  int64_t size;
  if (number(reader, header->size, 12, &size) < 0 || read_extension(reader, (uint64_t)size) < 0) return -1;
  size_t text = strnlen(reader->extension, reader->extension_length);
  switch (header->type) {
  case 'x': return apply_records(reader, entry, known);
  case 'L': return known->path = true, set_path(reader, entry->path, reader->extension, text);
  case 'K': return known->target = true, set_path(reader, entry->target, reader->extension, text);
  default: return 0; // global headers say nothing that concerns a file
  }
}

int tar_next(struct tar_reader *reader, struct tar_entry *entry) {
  struct header header;
  struct overrides known = {0};
  if (skip(reader, reader->left) < 0 || skip(reader, reader->padding) < 0) return -1;
  reader->left = reader->padding = 0;
  entry->xattr_count = 0;
  entry->mtime_nanoseconds = 0;
  for (;;) {
    int got = read_header(reader, &header);
    if (got < 0) return -1;
    if (got == 0) return finish(reader);
    if (header.type == 0 || strchr("xgLK", header.type) == NULL) break;
    if (extend(reader, &header, entry, &known) < 0) return -1;
  }
  if (plain_fields(reader, &header, entry, &known) < 0) return -1;
  bool has_data = entry->type == TAR_FILE;
  if (!has_data && entry->type != TAR_DIRECTORY && entry->type != TAR_LINK) entry->size = 0;
  reader->left = entry->size;
  reader->padding = (uint32_t)(-entry->size % BLOCK);
  return 1;
}
