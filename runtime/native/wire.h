// The frames that travel on the zygote's and the shims' sockets; PROTOCOL.md describes them.
// A frame is u32 length (of what follows), u8 type, payload. Numbers are little-endian.
// A string is u32 length, its bytes, and a NUL, which lets the reader use it in place.
#pragma once
#include "fault.h"
#include <stddef.h>
#include <stdint.h>

#define PROTOCOL_MIN 1
#define PROTOCOL_MAX 1
#define FRAME_HEADER 5
#define FRAME_BYTES_MAX (2u << 20)
#define CHUNK_BYTES 16384

enum frame_type {
  FRAME_HELLO = 1,
  // to the zygote
  FRAME_LAUNCH = 2,
  FRAME_UNPACK = 3,
  FRAME_STOP = 4,
  FRAME_FILES = 5,
  FRAME_REMOVE = 6,
  // to a shim
  FRAME_START = 10,
  FRAME_SIGNAL = 11,
  FRAME_RESIZE = 12,
  FRAME_ATTACH = 13,
  FRAME_EXEC = 14,
  FRAME_KILL = 15,
  FRAME_ACKNOWLEDGE = 16,
  FRAME_STDIN = 17,
  FRAME_STDIN_CLOSE = 18,
  // answers and events
  FRAME_OK = 64,
  FRAME_FAULT = 65,
  FRAME_STATUS = 66,
  FRAME_OUTPUT = 67,
  FRAME_END = 68,
  FRAME_EXITED = 69,
  FRAME_STARTED = 70,
  FRAME_FILE = 71,
  FRAME_DATA = 72,
};

struct reader {
  const uint8_t *at, *end;
  struct fault *fault; // set as soon as something does not fit; every later read then gives zero
};

uint8_t read_u8(struct reader *reader);
uint16_t read_u16(struct reader *reader);
uint32_t read_u32(struct reader *reader);
uint64_t read_u64(struct reader *reader);
const char *read_string(struct reader *reader);
// A count of items that take at least `bytes_each` in the frame; 0 on nonsense.
uint32_t read_count(struct reader *reader, uint32_t bytes_each);
// 0 if the frame was well formed and wholly consumed.
int read_finish(struct reader *reader);

struct writer {
  uint8_t *start;
  size_t length, capacity;
  int overflow;
};

void write_begin(struct writer *writer, uint8_t *buffer, size_t capacity, enum frame_type type);
void write_u8(struct writer *writer, uint8_t value);
void write_u32(struct writer *writer, uint32_t value);
void write_u64(struct writer *writer, uint64_t value);
void write_string(struct writer *writer, const char *text);
// Fills in the length; returns the frame's whole size, 0 if it did not fit.
size_t write_finish(struct writer *writer);

uint32_t load_u32(const uint8_t *bytes);
void store_u32(uint8_t *bytes, uint32_t value);

// Blocking helpers for the parts that have one peer and nothing else to do.
int read_fully(int fd, void *buffer, size_t length);
int write_fully(int fd, const void *buffer, size_t length);
