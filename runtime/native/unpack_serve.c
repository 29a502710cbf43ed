// The two ways to the unpacker: a request to the zygote, and the command line.
#include "unpack.h"
#include "wire.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// The answer must not be lost to a reset: what the sender has under way is read until it closes.
static void drain(int connection) {
  char bytes[4096];
  while (read(connection, bytes, sizeof bytes) > 0) continue;
}

void unpack_report(int connection, uint32_t request, const struct fault *fault) {
  uint8_t frame[1024];
  struct writer writer;
  bool failed = fault->kind != FAULT_NONE;
  write_begin(&writer, frame, sizeof frame, failed ? FRAME_FAULT : FRAME_OK);
  write_u32(&writer, request);
  if (failed) {
    write_u32(&writer, fault->kind);
    write_u32(&writer, (uint32_t)fault->error);
    write_string(&writer, fault->text);
  }
  write_fully(connection, frame, write_finish(&writer));
  drain(connection);
}

void unpack_serve(int connection, const uint8_t *frame, size_t length) {
  struct fault fault = {0};
  struct reader reader = {frame + FRAME_HEADER, frame + length, &fault};
  uint32_t request = read_u32(&reader);
  const char *directory = read_string(&reader);
  bool layer = read_u8(&reader) == 1;
  if (read_finish(&reader) == 0) unpack(connection, directory, layer, &fault);
  unpack_report(connection, request, &fault);
  _exit(0);
}

// unpack DIRECTORY [layer]: the archive comes on standard input.
int unpack_main(int argc, char **argv) {
  struct fault fault = {0};
  if (argc < 3) return fprintf(stderr, "usage: shoal-native unpack DIRECTORY [layer]\n"), 2;
  if (unpack(0, argv[2], argc > 3 && strcmp(argv[3], "layer") == 0, &fault) == 0) return 0;
  fprintf(stderr, "%s\n", fault.text);
  return 1;
}
