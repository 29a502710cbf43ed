// config.json of a bundle as the launch request that the daemon would have made of it. What is not supported is refused.
#include "oci.h"
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct strings none(void) {
  static const char *items[] = {NULL};
  return (struct strings){0, items};
}

static char *format(struct arena *arena, struct fault *fault, const char *pattern, ...) __attribute__((format(printf, 3, 4)));
static char *format(struct arena *arena, struct fault *fault, const char *pattern, ...) {
  va_list arguments;
  char text[4200];
  va_start(arguments, pattern);
  int length = vsnprintf(text, sizeof text, pattern, arguments);
  va_end(arguments);
  if (length >= (int)sizeof text) return fault_say(fault, FAULT_INVALID, "'%.60s…' is too long", text), NULL;
  char *kept = arena_take(arena, (size_t)length + 1, fault);
  return kept == NULL ? NULL : strcpy(kept, text);
}

char *oci_absolute(const char *folder, const char *path, struct arena *arena, struct fault *fault) {
  return path[0] == '/' ? format(arena, fault, "%s", path) : format(arena, fault, "%s/%s", folder, path);
}

static int read_user(const struct json *user, struct arena *arena, struct process_plan *plan, struct fault *fault) {
  int64_t uid = json_integer(user, "uid", 0, fault), gid = json_integer(user, "gid", 0, fault);
  plan->user = format(arena, fault, "%lld:%lld", (long long)uid, (long long)gid);
  plan->umask = (uint32_t)json_integer(user, "umask", 022, fault) & 0777;
  const struct json *entry = json_list(user, "additionalGids", fault);
  plan->groups = (struct strings){0, arena_take(arena, (json_count(entry) + 1) * sizeof *plan->groups.items, fault)};
  for (; entry != NULL && fault->kind == FAULT_NONE; entry = entry->next) {
    if (entry->kind != JSON_NUMBER) return fault_say(fault, FAULT_INVALID, "additionalGids must be numbers");
    plan->groups.items[plan->groups.count++] = entry->text;
  }
  return fault->kind == FAULT_NONE ? 0 : -1;
}

static int read_capabilities(const struct json *capabilities, struct arena *arena, struct process_plan *plan,
                             struct fault *fault) {
  struct capability_names *sets = arena_take(arena, sizeof *sets, fault);
  if (sets == NULL) return -1;
  sets->bounding = json_strings(capabilities, "bounding", arena, fault);
  sets->effective = json_strings(capabilities, "effective", arena, fault);
  sets->permitted = json_strings(capabilities, "permitted", arena, fault);
  sets->inheritable = json_strings(capabilities, "inheritable", arena, fault);
  sets->ambient = json_strings(capabilities, "ambient", arena, fault);
  plan->capabilities = none();
  plan->sets = sets;
  return fault->kind == FAULT_NONE ? 0 : -1;
}

// RLIMIT_NOFILE is nofile.
static const char *limit_name(const char *type, struct arena *arena, struct fault *fault) {
  if (strncmp(type, "RLIMIT_", 7) != 0) return fault_say(fault, FAULT_INVALID, "invalid rlimit type: %s", type), "";
  char *name = format(arena, fault, "%s", type + 7);
  for (char *at = name; at != NULL && *at != 0; at++)
    if (*at >= 'A' && *at <= 'Z') *at |= 0x20;
  return name;
}

static int read_limits(const struct json *process, struct arena *arena, struct process_plan *plan, struct fault *fault) {
  const struct json *entry = json_list(process, "rlimits", fault);
  plan->rlimits = arena_take(arena, json_count(entry) * sizeof *plan->rlimits, fault);
  for (; entry != NULL && fault->kind == FAULT_NONE; entry = entry->next) {
    struct rlimit_plan *limit = &plan->rlimits[plan->rlimit_count++];
    limit->name = limit_name(json_text(entry, "type", "", fault), arena, fault);
    limit->soft = json_unsigned(entry, "soft", 0, fault);
    limit->hard = json_unsigned(entry, "hard", 0, fault);
  }
  return fault->kind == FAULT_NONE ? 0 : -1;
}

static int refuse_text(const struct json *object, const char *key, struct fault *fault) {
  if (json_text(object, key, "", fault)[0] == 0) return fault->kind == FAULT_NONE ? 0 : -1;
  return fault_say(fault, FAULT_INVALID, "%s is not supported: this runtime knows no such labels", key);
}

const char *oci_profile(const char *name) { return strcmp(name, "unconfined") == 0 ? "" : name; }

