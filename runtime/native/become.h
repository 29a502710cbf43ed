// The last steps of every container process, PID 1 and exec alike: from "inside the container" to execve.
#pragma once
#include "request.h"
#include "seccomp.h"
#include "security.h"
#include "user.h"

struct ready {
  struct identity identity;
  struct capability_set capabilities;
  struct seccomp_program seccomp;
  const char **env;
  int app_armor; // by which an init of ours changes its profile, or -1
};
struct stdio {
  int in, out, err;
  int terminal;  // the slave that serves as all three, or -1
  int preserved; // descriptors from 3 on that the command gets as well
};

// Finds the user, compiles the filter, enters the working directory: all that can fail for the caller's fault.
// `make_directory`: a missing working directory is made, as Docker does at start but not for exec.
int process_ready(struct process_plan *plan, struct arena *arena, bool make_directory, struct ready *ready,
                  struct warnings *warnings, struct fault *fault);
// The command's file by its name, as the shell would find it. 0, or -1 with the fault set.
int find_command(const char *name, const char *const *env, char *found, size_t capacity, struct fault *fault);
// Closes every descriptor from `from` on but these (-1: none): what a container can see holds nothing of its host.
void close_others(unsigned from, const int *kept, int count);
// Gives up privileges and runs the command; returns only on failure. With `use_init` this process stays as init.
// The line to the shim is closed by the exec, which is how the shim learns of success.
int process_become(const struct process_plan *plan, const struct ready *ready, const struct stdio *stdio, bool use_init,
                   struct fault *fault);
