// A container in a user namespace: its root is nobody on the host.
#pragma once
#include "container.h"

// Clones PID 1, as our child, into its namespaces: its number on the host, or -1 with the fault set.
int user_namespace_clone(struct birth *birth, int pid_namespace, struct fault *fault);
// Writes the maps, and gives PID 1 over `line` what it can not reach itself. A source that is not there PID 1 reports.
int user_namespace_furnish(const struct birth *birth, int pid, int line, struct fault *fault);
// In PID 1: takes what was opened for it, and becomes the namespace's root.
int user_namespace_receive(struct birth *birth, struct fault *fault);
int user_namespace_become_root(struct fault *fault);
// Gives pipes among the three to the root of this process' namespace, who else could not open them again. A terminal stays
// its owner's, who goes on using it: one of the container's own is made inside.
void user_namespace_own_streams(int pid, const struct stdio *stdio);
