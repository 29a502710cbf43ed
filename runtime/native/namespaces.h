// Namespaces other than mount: made by clone, joined by descriptor, and furnished.
#pragma once
#include "container.h"

// Flags for clone3 from the request's choices.
uint64_t namespace_flags(const struct launch_request *request);
// Opens the namespaces that are to be joined; for the pid namespace `*pid`, which the shim enters before the clone.
int open_namespaces(const struct launch_request *request, struct birth *birth, int *pid, struct fault *fault);
int join_namespace(int fd, int type, const char *name, struct fault *fault);
// In the child: joins, loopback up, host name.
int enter_namespaces(const struct birth *birth, struct fault *fault);
int write_sysctls(const struct launch_request *request, struct fault *fault);
