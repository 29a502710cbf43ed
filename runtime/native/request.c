// Parsing of launch and exec requests: every count is bounded by its frame, every enumeration by its table.
#include "request.h"
#include <stdalign.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>

void *arena_take(struct arena *arena, size_t bytes, struct fault *fault) {
  size_t rounded = (bytes + 15) & ~(size_t)15;
  if (arena->capacity - arena->length < rounded) {
    fault_say(fault, FAULT_INVALID, "the request is too large");
    return NULL;
  }
  void *taken = arena->start + arena->length;
  arena->length += rounded;
  return taken;
}

int arena_map(struct arena *arena, size_t capacity, struct fault *fault) {
  void *memory = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fault_set(fault, "memory for the request");
  *arena = (struct arena){.start = memory, .length = 0, .capacity = capacity};
  return 0;
}

void arena_unmap(struct arena *arena) {
  if (arena->start != NULL) munmap(arena->start, arena->capacity);
  *arena = (struct arena){0};
}

// Memory for `*count` items; on failure `*count` becomes 0, so that the caller's loop does nothing.
static void *list(struct reader *reader, struct arena *arena, uint32_t *count, uint32_t wire_bytes, size_t item_bytes) {
  *count = read_count(reader, wire_bytes);
  if (*count == 0) return NULL;
  void *items = arena_take(arena, *count * item_bytes, reader->fault);
  if (items == NULL) *count = 0;
  return items;
}

static struct strings read_strings(struct reader *reader, struct arena *arena) {
  static const char *none[] = {NULL};
  struct strings strings = {0, none};
  uint32_t count = read_count(reader, 5);
  const char **items = arena_take(arena, (count + 1) * sizeof *items, reader->fault);
  if (items == NULL) return strings;
  for (uint32_t i = 0; i < count; i++) items[i] = read_string(reader);
  return (struct strings){count, items};
}

static uint8_t read_choice(struct reader *reader, uint8_t choices, const char *what) {
  uint8_t value = read_u8(reader);
  if (value < choices) return value;
  fault_say(reader->fault, FAULT_INVALID, "unknown %s %u", what, value);
  return 0;
}

static bool read_flag(struct reader *reader) { return read_choice(reader, 2, "flag") == 1; }

static const char *read_path(struct reader *reader, const char *what) {
  const char *path = read_string(reader);
  if (path[0] != '/') fault_say(reader->fault, FAULT_INVALID, "%s '%s' must be absolute", what, path);
  return path;
}

static struct namespace_choice read_namespace(struct reader *reader) {
  struct namespace_choice choice;
  choice.kind = read_choice(reader, 3, "namespace choice");
  choice.path = read_string(reader);
  return choice;
}

static struct mount_plan read_mount(struct reader *reader) {
  static const uint64_t propagations[] = {MS_PRIVATE, MS_SHARED, MS_SLAVE};
  struct mount_plan mount = {.tree = -1};
  mount.type = read_choice(reader, M_TYPES, "mount type");
  mount.source = read_string(reader);
  mount.target = read_path(reader, "mount target");
  mount.read_only = read_flag(reader);
  mount.flags = read_u32(reader);
  mount.propagation = propagations[read_choice(reader, 3, "propagation")];
  mount.propagation_recursive = read_flag(reader);
  mount.recursive = read_flag(reader);
  mount.data = read_string(reader);
  if (mount.type == M_BIND && mount.source[0] != '/')
    fault_say(reader->fault, FAULT_INVALID, "bind source '%s' must be absolute", mount.source);
  return mount;
}

