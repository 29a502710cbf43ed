// `mounts` of config.json: fstab's words as the flags of a mount plan. What is not known is the file system's own option.
#include "oci.h"
#include <string.h>
#include <sys/mount.h>

enum word_kind { W_FLAG, W_CLEAR, W_READ_ONLY, W_WRITABLE, W_BIND, W_REC_BIND, W_REC_READ_ONLY, W_PROPAGATION, W_NOTHING };
static const struct word {
  const char *name;
  enum word_kind kind;
  uint64_t value;
} WORDS[] = {{"async", W_NOTHING, 0},
             {"atime", W_CLEAR, MF_NOATIME},
             {"bind", W_BIND, 0},
             {"defaults", W_NOTHING, 0},
             {"dev", W_CLEAR, MF_NODEV},
             {"diratime", W_CLEAR, MF_NODIRATIME},
             {"exec", W_CLEAR, MF_NOEXEC},
             {"noatime", W_FLAG, MF_NOATIME},
             {"nodev", W_FLAG, MF_NODEV},
             {"nodiratime", W_FLAG, MF_NODIRATIME},
             {"noexec", W_FLAG, MF_NOEXEC},
             {"norelatime", W_NOTHING, 0},
             {"nostrictatime", W_CLEAR, MF_STRICTATIME},
             {"nosuid", W_FLAG, MF_NOSUID},
             {"private", W_PROPAGATION, MS_PRIVATE},
             {"rbind", W_REC_BIND, 0},
             {"relatime", W_NOTHING, 0}, // the kernel's default
             {"ro", W_READ_ONLY, 0},
             {"rprivate", W_PROPAGATION, MS_PRIVATE | MS_REC},
             {"rro", W_REC_READ_ONLY, 0},
             {"rshared", W_PROPAGATION, MS_SHARED | MS_REC},
             {"rslave", W_PROPAGATION, MS_SLAVE | MS_REC},
             {"rw", W_WRITABLE, 0},
             {"shared", W_PROPAGATION, MS_SHARED},
             {"slave", W_PROPAGATION, MS_SLAVE},
             {"strictatime", W_FLAG, MF_STRICTATIME},
             {"suid", W_CLEAR, MF_NOSUID}};
#define WORD_COUNT (sizeof WORDS / sizeof *WORDS)

const char *oci_mount_option(unsigned number) { return number < WORD_COUNT ? WORDS[number].name : NULL; }

static const struct word *find_word(const char *name) {
  for (size_t i = 0; i < WORD_COUNT; i++)
    if (strcmp(WORDS[i].name, name) == 0) return &WORDS[i];
  return NULL;
}

int oci_propagation(const char *name, uint64_t *flag, bool *recursive) {
  const struct word *word = find_word(name);
  if (word == NULL || word->kind != W_PROPAGATION) return -1;
  *flag = word->value & ~(uint64_t)MS_REC;
  *recursive = (word->value & MS_REC) != 0;
  return 0;
}

struct reading {
  struct mount_plan *plan;
  bool is_bind;
  char *data; // room for all options
};

static void take_option(struct reading *reading, const char *option) {
  struct mount_plan *plan = reading->plan;
  const struct word *word = find_word(option);
  if (word == NULL) {
    if (reading->data[0] != 0) strcat(reading->data, ",");
    strcat(reading->data, option);
    return;
  }
  switch (word->kind) {
  case W_FLAG: plan->flags |= (uint32_t)word->value; break;
  case W_CLEAR: plan->flags &= ~(uint32_t)word->value; break;
  case W_READ_ONLY: plan->read_only = true; break;
  case W_WRITABLE: plan->read_only = false; break;
  case W_BIND: reading->is_bind = true; break;
  case W_REC_BIND: reading->is_bind = plan->recursive = true; break;
  case W_REC_READ_ONLY: plan->read_only = true, plan->flags &= ~(uint32_t)MF_TOP_ONLY; break;
  case W_PROPAGATION: oci_propagation(option, &plan->propagation, &plan->propagation_recursive); break;
  case W_NOTHING: break;
  }
}

static int find_type(const char *name, enum mount_type *type) {
  static const struct {
    const char *name;
    enum mount_type type;
  } types[] = {{"proc", M_PROC},     {"sysfs", M_SYSFS},   {"tmpfs", M_TMPFS},  {"devpts", M_DEVPTS},
               {"mqueue", M_MQUEUE}, {"cgroup", M_CGROUP}, {"cgroup2", M_CGROUP}};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (strcmp(types[i].name, name) == 0) return *type = types[i].type, 0;
  return -1;
}

static char *data_room(const struct strings *options, struct arena *arena, struct fault *fault) {
  size_t bytes = 1;
  for (uint32_t i = 0; i < options->count; i++) bytes += strlen(options->items[i]) + 1;
  return arena_take(arena, bytes, fault);
}

static int read_mount(const struct json *entry, const char *bundle, struct arena *arena, struct mount_plan *plan,
                      struct fault *fault) {
  struct strings options = json_strings(entry, "options", arena, fault);
  const char *type = json_text(entry, "type", "", fault);
  *plan = (struct mount_plan){.tree = -1, .propagation = MS_PRIVATE, .propagation_recursive = true, .flags = MF_TOP_ONLY};
  plan->source = json_text(entry, "source", "", fault);
  plan->target = json_text(entry, "destination", "", fault);
  struct reading reading = {plan, strcmp(type, "bind") == 0, data_room(&options, arena, fault)};
  if (reading.data == NULL) return -1;
  for (uint32_t i = 0; i < options.count; i++) take_option(&reading, options.items[i]);
  plan->data = reading.data;
  if (plan->target[0] != '/') {
    char *absolute = arena_take(arena, strlen(plan->target) + 2, fault);
    if (absolute == NULL) return -1;
    absolute[0] = '/';
    plan->target = strcpy(absolute + 1, plan->target) - 1;
  }
  if (reading.is_bind) {
    if (plan->data[0] != 0)
      return fault_say(fault, FAULT_INVALID, "mount %s: option '%s' is not one of a bind", plan->target, plan->data);
    plan->source = oci_absolute(bundle, plan->source, arena, fault);
    return fault->kind == FAULT_NONE ? 0 : -1;
  }
  plan->flags &= ~(uint32_t)MF_TOP_ONLY;
  plan->recursive = false;
  if (find_type(type, &plan->type) < 0)
    return fault_say(fault, FAULT_INVALID, "mount %s: type '%s' is not supported", plan->target, type);
  if (plan->type == M_CGROUP) plan->data = "";
  return fault->kind == FAULT_NONE ? 0 : -1;
}

int oci_read_mounts(const struct json *config, const char *bundle, struct arena *arena, struct launch_request *request,
                    struct fault *fault) {
  const struct json *entry = json_list(config, "mounts", fault);
  request->mounts = arena_take(arena, json_count(entry) * sizeof *request->mounts, fault);
  for (; entry != NULL && fault->kind == FAULT_NONE; entry = entry->next)
    read_mount(entry, bundle, arena, &request->mounts[request->mount_count++], fault);
  return fault->kind == FAULT_NONE ? 0 : -1;
}
