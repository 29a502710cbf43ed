// PID 1 of a container, from its birth to the command.
#pragma once
#include "become.h"
#include "cgroup.h"
#include "request.h"

// What the shim opened for it before the clone.
struct birth {
  struct launch_request *request;
  struct arena *arena;
  const struct cgroups *cgroups;
  int sync;
  int network, ipc, uts, cgroup; // namespaces to join, -1: none
  struct stdio stdio;
};

// Never returns.
void container_main(struct birth *birth) __attribute__((noreturn));
