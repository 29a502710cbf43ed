// Walks over a folder by descriptors, never following a link: as a tar stream, as a layer, for its size.
#pragma once
#include "sink.h"
#include <dirent.h>
#include <stdbool.h>
#include <sys/stat.h>

#define WALK_PATH_MAX 4096
#define WALK_DEPTH_MAX 1000

struct links;

struct walk {
  struct sink *sink;
  struct fault *fault;
  int proc; // /proc/self/fd of the host: reopens a descriptor that was checked
  bool layer; // overlay's marks become whiteouts
  int depth;
  size_t length;
  char name[WALK_PATH_MAX]; // of the present entry, as it is written
  struct links *links;
};

int walk_begin(struct walk *walk, struct sink *sink, struct fault *fault);
// Writes what is open as `entry` (O_PATH), with all below it, under this name; "" for a folder's contents alone.
int walk_archive(struct walk *walk, int entry, const char *name);
// Bytes of the regular files below; each counted once.
int walk_size(struct walk *walk, int folder, uint64_t *bytes);

// Names of a folder in order; freed by names_free.
struct names {
  char **items;
  size_t count;
};
int names_read(int folder, struct names *names, struct fault *fault);
void names_free(struct names *names);
// Appends "/name" to the walk's present name and takes it off again.
int walk_push(struct walk *walk, const char *name, size_t *before);
void walk_pop(struct walk *walk, size_t before);
// The kernel's own file systems (proc, sysfs, …) are no files of a container: they are never read or written.
bool is_kernels_own(int entry);
bool is_opaque(int folder);