static struct group_plan read_group(struct reader *reader, struct arena *arena) {
  struct group_plan group = {0};
  group.version = read_u8(reader);
  if (group.version != 1 && group.version != 2)
    fault_say(reader->fault, FAULT_INVALID, "unknown cgroup version %u", group.version);
  group.path = read_path(reader, "cgroup");
  group.writes = list(reader, arena, &group.write_count, 10, sizeof *group.writes);
  for (uint32_t i = 0; i < group.write_count; i++) {
    group.writes[i].file = read_string(reader);
    group.writes[i].value = read_string(reader);
    if (strchr(group.writes[i].file, '/') != NULL)
      fault_say(reader->fault, FAULT_INVALID, "cgroup file '%s' must be a name", group.writes[i].file);
  }
  return group;
}

static char read_device_type(struct reader *reader, const char *allowed) {
  char type = (char)read_u8(reader);
  if (type == 0 || strchr(allowed, type) == NULL)
    fault_say(reader->fault, FAULT_INVALID, "device type must be one of '%s'", allowed);
  return type;
}

static struct seccomp_action read_action(struct reader *reader) {
  struct seccomp_action action;
  action.kind = read_choice(reader, SA_KINDS, "seccomp action");
  action.error = read_u32(reader);
  if (action.error > 4095) fault_say(reader->fault, FAULT_INVALID, "seccomp errno %u is out of range", action.error);
  return action;
}

static struct seccomp_rule read_rule(struct reader *reader, struct arena *arena) {
  struct seccomp_rule rule;
  rule.names = read_strings(reader, arena);
  rule.action = read_action(reader);
  rule.arguments = list(reader, arena, &rule.argument_count, 21, sizeof *rule.arguments);
  for (uint32_t i = 0; i < rule.argument_count; i++) {
    struct seccomp_argument *argument = &rule.arguments[i];
    argument->index = read_u32(reader);
    argument->operator_ = read_choice(reader, SO_OPERATORS, "seccomp operator");
    argument->value = read_u64(reader);
    argument->value_two = read_u64(reader);
    if (argument->index > 5)
      fault_say(reader->fault, FAULT_INVALID, "seccomp argument index %u is out of range", argument->index);
  }
  return rule;
}

static void read_seccomp(struct reader *reader, struct arena *arena, struct seccomp_policy *policy) {
  policy->present = read_flag(reader);
  if (!policy->present) return;
  policy->fallback = read_action(reader);
  policy->architectures = read_strings(reader, arena);
  policy->rules = list(reader, arena, &policy->rule_count, 13, sizeof *policy->rules);
  for (uint32_t i = 0; i < policy->rule_count; i++) policy->rules[i] = read_rule(reader, arena);
}

int parse_process(struct reader *reader, struct arena *arena, struct process_plan *process) {
  process->args = read_strings(reader, arena);
  process->env = read_strings(reader, arena);
  process->directory = read_string(reader);
  process->user = read_string(reader);
  process->groups = read_strings(reader, arena);
  process->terminal = read_flag(reader);
  process->rows = read_u16(reader);
  process->columns = read_u16(reader);
  process->capabilities = read_strings(reader, arena);
  process->no_new_privileges = read_flag(reader);
  read_seccomp(reader, arena, &process->seccomp);
  process->rlimits = list(reader, arena, &process->rlimit_count, 21, sizeof *process->rlimits);
  for (uint32_t i = 0; i < process->rlimit_count; i++) {
    process->rlimits[i].name = read_string(reader);
    process->rlimits[i].soft = read_u64(reader);
    process->rlimits[i].hard = read_u64(reader);
  }
  process->oom_score_adjustment = (int32_t)read_u32(reader);
  process->app_armor_profile = reader->at < reader->end ? read_string(reader) : "";
  process->umask = 022;
  if (process->args.count == 0 || process->args.items[0][0] == 0)
    fault_say(reader->fault, FAULT_INVALID, "no command specified");
  return read_finish(reader);
}

static void read_log(struct reader *reader, struct launch_request *request) {
  request->has_log = read_flag(reader);
  request->log_path = read_string(reader);
  request->log_bytes_max = read_u64(reader);
  request->log_files_max = read_u32(reader);
}

