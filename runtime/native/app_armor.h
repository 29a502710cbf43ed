// The AppArmor profile of a container's processes. Written by each for itself; the daemon only chooses the name.
#pragma once
#include "fault.h"
#include <stdbool.h>

// A proc file system of this process' pid namespace, -1 with the fault set: one that nobody else sees, or, by the kernel's
// own word, the one that stands at /proc.
int app_armor_proc(struct fault *fault);
int app_armor_proc_inside(struct fault *fault);
// With `proc`: the command that this process will execute gets the profile, whatever stands there.
// An init of our own executes nothing: `*current` becomes the file by which app_armor_become changes it (else -1).
int app_armor_take(int proc, const char *profile, bool use_init, int *current, struct fault *fault);
// This process, and what it forks from now on, gets the profile at once. Nothing where `current` is -1.
int app_armor_become(int current, const char *profile, struct fault *fault);