int oci_read_process(const struct json *process, const struct json *config, struct arena *arena, struct process_plan *plan,
                     struct fault *fault) {
  *plan = (struct process_plan){0};
  plan->args = json_strings(process, "args", arena, fault);
  plan->env = json_strings(process, "env", arena, fault);
  plan->directory = json_text(process, "cwd", "/", fault);
  plan->terminal = json_flag(process, "terminal", false, fault);
  const struct json *size = json_member(process, "consoleSize");
  plan->rows = (uint16_t)json_integer(size, "height", 0, fault);
  plan->columns = (uint16_t)json_integer(size, "width", 0, fault);
  plan->no_new_privileges = json_flag(process, "noNewPrivileges", false, fault);
  plan->outlives_parent = true;
  plan->app_armor_profile = oci_profile(json_text(process, "apparmorProfile", "", fault));
  if (refuse_text(process, "selinuxLabel", fault) < 0) return -1;
  if (read_user(json_member(process, "user"), arena, plan, fault) < 0) return -1;
  if (read_capabilities(json_member(process, "capabilities"), arena, plan, fault) < 0) return -1;
  if (read_limits(process, arena, plan, fault) < 0) return -1;
  if (oci_read_seccomp(json_path(config, "linux", "seccomp"), arena, &plan->seccomp, fault) < 0) return -1;
  if (plan->args.count == 0 || plan->args.items[0][0] == 0)
    return fault_say(fault, FAULT_INVALID, "process.args must not be empty");
  if (plan->directory[0] != '/') return fault_say(fault, FAULT_INVALID, "Cwd must be an absolute path");
  return fault->kind == FAULT_NONE ? 0 : -1;
}

static int read_namespaces(const struct json *linux_, struct launch_request *request, struct fault *fault) {
  struct namespace_choice mount = {NS_HOST, ""};
  const struct {
    const char *type;
    struct namespace_choice *choice;
  } known[] = {{"network", &request->network}, {"pid", &request->pid},       {"ipc", &request->ipc},
               {"uts", &request->uts},         {"cgroup", &request->cgroup}, {"mount", &mount},
               {"user", &request->user}};
  for (const struct json *entry = json_list(linux_, "namespaces", fault); entry != NULL; entry = entry->next) {
    const char *type = json_text(entry, "type", "", fault), *path = json_text(entry, "path", "", fault);
    size_t at = 0;
    while (at < sizeof known / sizeof *known && strcmp(known[at].type, type) != 0) at++;
    if (at == sizeof known / sizeof *known)
      return fault_say(fault, FAULT_INVALID, "%s namespaces are not supported", type);
    if (known[at].choice->kind != NS_HOST) return fault_say(fault, FAULT_INVALID, "two namespaces of type %s", type);
    *known[at].choice = (struct namespace_choice){path[0] != 0 ? NS_PATH : NS_NEW, path};
  }
  if (mount.kind == NS_NEW) return 0;
  return fault_say(fault, FAULT_INVALID, "a container has a mount namespace of its own");
}

bool oci_has_user_namespace(const struct json *config) {
  struct fault ignored = {0};
  const struct json *entry = json_list(json_member(config, "linux"), "namespaces", &ignored);
  for (; entry != NULL; entry = entry->next)
    if (strcmp(json_text(entry, "type", "", &ignored), "user") == 0) return true;
  return false;
}

static int read_map(const struct json *linux_, const char *key, struct arena *arena, struct id_maps *maps, struct fault *fault) {
  const struct json *entry = json_list(linux_, key, fault);
  maps->items = arena_take(arena, json_count(entry) * sizeof *maps->items, fault);
  for (; entry != NULL && fault->kind == FAULT_NONE; entry = entry->next) {
    uint64_t inside = json_unsigned(entry, "containerID", 0, fault), outside = json_unsigned(entry, "hostID", 0, fault);
    uint64_t count = json_unsigned(entry, "size", 0, fault);
    if (count == 0 || count > UINT32_MAX || inside > UINT32_MAX - count || outside > UINT32_MAX - count)
      return fault_say(fault, FAULT_INVALID, "linux.%s: not a range of ids", key);
    maps->items[maps->count++] = (struct id_map){(uint32_t)inside, (uint32_t)outside, (uint32_t)count};
  }
  return fault->kind == FAULT_NONE ? 0 : -1;
}

static bool maps_root(const struct id_maps *maps) {
  for (uint32_t i = 0; i < maps->count; i++)
    if (maps->items[i].inside == 0) return true;
  return false;
}

// A namespace that is joined has its maps; those given beside it say nothing (as runc has it).
static int read_maps(const struct json *linux_, struct arena *arena, struct launch_request *request, struct fault *fault) {
  struct id_maps *uids = &request->user_ids, *gids = &request->group_ids;
  if (read_map(linux_, "uidMappings", arena, uids, fault) < 0 || read_map(linux_, "gidMappings", arena, gids, fault) < 0) return -1;
  if (request->user.kind == NS_HOST && uids->count + gids->count > 0)
    return fault_say(fault, FAULT_INVALID, "User namespace mappings specified, but USER namespace isn't enabled in the config");
  if (request->user.kind == NS_NEW && !(maps_root(uids) && maps_root(gids)))
    return fault_say(fault, FAULT_INVALID, "linux.uidMappings and linux.gidMappings of a user namespace must map its id 0");
  return 0;
}

