// How a driver runs the commands of another OCI runtime: see other_runtime.c.
#pragma once
#include "become.h"

// A path in the shim's run directory. 0, or -1 with the fault set.
int run_path(char *path, size_t capacity, const char *name, struct fault *fault);
// `words` ends with NULL, the first is the command. With NULL for `stdio` its streams are ours. 0 when it ended well;
// otherwise the fault has its own words.
int runtime_run(const char *const words[], const struct stdio *stdio, struct fault *fault);
// From the file that it was told to write.
int runtime_read_pid(const char *path, struct fault *fault);

// Where it hands over the terminal's master.
struct console {
  int listener; // -1: none is asked for
  char path[108];
};
int console_open(struct console *console, bool wanted, struct fault *fault);
// To be called when the command has ended well, so that its message waits.
int console_take(struct console *console, const struct process_plan *process, int *master, struct fault *fault);
void console_close(struct console *console);
