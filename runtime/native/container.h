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
  const struct birth_steps *steps; // of somebody else than the shim, or NULL
};

// What the program with the OCI command line does differently. Called in PID 1.
struct birth_steps {
  int line;                                              // a descriptor that the steps need
  int (*mounted)(struct birth *birth, struct fault *fault); // all is mounted, the host's root not yet left
  int (*wait)(struct birth *birth, struct fault *fault);    // until the command is to be run; birth->sync then takes faults
};

// Never returns.
void container_main(struct birth *birth) __attribute__((noreturn));
