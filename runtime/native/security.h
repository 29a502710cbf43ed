// What a process may do: capabilities, limits, no_new_privs.
#pragma once
#include "request.h"
#include "user.h"

struct capability_set {
  uint64_t bounding, permitted, effective, inheritable, ambient;
};
struct warnings {
  char text[1024]; // sentences, each ended by a newline
};

// One list is the bounding, permitted and effective set, and the others are empty (CVE-2022-24769).
int capabilities_of(const struct process_plan *plan, struct capability_set *set, struct fault *fault);
// The name of capability `number`, NULL behind the last.
const char *capability_name(unsigned number);
// Drops to the bounding set of `set`; keeps what the last steps need until capabilities_finish.
int capabilities_bound(const struct capability_set *set, struct fault *fault);
int capabilities_finish(const struct capability_set *set, struct fault *fault);
// Lowers what this machine does not allow to the highest value it does, with a warning.
int rlimits_clamp(struct process_plan *process, struct warnings *warnings, struct fault *fault);
// Raises hard limits that are asked for, as far as one may: for a process that will have no right to.
void rlimits_raise(const struct process_plan *process);
int rlimits_set(const struct process_plan *process, struct fault *fault);
int identity_take(const struct identity *identity, struct fault *fault);
