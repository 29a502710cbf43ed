// The private line between a shim and a process it is bringing up: a SOCK_SEQPACKET pair, closed by a successful exec.
#pragma once
#include "fault.h"
#include "security.h"

enum sync_kind {
  SYNC_PREPARED = 1, // child: everything stands; carries the warnings and, with a terminal, its master
  SYNC_FAULT,        // child: it went wrong
  SYNC_GO,           // shim: run the command
  SYNC_CHILD,        // exec's helper: the process id of the real child, in `value`
};

struct sync_message {
  uint32_t kind;
  int32_t value;
  union {
    struct fault fault;
    struct warnings warnings;
  };
};

int sync_pair(int ends[2], struct fault *fault);
// `passed` is a descriptor that travels along, or -1.
int sync_send(int fd, const struct sync_message *message, int passed);
// 1: a message, 0: the other end is gone, -1: error. A received descriptor is put in `*passed` (else -1).
int sync_receive(int fd, struct sync_message *message, int *passed);
void sync_send_fault(int fd, const struct fault *fault);
