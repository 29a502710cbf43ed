#include "sink.h"
#include <string.h>

void sink_open(struct sink *sink, int connection, struct fault *fault) {
  sink->connection = connection;
  sink->fault = fault;
  sink->length = 0;
}

int sink_flush(struct sink *sink) {
  if (sink->length == 0) return 0;
  store_u32(sink->frame, (uint32_t)(sink->length + 1));
  sink->frame[4] = FRAME_DATA;
  int result = write_fully(sink->connection, sink->frame, FRAME_HEADER + sink->length);
  sink->length = 0;
  return result < 0 ? fault_set(sink->fault, "send to the daemon") : 0;
}

int sink_put(struct sink *sink, const void *bytes, size_t length) {
  for (const uint8_t *at = bytes; length > 0;) {
    size_t room = SINK_BYTES - sink->length, part = length < room ? length : room;
    memcpy(sink->frame + FRAME_HEADER + sink->length, at, part);
    sink->length += part;
    at += part;
    length -= part;
    if (sink->length == SINK_BYTES && sink_flush(sink) < 0) return -1;
  }
  return 0;
}