void parse_root(struct reader *reader, struct arena *arena, struct launch_request *request) {
  request->lowers = read_strings(reader, arena);
  request->upper = read_path(reader, "the upper directory");
  request->work = read_path(reader, "the work directory");
  request->root_read_only = read_flag(reader);
  request->mounts = list(reader, arena, &request->mount_count, 20, sizeof *request->mounts);
  for (uint32_t i = 0; i < request->mount_count; i++) request->mounts[i] = read_mount(reader);
}

static struct device_rule *read_device_rules(struct reader *reader, struct arena *arena, uint32_t *count) {
  struct device_rule *rules = list(reader, arena, count, 15, sizeof *rules);
  for (uint32_t i = 0; i < *count; i++) {
    rules[i].allow = read_flag(reader);
    rules[i].type = read_device_type(reader, "abc");
    rules[i].major = (int32_t)read_u32(reader);
    rules[i].minor = (int32_t)read_u32(reader);
    rules[i].access = read_string(reader);
  }
  return rules;
}

static void read_cgroups(struct reader *reader, struct arena *arena, struct launch_request *request) {
  request->groups = list(reader, arena, &request->group_count, 10, sizeof *request->groups);
  for (uint32_t i = 0; i < request->group_count; i++) request->groups[i] = read_group(reader, arena);
  request->has_device_rules = read_flag(reader);
  request->device_rules = read_device_rules(reader, arena, &request->device_rule_count);
}

static void read_runtime(struct reader *reader, struct arena *arena, struct runtime_plan *runtime) {
  if (!read_flag(reader)) return;
  runtime->path = read_path(reader, "the runtime");
  runtime->args = read_strings(reader, arena);
  runtime->cgroups_path = read_path(reader, "the cgroup");
  runtime->has_device_rules = read_flag(reader);
  runtime->device_rules = read_device_rules(reader, arena, &runtime->device_rule_count);
}

static void read_devices(struct reader *reader, struct arena *arena, struct launch_request *request) {
  request->devices = list(reader, arena, &request->device_count, 26, sizeof *request->devices);
  for (uint32_t i = 0; i < request->device_count; i++) {
    struct device_plan *device = &request->devices[i];
    device->path = read_path(reader, "device");
    device->type = read_device_type(reader, "bc");
    device->major = read_u32(reader);
    device->minor = read_u32(reader);
    device->mode = read_u32(reader);
    device->uid = read_u32(reader);
    device->gid = read_u32(reader);
  }
}

static struct pair *read_pairs(struct reader *reader, struct arena *arena, uint32_t *count) {
  struct pair *pairs = list(reader, arena, count, 10, sizeof *pairs);
  for (uint32_t i = 0; i < *count; i++) {
    pairs[i].key = read_string(reader);
    pairs[i].value = read_string(reader);
  }
  return pairs;
}

int parse_launch(struct reader *reader, struct arena *arena, struct launch_request *request) {
  request->container_id = read_string(reader);
  request->run_directory = read_path(reader, "the run directory");
  request->state_directory = read_path(reader, "the state directory");
  request->run_files = read_pairs(reader, arena, &request->run_file_count);
  read_log(reader, request);
  request->stdin_open = read_flag(reader);
  request->hostname = read_string(reader);
  request->domain_name = read_string(reader);
  parse_root(reader, arena, request);
  request->network = read_namespace(reader);
  request->pid = read_namespace(reader);
  request->ipc = read_namespace(reader);
  request->uts = read_namespace(reader);
  request->cgroup = read_namespace(reader);
  read_cgroups(reader, arena, request);
  request->masked_paths = read_strings(reader, arena);
  request->read_only_paths = read_strings(reader, arena);
  read_devices(reader, arena, request);
  request->sysctls = read_pairs(reader, arena, &request->sysctl_count);
  request->use_init = read_flag(reader);
  read_runtime(reader, arena, &request->runtime);
  return parse_process(reader, arena, &request->process);
}
