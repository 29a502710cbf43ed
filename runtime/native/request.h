// What a launch or exec request says, parsed. Strings point into the frame; lists live in the arena.
// Both belong to one mapping that the shim drops once PID 1 has been prepared.
#pragma once
#include "wire.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena {
  uint8_t *start;
  size_t length, capacity;
};
// Zeroed memory, 16-byte aligned; sets the fault and returns NULL when the arena is full.
void *arena_take(struct arena *arena, size_t bytes, struct fault *fault);
int arena_map(struct arena *arena, size_t capacity, struct fault *fault);
void arena_unmap(struct arena *arena);

struct strings {
  uint32_t count;
  const char **items; // NULL-terminated, so that it can be given to execve
};

enum namespace_kind { NS_HOST = 0, NS_NEW = 1, NS_PATH = 2 };
struct namespace_choice {
  enum namespace_kind kind;
  const char *path;
};

enum mount_type { M_BIND, M_TMPFS, M_PROC, M_SYSFS, M_DEVPTS, M_MQUEUE, M_CGROUP, M_FOREIGN, M_TYPES };
enum mount_flag {
  MF_NOSUID = 1, MF_NODEV = 2, MF_NOEXEC = 4, MF_STRICTATIME = 8, MF_TOP_ONLY = 16, MF_NOATIME = 32, MF_NODIRATIME = 64
};
struct mount_plan {
  enum mount_type type;
  const char *source, *target, *data;
  bool read_only, recursive;
  uint32_t flags;
  uint64_t propagation; // MS_PRIVATE, MS_SHARED or MS_SLAVE
  bool propagation_recursive;
  int tree; // an opened bind source; -1 until then
};

struct group_write {
  const char *file, *value;
};
struct group_plan {
  const char *controllers; // of a version 1 hierarchy, between commas; only where the groups are found, not given
  uint8_t version;
  const char *path;
  uint32_t write_count;
  struct group_write *writes;
};
struct device_rule {
  bool allow;
  char type;
  int32_t major, minor;
  const char *access;
};
struct device_plan {
  const char *path;
  char type;
  uint32_t major, minor, mode, uid, gid;
};
struct pair {
  const char *key, *value;
};

enum seccomp_kind { SA_ALLOW = 0, SA_KILL = 1, SA_TRAP = 2, SA_LOG = 3, SA_ERRNO = 4, SA_KILL_PROCESS = 5, SA_KINDS };
struct seccomp_action {
  uint8_t kind;
  uint32_t error;
};
enum seccomp_operator { SO_NE, SO_LT, SO_LE, SO_EQ, SO_GE, SO_GT, SO_MASKED_EQ, SO_OPERATORS };
struct seccomp_argument {
  uint32_t index;
  uint8_t operator_;
  uint64_t value, value_two;
};
struct seccomp_rule {
  struct strings names;
  struct seccomp_action action;
  uint32_t argument_count;
  struct seccomp_argument *arguments;
};
struct seccomp_policy {
  bool present;
  struct seccomp_action fallback;
  struct strings architectures;
  uint32_t rule_count;
  struct seccomp_rule *rules;
};

struct rlimit_plan {
  const char *name;
  uint64_t soft, hard;
};

// The bounding and permitted sets and so on, each with a list of its own.
struct capability_names {
  struct strings bounding, effective, permitted, inheritable, ambient;
};

struct process_plan {
  struct strings args, env;
  const char *directory, *user;
  struct strings groups;
  bool terminal;
  uint16_t rows, columns;
  struct strings capabilities;
  const struct capability_names *sets; // where they differ, or NULL
  bool no_new_privileges;
  const char *app_armor_profile; // "": none
  struct seccomp_policy seccomp;
  uint32_t rlimit_count;
  struct rlimit_plan *rlimits;
  int32_t oom_score_adjustment;
  uint32_t umask;
  bool outlives_parent; // otherwise it gets SIGKILL when the shim dies
};

// Another OCI runtime that is to bring the container into being; `path` is NULL where that is ours.
struct runtime_plan {
  const char *path;
  struct strings args;
  const char *cgroups_path; // below every hierarchy's mount point
  bool has_device_rules;    // otherwise all devices are allowed
  uint32_t device_rule_count;
  struct device_rule *device_rules;
};

// Ids of a user namespace: `count` of them from `inside` on are those from `outside` on.
struct id_map {
  uint32_t inside, outside, count;
};
struct id_maps {
  uint32_t count;
  struct id_map *items;
};

// What a PID 1 without power over the host finds opened: see user_namespace.c.
struct opened {
  int run_directory, root_directory;
  int null;     // /dev/null as a tree, for masks
  int *devices; // trees in the order of devices.c
};

struct launch_request {
  const char *container_id, *run_directory, *state_directory;
  uint32_t run_file_count;
  struct pair *run_files; // name and content
  bool has_log;
  const char *log_path;
  uint64_t log_bytes_max;
  uint32_t log_files_max;
  bool stdin_open;
  const char *hostname, *domain_name; // NULL: as they are
  const char *root_directory;         // a folder that is the root file system, or NULL: overlay of the layers
  struct strings lowers;
  const char *upper, *work;
  bool root_read_only;
  uint32_t mount_count;
  struct mount_plan *mounts;
  struct namespace_choice network, pid, ipc, uts, cgroup, user;
  struct id_maps user_ids, group_ids; // of a new user namespace
  const struct opened *opened;        // in PID 1 of a user namespace, or NULL
  uint32_t group_count;
  struct group_plan *groups;
  bool has_device_rules;
  uint32_t device_rule_count;
  struct device_rule *device_rules;
  struct strings masked_paths, read_only_paths;
  uint32_t device_count;
  struct device_plan *devices;
  uint32_t sysctl_count;
  struct pair *sysctls;
  bool use_init;
  struct runtime_plan runtime;
  struct process_plan process;
};

// 0, or -1 with the fault set; the reader must stand after the frame's type and request id.
int parse_launch(struct reader *reader, struct arena *arena, struct launch_request *request);
// Layers, mounts and whether the root is read-only.
void parse_root(struct reader *reader, struct arena *arena, struct launch_request *request);
int parse_process(struct reader *reader, struct arena *arena, struct process_plan *process);
