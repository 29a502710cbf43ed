// Containers whose processes another OCI runtime (runc, crun) brings into being.
#pragma once
#include "container.h"
#include "entry.h"

// Notes in the shim what later commands of the runtime need.
int other_runtime_keep(const struct launch_request *request, struct fault *fault);
// In a fork of the shim, in place of PID 1 and of an exec's helper: they say the same over the same line.
void other_runtime_create(struct birth *birth) __attribute__((noreturn));
void other_runtime_exec(struct entry *entry) __attribute__((noreturn));
// Lets the runtime forget the container, which has ended. Nothing where the container is our own.
void other_runtime_delete(void);

// bundle.c: what the runtime reads. 0, or -1 with the fault set.
int bundle_write(int folder, const char *root, const struct launch_request *request, const struct identity *identity,
                 struct fault *fault);
int bundle_write_process(const char *path, const struct process_plan *process, const struct identity *identity,
                         struct fault *fault);
// The `config.json` source of mount number `index`, which stands in the bundle's folder.
#define BUNDLE_SOURCE "source-%u"
