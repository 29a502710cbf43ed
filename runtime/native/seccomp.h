// Our own compiler from rules to classic BPF, and the loading of its program.
#pragma once
#include "request.h"
#include <linux/filter.h>

struct seccomp_program {
  uint16_t length;
  struct sock_filter *instructions; // in the arena
};

int seccomp_compile(const struct seccomp_policy *policy, struct arena *arena, struct seccomp_program *program,
                    struct fault *fault);
int seccomp_load(const struct seccomp_program *program, struct fault *fault);
