// What outlives one call of the command: a folder for each container below --root.
#include "oci.h"
#include "shim.h"
#include "syscalls.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static int check_id(const char *id, struct fault *fault) {
  size_t length = strlen(id);
  bool plain = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.") == length;
  if (length > 0 && length <= NAME_MAX && plain && strcmp(id, ".") != 0 && strcmp(id, "..") != 0) return 0;
  return fault_say(fault, FAULT_INVALID, "invalid container ID format: '%.80s'", id);
}

static int name_folder(struct oci_container *container, const struct oci_options *options, struct fault *fault) {
  container->id = options->id;
  if (check_id(options->id, fault) < 0) return -1;
  char *root = realpath(options->root, NULL);
  if (root == NULL && errno == ENOENT)
    return fault_say(fault, FAULT_NOT_FOUND, "container \"%s\" does not exist", options->id);
  if (root == NULL) return fault_set(fault, "open %s", options->root);
  if (snprintf(container->path, sizeof container->path, "%s/%s", root, options->id) < (int)sizeof container->path) return 0;
  return fault_say(fault, FAULT_INVALID, "the path of --root is too long");
}

static int make_root(const char *path, struct fault *fault) {
  char prefix[PATH_MAX];
  if (snprintf(prefix, sizeof prefix, "%s/", path) >= (int)sizeof prefix)
    return fault_say(fault, FAULT_INVALID, "the path of --root is too long");
  for (char *slash = strchr(prefix + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    if (mkdir(prefix, slash[1] == 0 ? 0700 : 0711) < 0 && errno != EEXIST) return fault_set(fault, "make %s", prefix);
    *slash = '/';
  }
  return 0;
}

int oci_make_folder(struct oci_container *container, const struct oci_options *options, struct fault *fault) {
  if (make_root(options->root, fault) < 0 || name_folder(container, options, fault) < 0) return -1;
  if (mkdir(container->path, 0700) < 0) {
    if (errno == EEXIST) return fault_say(fault, FAULT_CONFLICT, "container with id exists: %s", container->id);
    return fault_set(fault, "make %s", container->path);
  }
  container->folder = open(container->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return container->folder >= 0 ? 0 : fault_set(fault, "open %s", container->path);
}

static int read_groups(const struct json *state, struct oci_container *container, struct fault *fault) {
  const struct json *entry = json_list(state, "groups", fault);
  struct launch_request *request = &container->request;
  request->groups = arena_take(&container->arena, json_count(entry) * sizeof *request->groups, fault);
  for (; entry != NULL && fault->kind == FAULT_NONE; entry = entry->next) {
    struct group_plan *group = &request->groups[request->group_count++];
    group->version = (uint8_t)json_integer(entry, "version", 0, fault);
    group->path = json_text(entry, "path", "", fault);
    group->controllers = json_text(entry, "controllers", "", fault);
  }
  return fault->kind == FAULT_NONE ? 0 : -1;
}

int oci_load(struct oci_container *container, const struct oci_options *options, struct fault *fault) {
  if (name_folder(container, options, fault) < 0) return -1;
  container->folder = open(container->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (container->folder < 0 && errno == ENOENT)
    return fault_say(fault, FAULT_NOT_FOUND, "container \"%s\" does not exist", container->id);
  if (container->folder < 0) return fault_set(fault, "open %s", container->path);
  container->config = json_read(container->folder, "config.json", &container->arena, fault);
  struct arena arena = {0};
  const struct json *state = container->config == NULL ? NULL : json_read(container->folder, "state.json", &arena, fault);
  if (state == NULL) return -1;
  container->bundle = json_text(state, "bundle", "", fault);
  container->created = json_text(state, "created", "", fault);
  container->pid = (int)json_integer(state, "pid", 0, fault);
  container->start_ticks = json_unsigned(state, "startTicks", 0, fault);
  container->request.container_id = container->id;
  container->request.run_directory = container->path;
  return read_groups(state, container, fault);
}

static void write_state_file(FILE *out, const struct oci_container *container) {
  fprintf(out, "{\"bundle\":");
  json_write_text(out, container->bundle);
  fprintf(out, ",\"created\":\"%s\",\"pid\":%d,\"startTicks\":%llu,\"groups\":[", container->created, container->pid,
          (unsigned long long)container->start_ticks);
  for (uint32_t i = 0; i < container->request.group_count; i++) {
    const struct group_plan *group = &container->request.groups[i];
    fprintf(out, "%s{\"version\":%u,\"path\":", i ? "," : "", group->version);
    json_write_text(out, group->path);
    fprintf(out, ",\"controllers\":");
    json_write_text(out, group->controllers);
    fprintf(out, "}");
  }
  fprintf(out, "]}\n");
}

int oci_save(const struct oci_container *container, struct fault *fault) {
  int file = openat(container->folder, "state.json.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  FILE *out = file < 0 ? NULL : fdopen(file, "w");
  if (out == NULL) return fault_set(fault, "write the state of %s", container->id);
  write_state_file(out, container);
  bool bad = fflush(out) != 0;
  bad = fclose(out) != 0 || bad;
  if (bad || renameat(container->folder, "state.json.new", container->folder, "state.json") < 0)
    return fault_set(fault, "write the state of %s", container->id);
  return 0;
}

// A zombie has ended too: who adopted it has only not asked yet.
static bool is_alive(int pid, uint64_t start_ticks) {
  char path[64], text[512];
  if (pid <= 0 || start_ticks_of(pid) != start_ticks) return false;
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
  if (file >= 0) close(file);
  if (length <= 0) return false;
  text[length] = 0;
  char *at = strrchr(text, ')');
  return at != NULL && at[1] != 0 && strchr("ZX", at[2]) == NULL;
}

enum oci_status oci_status_of(const struct oci_container *container) {
  if (!is_alive(container->pid, container->start_ticks)) return OCI_STOPPED;
  if (oci_is_frozen(&container->request)) return OCI_PAUSED;
  return faccessat(container->folder, "start", F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? OCI_CREATED : OCI_RUNNING;
}

const char *oci_status_name(enum oci_status status) {
  static const char *const names[] = {"created", "running", "paused", "stopped"};
  return names[status];
}

void oci_write_state(FILE *out, const struct oci_container *container, const char *status) {
  struct fault ignored = {0};
  fprintf(out, "{\n  \"ociVersion\": \"" OCI_VERSION "\",\n  \"id\": ");
  json_write_text(out, container->id);
  fprintf(out, ",\n  \"pid\": %d,\n  \"status\": \"%s\",\n  \"bundle\": ", strcmp(status, "stopped") == 0 ? 0 : container->pid, status);
  json_write_text(out, container->bundle);
  fprintf(out, ",\n  \"rootfs\": ");
  const char *root = json_text(json_member(container->config, "root"), "path", "", &ignored);
  struct arena arena = {0};
  char *absolute = arena_map(&arena, 16384, &ignored) < 0 ? NULL : oci_absolute(container->bundle, root, &arena, &ignored);
  json_write_text(out, absolute != NULL ? absolute : root);
  arena_unmap(&arena);
  fprintf(out, ",\n  \"created\": \"%s\",\n  \"owner\": \"\"", container->created);
  const struct json *annotations = json_member(container->config, "annotations");
  if (annotations != NULL && annotations->first != NULL) {
    fprintf(out, ",\n  \"annotations\": {");
    for (const struct json *entry = annotations->first; entry != NULL; entry = entry->next) {
      if (entry != annotations->first) fputc(',', out);
      json_write_text(out, entry->key);
      fputc(':', out);
      json_write_text(out, entry->kind == JSON_STRING ? entry->text : "");
    }
    fputc('}', out);
  }
  fprintf(out, "\n}\n");
}
