// A process that goes into a running container, from its fork to the command.
#pragma once
#include "become.h"
#include "cgroup.h"

struct entry {
  struct process_plan process;
  struct arena arena;
  struct stdio stdio;
  int sync;
  bool in_user_namespace; // other than ours
  int pidfd; // of the container's PID 1
  const struct cgroups *cgroups;
};

// To be called in a fresh fork. Says over `sync` who the new process is, its terminal, or what went wrong; the new process
// waits there for the word to run the command.
void entry_main(struct entry *entry) __attribute__((noreturn));
