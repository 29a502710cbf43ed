// Paths inside a container are descriptors under its root: resolved by openat2 with RESOLVE_IN_ROOT, never joined.
#pragma once
#include "fault.h"
#include <stdbool.h>

// O_PATH, unless `flags` say otherwise. Symbolic links stay inside the root; magic links are refused.
int open_in_root(int root, const char *path, int flags);
// As open_in_root, but any symbolic link on the way is refused.
int open_in_root_straight(int root, const char *path, int flags);
// Opens `path` as a mount point, making missing folders (0755) and, for a file, an empty file (0644) at its end.
int make_in_root(int root, const char *path, bool directory, struct fault *fault);
// Makes host folders like `mkdir -p`.
int make_directories(const char *path, int mode, struct fault *fault);
