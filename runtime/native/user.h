// Who the process will be, looked up in the container's own /etc/passwd and /etc/group.
#pragma once
#include "request.h"
#include <sys/types.h>

#define GROUPS_MAX 1024

struct identity {
  uid_t uid;
  gid_t gid;
  uint32_t group_count;
  gid_t groups[GROUPS_MAX]; // the primary group is always first (CVE-2022-36109)
  char home[512];
};

// `user` as Docker takes it; to be called after the container's root was entered.
int identity_find(const char *user, const struct strings *groups, struct identity *identity, struct fault *fault);
