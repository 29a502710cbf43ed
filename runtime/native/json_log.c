// One object per line: {"log":"text\n","stream":"stdout","time":"2026-01-02T03:04:05.678901234Z"}.
// A piece without newline at the end of "log" goes on in the stream's next object.
#include "json_log.h"
#include "wire.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OUT_BYTES (64 * 1024)
#define ENTRY_BYTES_MAX (LOG_LINE_MAX * 6 + 128) // every byte as \u00XX

static char out[OUT_BYTES + ENTRY_BYTES_MAX];
static size_t out_length;
static uint64_t out_lines;

void json_log_none(struct json_log *log) {
  log->fd = -1;
  log->streams[LOG_STDOUT].name = "stdout";
  log->streams[LOG_STDERR].name = "stderr";
}

static int open_file(struct json_log *log, int flags) {
  log->fd = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | flags, 0640);
  off_t end = log->fd < 0 ? 0 : lseek(log->fd, 0, SEEK_END);
  log->bytes = end > 0 ? (uint64_t)end : 0;
  return log->fd;
}

int json_log_open(struct json_log *log, const char *path, uint64_t bytes_max, uint32_t files_max, struct fault *fault) {
  if (snprintf(log->path, sizeof log->path, "%s", path) >= (int)sizeof log->path)
    return fault_say(fault, FAULT_INVALID, "the log path is too long");
  log->bytes_max = bytes_max;
  log->files_max = files_max;
  return open_file(log, 0) >= 0 ? 0 : fault_set(fault, "open log %s", path);
}

// path.1 is the newest of the old files. With one file the log starts anew in place.
static void rotate(struct json_log *log) {
  char from[sizeof log->path + 16], to[sizeof log->path + 16];
  for (uint32_t i = log->files_max; i-- > 1;) {
    snprintf(to, sizeof to, "%s.%u", log->path, i);
    if (i > 1) snprintf(from, sizeof from, "%s.%u", log->path, i - 1);
    else snprintf(from, sizeof from, "%s", log->path);
    rename(from, to);
  }
  int old = log->fd;
  if (open_file(log, log->files_max > 1 ? 0 : O_TRUNC) < 0) log->fd = old;
  else close(old);
}

// A full disk loses whole lines, never halves of them.
static void write_out(struct json_log *log) {
  bool failed = out_length > 0 && write_fully(log->fd, out, out_length) < 0;
  if (!failed) log->bytes += out_length;
  else if (ftruncate(log->fd, (off_t)log->bytes) == 0) log->lost += out_lines;
  out_length = 0;
  out_lines = 0;
}

// The bytes of a well-formed UTF-8 character at `text`, or 0.
static size_t character(const unsigned char *text, size_t left) {
  unsigned char first = text[0];
  size_t length = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3
                : first >= 0xf0 && first < 0xf5 ? 4 : 0;
  if (length == 0 || length > left) return 0;
  for (size_t i = 1; i < length; i++)
    if ((text[i] & 0xc0) != 0x80) return 0;
  if (first == 0xe0 && text[1] < 0xa0) return 0;
  if (first == 0xed && text[1] > 0x9f) return 0; // surrogates
  if (first == 0xf0 && text[1] < 0x90) return 0;
  if (first == 0xf4 && text[1] > 0x8f) return 0;
  return length;
}

static void put(const char *text, size_t length) {
  memcpy(out + out_length, text, length);
  out_length += length;
}

static void put_escape(unsigned char byte) {
  switch (byte) {
  case '\n': put("\\n", 2); return;
  case '\r': put("\\r", 2); return;
  case '\t': put("\\t", 2); return;
  case '"': put("\\\"", 2); return;
  case '\\': put("\\\\", 2); return;
  default: out_length += (size_t)sprintf(out + out_length, "\\u%04x", byte);
  }
}

static bool is_plain(unsigned char byte) {
  return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\' && byte != '<' && byte != '>' && byte != '&';
}

// As Go's encoder: what is not UTF-8 becomes the replacement character.
static void put_escaped(const char *text, size_t length) {
  const unsigned char *bytes = (const unsigned char *)text;
  for (size_t at = 0; at < length;) {
    size_t run = at;
    while (run < length && is_plain(bytes[run])) run++;
    put(text + at, run - at);
    at = run;
    if (at == length) return;
    size_t width = character(bytes + at, length - at);
    if (width == 0) put("\\ufffd", 6);
    else if (width == 1) put_escape(bytes[at]);
    else if (width == 3 && bytes[at] == 0xe2 && bytes[at + 1] == 0x80 && (bytes[at + 2] & 0xfe) == 0xa8)
      out_length += (size_t)sprintf(out + out_length, "\\u202%d", bytes[at + 2] & 0xf);
    else put(text + at, width);
    at += width == 0 ? 1 : width;
  }
}

static void put_digits(unsigned long value, unsigned width) {
  for (unsigned i = width; i-- > 0; value /= 10) out[out_length + i] = (char)('0' + value % 10);
  out_length += width;
}

// Days since 1970 as a date, counting years from March so that the leap day is the last (Howard Hinnant's algorithm).
// The C library's own would read the time zone's files and keep memory for it.
static void put_date(unsigned long days) {
  unsigned long shifted = days + 719468, era = shifted / 146097, of_era = shifted % 146097;
  unsigned long year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  unsigned long of_year = of_era - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
  put_digits(era * 400 + year + (month >= 10), 4);
  put("-", 1);
  put_digits(month < 10 ? month + 3 : month - 9, 2);
  put("-", 1);
  put_digits(of_year - (153 * month + 2) / 5 + 1, 2);
}

static void put_time(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  unsigned long seconds = (unsigned long)now.tv_sec, of_day = seconds % 86400;
  put_date(seconds / 86400);
  put("T", 1);
  put_digits(of_day / 3600, 2);
  put(":", 1);
  put_digits(of_day / 60 % 60, 2);
  put(":", 1);
  put_digits(of_day % 60, 2);
  put(".", 1);
  put_digits((unsigned long)now.tv_nsec, 9);
  put("Z", 1);
}

static void put_entry(struct json_log *log, struct log_stream *stream) {
  if (log->bytes_max > 0 && log->bytes + out_length >= log->bytes_max) {
    write_out(log);
    rotate(log);
  }
  put("{\"log\":\"", 8);
  put_escaped(stream->line, stream->length);
  put("\",\"stream\":\"", 12);
  put(stream->name, strlen(stream->name));
  put("\",\"time\":\"", 10);
  put_time();
  put("\"}\n", 3);
  out_lines++;
  stream->length = 0;
  if (out_length >= OUT_BYTES) write_out(log);
}

void json_log_write(struct json_log *log, int which, const char *bytes, size_t length) {
  struct log_stream *stream = &log->streams[which];
  if (log->fd < 0) return;
  while (length > 0) {
    size_t room = LOG_LINE_MAX - stream->length;
    const char *newline = memchr(bytes, '\n', length < room ? length : room);
    size_t part = newline != NULL ? (size_t)(newline - bytes) + 1 : length < room ? length : room;
    memcpy(stream->line + stream->length, bytes, part);
    stream->length += part;
    bytes += part;
    length -= part;
    if (newline != NULL || stream->length == LOG_LINE_MAX) put_entry(log, stream);
  }
  write_out(log);
}

void json_log_flush(struct json_log *log) {
  if (log->fd < 0) return;
  for (int i = 0; i < 2; i++)
    if (log->streams[i].length > 0) put_entry(log, &log->streams[i]);
  write_out(log);
}