static int read_devices(const struct json *linux_, struct arena *arena, struct launch_request *request, struct fault *fault) {
  const struct json *entry = json_list(linux_, "devices", fault);
  request->devices = arena_take(arena, json_count(entry) * sizeof *request->devices, fault);
  for (; entry != NULL && fault->kind == FAULT_NONE; entry = entry->next) {
    struct device_plan *device = &request->devices[request->device_count++];
    const char *type = json_text(entry, "type", "", fault);
    device->path = json_text(entry, "path", "", fault);
    device->type = type[0] == 'u' ? 'c' : type[0];
    device->major = (uint32_t)json_integer(entry, "major", 0, fault);
    device->minor = (uint32_t)json_integer(entry, "minor", 0, fault);
    device->mode = (uint32_t)json_integer(entry, "fileMode", 0666, fault);
    device->uid = (uint32_t)json_integer(entry, "uid", 0, fault);
    device->gid = (uint32_t)json_integer(entry, "gid", 0, fault);
    if (device->path[0] != '/' || (device->type != 'c' && device->type != 'b'))
      return fault_say(fault, FAULT_INVALID, "device '%s' of type '%s' is not possible", device->path, type);
  }
  return fault->kind == FAULT_NONE ? 0 : -1;
}

static int read_sysctls(const struct json *linux_, struct arena *arena, struct launch_request *request, struct fault *fault) {
  const struct json *table = json_member(linux_, "sysctl");
  request->sysctls = arena_take(arena, json_count(table ? table->first : NULL) * sizeof *request->sysctls, fault);
  for (const struct json *entry = table ? table->first : NULL; entry != NULL && fault->kind == FAULT_NONE; entry = entry->next) {
    if (entry->kind != JSON_STRING) return fault_say(fault, FAULT_INVALID, "sysctl %s must be a text", entry->key);
    request->sysctls[request->sysctl_count++] = (struct pair){entry->key, entry->text};
  }
  return fault->kind == FAULT_NONE ? 0 : -1;
}

static int refuse_unsupported(const struct json *linux_, struct fault *fault) {
  static const char *const keys[] = {"intelRdt", "personality", "timeOffsets"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    const struct json *member = json_member(linux_, keys[i]);
    if (member != NULL && member->first != NULL)
      return fault_say(fault, FAULT_INVALID, "linux.%s is not supported", keys[i]);
  }
  return refuse_text(linux_, "mountLabel", fault);
}

static int read_root(struct oci_container *container, struct fault *fault) {
  struct launch_request *request = &container->request;
  const struct json *root = json_member(container->config, "root");
  const char *path = json_text(root, "path", "", fault);
  if (path[0] == 0) return fault_say(fault, FAULT_INVALID, "root.path must not be empty");
  const char *joined = oci_absolute(container->bundle, path, &container->arena, fault);
  char *resolved = joined == NULL ? NULL : realpath(joined, NULL);
  if (resolved == NULL) return fault_invalid(fault, "open the root file system %s", joined);
  request->root_directory = resolved;
  request->root_read_only = json_flag(root, "readonly", false, fault);
  request->lowers = none();
  return fault->kind == FAULT_NONE ? 0 : -1;
}

static int read_linux(struct oci_container *container, struct fault *fault) {
  struct launch_request *request = &container->request;
  struct arena *arena = &container->arena;
  const struct json *linux_ = json_member(container->config, "linux");
  if (read_namespaces(linux_, request, fault) < 0 || refuse_unsupported(linux_, fault) < 0) return -1;
  if (read_maps(linux_, arena, request, fault) < 0) return -1;
  request->masked_paths = json_strings(linux_, "maskedPaths", arena, fault);
  request->read_only_paths = json_strings(linux_, "readonlyPaths", arena, fault);
  if (read_devices(linux_, arena, request, fault) < 0 || read_sysctls(linux_, arena, request, fault) < 0) return -1;
  const char *group = json_text(linux_, "cgroupsPath", "", fault);
  if (group[0] == 0) group = container->id;
  if (oci_find_groups(group, arena, request, fault) < 0) return -1;
  return oci_read_resources(json_member(linux_, "resources"), true, arena, request, fault);
}

int oci_read_config(struct oci_container *container, const struct oci_options *options, struct fault *fault) {
  struct launch_request *request = &container->request;
  char *bundle = realpath(options->bundle != NULL ? options->bundle : ".", NULL);
  int folder = bundle == NULL ? -1 : open(bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return fault_invalid(fault, "open the bundle %s", options->bundle != NULL ? options->bundle : ".");
  container->bundle = bundle;
  container->config = json_read(folder, "config.json", &container->arena, fault);
  close(folder);
  if (container->config == NULL) return -1;
  const char *version = json_text(container->config, "ociVersion", "", fault);
  if (strncmp(version, "1.", 2) != 0) return fault_say(fault, FAULT_INVALID, "unsupported ociVersion '%s'", version);
  request->container_id = container->id;
  request->run_directory = container->path;
  request->hostname = json_text(container->config, "hostname", NULL, fault);
  request->domain_name = json_text(container->config, "domainname", NULL, fault);
  if (read_root(container, fault) < 0 || read_linux(container, fault) < 0) return -1;
  if (oci_read_mounts(container->config, bundle, &container->arena, request, fault) < 0) return -1;
  const struct json *process = json_member(container->config, "process");
  return oci_read_process(process, container->config, &container->arena, &request->process, fault);
}
