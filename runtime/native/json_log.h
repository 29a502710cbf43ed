// The container's log in Docker's json-file format, written by the shim itself, so that no daemon is needed for it.
#pragma once
#include "fault.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LOG_LINE_MAX 16384 // longer lines are split, as Docker does

struct log_stream {
  const char *name;
  size_t length;
  char line[LOG_LINE_MAX];
};
struct json_log {
  int fd; // -1: no log is kept
  char path[512];
  uint64_t bytes, bytes_max; // 0: never rotated
  uint32_t files_max;
  uint64_t lost; // lines that could not be written: the disk is full
  struct log_stream streams[2];
};

enum { LOG_STDOUT = 0, LOG_STDERR = 1 };

void json_log_none(struct json_log *log);
int json_log_open(struct json_log *log, const char *path, uint64_t bytes_max, uint32_t files_max, struct fault *fault);
void json_log_write(struct json_log *log, int stream, const char *bytes, size_t length);
// The process is gone: what has no newline yet is written without one.
void json_log_flush(struct json_log *log);
