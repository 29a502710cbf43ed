// Encoding and strict decoding of frames. Every read is bounded by the frame it came in.
#include "wire.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

static const uint8_t *take(struct reader *reader, size_t length) {
  static const uint8_t zeros[8];
  if ((size_t)(reader->end - reader->at) < length) {
    fault_say(reader->fault, FAULT_INVALID, "the frame ends too early");
    reader->at = reader->end;
    return length <= sizeof zeros ? zeros : NULL;
  }
  const uint8_t *bytes = reader->at;
  reader->at += length;
  return bytes;
}

static uint64_t number(struct reader *reader, unsigned bytes) {
  const uint8_t *at = take(reader, bytes);
  uint64_t value = 0;
  for (unsigned i = 0; i < bytes; i++) value |= (uint64_t)at[i] << (8 * i);
  return value;
}

uint8_t read_u8(struct reader *reader) { return (uint8_t)number(reader, 1); }
uint16_t read_u16(struct reader *reader) { return (uint16_t)number(reader, 2); }
uint32_t read_u32(struct reader *reader) { return (uint32_t)number(reader, 4); }
uint64_t read_u64(struct reader *reader) { return number(reader, 8); }

const char *read_string(struct reader *reader) {
  uint32_t length = read_u32(reader);
  if ((size_t)(reader->end - reader->at) <= length) {
    fault_say(reader->fault, FAULT_INVALID, "the frame ends inside a string");
    reader->at = reader->end;
    return "";
  }
  const char *text = (const char *)take(reader, (size_t)length + 1);
  if (text[length] != 0 || memchr(text, 0, length) != NULL) {
    fault_say(reader->fault, FAULT_INVALID, "a string of the frame holds a NUL");
    return "";
  }
  return text;
}

uint32_t read_count(struct reader *reader, uint32_t bytes_each) {
  uint32_t count = read_u32(reader);
  if (count <= (size_t)(reader->end - reader->at) / bytes_each) return count;
  fault_say(reader->fault, FAULT_INVALID, "a list of the frame is longer than the frame");
  reader->at = reader->end;
  return 0;
}

int read_finish(struct reader *reader) {
  if (reader->fault->kind != FAULT_NONE) return -1;
  if (reader->at != reader->end) return fault_say(reader->fault, FAULT_INVALID, "the frame has bytes left over");
  return 0;
}

static void put(struct writer *writer, const void *bytes, size_t length) {
  if (writer->capacity - writer->length < length) {
    writer->overflow = 1;
    return;
  }
  memcpy(writer->start + writer->length, bytes, length);
  writer->length += length;
}

void write_begin(struct writer *writer, uint8_t *buffer, size_t capacity, enum frame_type type) {
  *writer = (struct writer){.start = buffer, .length = 4, .capacity = capacity, .overflow = 0};
  write_u8(writer, (uint8_t)type);
}

static void put_number(struct writer *writer, uint64_t value, unsigned bytes) {
  uint8_t out[8];
  for (unsigned i = 0; i < bytes; i++) out[i] = (uint8_t)(value >> (8 * i));
  put(writer, out, bytes);
}

void write_u8(struct writer *writer, uint8_t value) { put_number(writer, value, 1); }
void write_u32(struct writer *writer, uint32_t value) { put_number(writer, value, 4); }
void write_u64(struct writer *writer, uint64_t value) { put_number(writer, value, 8); }

void write_string(struct writer *writer, const char *text) {
  size_t length = strlen(text);
  write_u32(writer, (uint32_t)length);
  put(writer, text, length + 1);
}

size_t write_finish(struct writer *writer) {
  if (writer->overflow) return 0;
  store_u32(writer->start, (uint32_t)(writer->length - 4));
  return writer->length;
}

uint32_t load_u32(const uint8_t *bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

void store_u32(uint8_t *bytes, uint32_t value) {
  for (unsigned i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> (8 * i));
}

int read_fully(int fd, void *buffer, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t got = read(fd, (uint8_t *)buffer + done, length - done);
    if (got > 0) done += (size_t)got;
    else if (got == 0) return errno = EPIPE, -1;
    else if (errno != EINTR) return -1;
  }
  return 0;
}

int write_fully(int fd, const void *buffer, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t put = write(fd, (const uint8_t *)buffer + done, length - done);
    if (put >= 0) done += (size_t)put;
    else if (errno != EINTR) return -1;
  }
  return 0;
}
