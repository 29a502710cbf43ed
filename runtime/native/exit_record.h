// How PID 1 ended: kept in memory for clients, on disk for daemons that come later.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct exit_record {
  int32_t exit_code; // 128 + signal for a signalled process
  uint32_t signal;
  bool oom_killed;
  uint64_t at_ms;
};

struct exit_record exit_record_of(int wait_status, bool oom_killed);
// Whole or not at all; survives this process. Durable only after exit_record_sync.
void exit_record_write(const char *state_directory, const char *container_id, int pid, const struct exit_record *record);
void exit_record_sync(const char *state_directory);
void exit_record_forget(const char *state_directory);
uint64_t now_ms(void);       // wall clock
uint64_t monotonic_ms(void); // never jumps
