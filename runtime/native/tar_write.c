// Numbers that an octal field holds are written there, others in a PAX record; so are names over 100 bytes.
#include "tar_write.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#define BLOCK 512
#define NAME_BYTES 100
#define OCTAL_7_MAX 07777777u        // seven digits and a NUL
#define OCTAL_11_MAX 077777777777ull // eleven

struct records {
  char *bytes;
  size_t length, capacity;
  bool overflow;
};

static void add_record(struct records *records, const char *key, const char *value, size_t length) {
  char head[32];
  size_t rest = strlen(key) + length + 3, total = rest + 1;
  // The length counts its own digits.
  while ((size_t)snprintf(head, sizeof head, "%zu", total) + rest != total) total++;
  if (records->capacity - records->length < total) {
    records->overflow = true;
    return;
  }
  char *at = records->bytes + records->length;
  at += sprintf(at, "%zu %s=", total, key);
  memcpy(at, value, length);
  at[length] = '\n';
  records->length += total;
}

static void add_number(struct records *records, const char *key, uint64_t value) {
  char text[24];
  add_record(records, key, text, (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)value));
}

static bool fits(const char *name) {
  if (strlen(name) > NAME_BYTES) return false;
  for (; *name != 0; name++)
    if ((unsigned char)*name < 0x20 || (unsigned char)*name > 0x7e) return false;
  return true;
}

static void add_records(struct records *records, const struct tar_item *item) {
  char key[300];
  if (!fits(item->name)) add_record(records, "path", item->name, strlen(item->name));
  if (!fits(item->target)) add_record(records, "linkpath", item->target, strlen(item->target));
  if (item->size > OCTAL_11_MAX) add_number(records, "size", item->size);
  if (item->status->st_uid > OCTAL_7_MAX) add_number(records, "uid", item->status->st_uid);
  if (item->status->st_gid > OCTAL_7_MAX) add_number(records, "gid", item->status->st_gid);
  for (uint32_t i = 0; i < item->xattr_count; i++) {
    snprintf(key, sizeof key, "SCHILY.xattr.%s", item->xattrs[i].name);
    add_record(records, key, item->xattrs[i].value, item->xattrs[i].length);
  }
}

static void octal(uint8_t *header, size_t at, int digits, uint64_t value, uint64_t max) {
  char text[32];
  snprintf(text, sizeof text, "%0*llo", digits, (unsigned long long)(value > max ? max : value));
  memcpy(header + at, text, (size_t)digits);
}

static int put_block(struct sink *sink, const struct tar_item *item) {
  uint8_t header[BLOCK] = {0};
  const struct stat *status = item->status;
  bool device = item->type == '3' || item->type == '4';
  memcpy(header, item->name, strnlen(item->name, NAME_BYTES));
  octal(header, 100, 7, status->st_mode & 07777, OCTAL_7_MAX);
  octal(header, 108, 7, status->st_uid, OCTAL_7_MAX);
  octal(header, 116, 7, status->st_gid, OCTAL_7_MAX);
  octal(header, 124, 11, item->size, OCTAL_11_MAX);
  octal(header, 136, 11, status->st_mtim.tv_sec > 0 ? (uint64_t)status->st_mtim.tv_sec : 0, OCTAL_11_MAX);
  memset(header + 148, ' ', 8);
  header[156] = (uint8_t)item->type;
  memcpy(header + 157, item->target, strnlen(item->target, NAME_BYTES));
  memcpy(header + 257, "ustar\00000", 8);
  octal(header, 329, 7, device ? major(status->st_rdev) : 0, OCTAL_7_MAX);
  octal(header, 337, 7, device ? minor(status->st_rdev) : 0, OCTAL_7_MAX);
  unsigned sum = 0;
  for (int i = 0; i < BLOCK; i++) sum += header[i];
  char text[16];
  snprintf(text, sizeof text, "%06o", sum);
  memcpy(header + 148, text, 7); // six digits and a NUL; the blank stays
  return sink_put(sink, header, sizeof header);
}

static int put_records(struct sink *sink, const struct records *records) {
  struct stat plain = {.st_mode = 0644};
  struct tar_item item = {.name = "PaxHeader", .target = "", .type = 'x', .status = &plain, .size = records->length};
  if (put_block(sink, &item) < 0 || sink_put(sink, records->bytes, records->length) < 0) return -1;
  return tar_put_padding(sink, records->length);
}

int tar_put_header(struct sink *sink, const struct tar_item *item) {
  static char bytes[TAR_EXTENSION_BYTES_MAX];
  struct records records = {.bytes = bytes, .capacity = sizeof bytes};
  add_records(&records, item);
  if (records.overflow) return fault_say(sink->fault, FAULT_INVALID, "the attributes of %.200s are too long", item->name);
  if (records.length > 0 && put_records(sink, &records) < 0) return -1;
  return put_block(sink, item);
}

int tar_put_padding(struct sink *sink, uint64_t size) {
  static const uint8_t zeros[BLOCK];
  return sink_put(sink, zeros, (size_t)(-size % BLOCK));
}

int tar_put_end(struct sink *sink) {
  static const uint8_t zeros[2 * BLOCK];
  return sink_put(sink, zeros, sizeof zeros);
}
