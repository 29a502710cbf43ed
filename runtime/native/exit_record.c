// exit.json. The rename comes before clients are told; the slow part, making it durable against a power cut, after.
#include "exit_record.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_ms(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t now_ms(void) { return clock_ms(CLOCK_REALTIME); }
uint64_t monotonic_ms(void) { return clock_ms(CLOCK_MONOTONIC); }

struct exit_record exit_record_of(int wait_status, bool oom_killed) {
  struct exit_record record = {.oom_killed = oom_killed, .at_ms = now_ms()};
  record.signal = WIFSIGNALED(wait_status) ? (uint32_t)WTERMSIG(wait_status) : 0;
  record.exit_code = record.signal != 0 ? 128 + (int32_t)record.signal : WEXITSTATUS(wait_status);
  return record;
}

void exit_record_write(const char *state_directory, const char *container_id, int pid, const struct exit_record *record) {
  char text[512];
  int folder = open(state_directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return; // the container was removed: nobody will ask
  int length = snprintf(text, sizeof text,
                        "{\"containerId\":\"%s\",\"pid\":%d,\"exitCode\":%d,\"signal\":%u,\"oomKilled\":%s,\"atMs\":%llu}\n",
                        container_id, pid, record->exit_code, record->signal, record->oom_killed ? "true" : "false",
                        (unsigned long long)record->at_ms);
  int file = openat(folder, "exit.json.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file >= 0 && write(file, text, (size_t)length) == length) renameat(folder, "exit.json.tmp", folder, "exit.json");
  if (file >= 0) close(file);
  close(folder);
}

void exit_record_sync(const char *state_directory) {
  int folder = open(state_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int file = folder < 0 ? -1 : openat(folder, "exit.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file >= 0) {
    fsync(file);
    close(file);
    fsync(folder);
  }
  if (folder >= 0) close(folder);
}

void exit_record_forget(const char *state_directory) {
  int folder = open(state_directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  unlinkat(folder, "exit.json", 0);
  close(folder);
}
