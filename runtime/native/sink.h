// Bytes on their way to a client, gathered into DATA frames.
#pragma once
#include "wire.h"

#define SINK_BYTES (64 * 1024)

struct sink {
  int connection;
  struct fault *fault;
  size_t length;
  uint8_t frame[FRAME_HEADER + SINK_BYTES];
};

void sink_open(struct sink *sink, int connection, struct fault *fault);
int sink_put(struct sink *sink, const void *bytes, size_t length);
int sink_flush(struct sink *sink);
