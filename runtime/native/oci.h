// The OCI command line: what its parts share. `shoal-runtime` is this binary under that name (oci_main.c).
// A container is a folder below --root: config.json (a copy), state.json, and until it is started the socket `start`.
#pragma once
#include "cgroup.h"
#include "json.h"
#include "request.h"

#define OCI_VERSION "1.0.2"
#define OCI_ID_MAX 1024

struct oci_options {
  const char *root, *log, *bundle, *pid_file, *console_socket, *process, *cwd, *user, *resources, *app_armor;
  bool log_as_json, detach, force, all, terminal, keep_keyring;
  int preserved;
  struct strings env;
  uint32_t env_capacity;
  const char *id;
  int rest_count; // arguments behind the id
  char **rest;
};

struct oci_container {
  const char *id;
  int folder; // below --root
  char path[4096];
  const char *bundle, *created;
  int pid;
  uint64_t start_ticks;
  struct arena arena;
  const struct json *config;
  struct launch_request request; // of it, after `create` only the groups
};

// oci_config.c: config.json as a launch request. `bundle` is absolute.
int oci_read_config(struct oci_container *container, const struct oci_options *options, struct fault *fault);
// "": nothing is changed, which "unconfined" means here.
const char *oci_profile(const char *name);
int oci_read_process(const struct json *process, const struct json *config, struct arena *arena, struct process_plan *plan,
                     struct fault *fault);
bool oci_has_user_namespace(const struct json *config);
// oci_mounts.c
int oci_read_mounts(const struct json *config, const char *bundle, struct arena *arena, struct launch_request *request,
                    struct fault *fault);
int oci_propagation(const char *name, uint64_t *flag, bool *recursive);
const char *oci_mount_option(unsigned number);
// oci_seccomp.c
int oci_read_seccomp(const struct json *seccomp, struct arena *arena, struct seccomp_policy *policy, struct fault *fault);
void oci_write_seccomp_features(FILE *out);
// oci_cgroups.c: where the groups are, and what is done to them as a whole.
int oci_find_groups(const char *path, struct arena *arena, struct launch_request *request, struct fault *fault);
// oci_resources.c: the limits as writes to the groups' files; `is_new`: with the rules for devices.
int oci_read_resources(const struct json *resources, bool is_new, struct arena *arena, struct launch_request *request,
                       struct fault *fault);
int oci_open_groups(const struct launch_request *request, struct cgroups *cgroups, struct fault *fault);
int oci_freeze(const struct launch_request *request, bool frozen, struct fault *fault);
bool oci_is_frozen(const struct launch_request *request);
int oci_remove_groups(const struct launch_request *request, struct fault *fault);
// Every process in the groups, in `pids`; their count, or -1.
int oci_list_processes(const struct launch_request *request, int *pids, int capacity, struct fault *fault);
// oci_state.c
enum oci_status { OCI_CREATED, OCI_RUNNING, OCI_PAUSED, OCI_STOPPED };
int oci_make_folder(struct oci_container *container, const struct oci_options *options, struct fault *fault);
int oci_load(struct oci_container *container, const struct oci_options *options, struct fault *fault);
int oci_save(const struct oci_container *container, struct fault *fault);
enum oci_status oci_status_of(const struct oci_container *container);
const char *oci_status_name(enum oci_status status);
void oci_write_state(FILE *out, const struct oci_container *container, const char *status);
char *oci_absolute(const char *folder, const char *path, struct arena *arena, struct fault *fault);
// oci_hooks.c: runs the hooks of this name, the state on their standard input.
int oci_run_hooks(const struct oci_container *container, const char *name, const char *status, struct fault *fault);
bool oci_has_hooks(const struct oci_container *container, const char *name);
// oci_create.c
int oci_create(struct oci_container *container, const struct oci_options *options, struct fault *fault);
int oci_send_console(const char *path, int master, struct fault *fault);
int oci_write_pid_file(const char *path, int pid, struct fault *fault);
int oci_check_preserved(const struct oci_options *options, struct fault *fault);
void oci_warn(const struct oci_options *options, const char *text);
// oci_start.c
int oci_start(struct oci_container *container, struct fault *fault);
int oci_delete(struct oci_container *container, bool force, struct fault *fault);
// Until the child ends, signals going on to it: its exit code.
int oci_wait(int pid);
// oci_exec.c
int oci_exec(struct oci_container *container, const struct oci_options *options, int *code, struct fault *fault);
