// Control groups of one container: made and limited before its PID 1 exists.
#pragma once
#include "request.h"

#define GROUPS_OF_CONTAINER_MAX 16

struct cgroups {
  uint32_t count;
  int folders[GROUPS_OF_CONTAINER_MAX]; // of the v1 groups, -1 for v2
  int unified;                          // the cgroup2 folder, -1 without
  int oom;                              // memory.events or memory.oom_control, -1 without
  uint64_t oom_kills_before;
};

// Writes the limits of one group, whose folder is open.
int cgroup_write_limits(const struct group_plan *group, int folder, struct fault *fault);
void cgroups_none(struct cgroups *cgroups);
// Makes folders and writes limits. On failure everything made is removed again.
int cgroups_make(const struct launch_request *request, struct cgroups *cgroups, struct fault *fault);
// Puts the calling process, which has one thread, into all v1 groups; the cgroup2 one it was born into.
int cgroups_join(const struct cgroups *cgroups, struct fault *fault);
void cgroups_remove(const struct launch_request *request);
bool cgroups_saw_oom(const struct cgroups *cgroups);
// Takes the folders away, as far as nothing is in them any more.
void cgroups_take_away(const struct cgroups *cgroups);
// Ends all that is in the groups, paused or not.
void cgroups_kill(const struct cgroups *cgroups);

// device_filter.c
int device_filter_attach(int group, const struct device_rule *rules, uint32_t count, struct fault *fault);
