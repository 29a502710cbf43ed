// An OCI bundle's config.json from what our own runtime would have been told. The reverse of oci_config.c.
#include "json.h"
#include "other_runtime.h"
#include "syscalls.h"
#include <ctype.h>
#include <string.h>
#include <sys/mount.h>

#define COUNT(table) (sizeof table / sizeof *table)

static void write_strings(FILE *out, const char *key, const struct strings *strings) {
  fprintf(out, "\"%s\":[", key);
  for (uint32_t i = 0; i < strings->count; i++) {
    if (i > 0) fputc(',', out);
    json_write_text(out, strings->items[i]);
  }
  fputc(']', out);
}

static void write_text(FILE *out, const char *key, const char *text) {
  fprintf(out, "\"%s\":", key);
  json_write_text(out, text);
}

static bool names_home(const struct strings *env) {
  for (uint32_t i = 0; i < env->count; i++)
    if (strncmp(env->items[i], "HOME=", 5) == 0) return true;
  return false;
}

// HOME is the user's own unless the caller set it.
static void write_env(FILE *out, const struct strings *env, const struct identity *identity) {
  char home[sizeof identity->home + 5];
  fprintf(out, ",\"env\":[");
  for (uint32_t i = 0; i < env->count; i++) {
    if (i > 0) fputc(',', out);
    json_write_text(out, env->items[i]);
  }
  if (!names_home(env)) {
    snprintf(home, sizeof home, "HOME=%s", identity->home[0] != 0 ? identity->home : "/");
    if (env->count > 0) fputc(',', out);
    json_write_text(out, home);
  }
  fputc(']', out);
}

static void write_user(FILE *out, const struct identity *identity) {
  fprintf(out, ",\"user\":{\"uid\":%u,\"gid\":%u,\"additionalGids\":[", identity->uid, identity->gid);
  for (uint32_t i = 0; i < identity->group_count; i++) fprintf(out, "%s%u", i > 0 ? "," : "", identity->groups[i]);
  fprintf(out, "]}");
}

static void write_limits(FILE *out, const struct process_plan *process) {
  fprintf(out, ",\"rlimits\":[");
  for (uint32_t i = 0; i < process->rlimit_count; i++) {
    const struct rlimit_plan *limit = &process->rlimits[i];
    fprintf(out, "%s{\"type\":\"RLIMIT_", i > 0 ? "," : "");
    for (const char *at = limit->name; *at != 0; at++) fputc(toupper((unsigned char)*at), out);
    fprintf(out, "\",\"soft\":%llu,\"hard\":%llu}", (unsigned long long)limit->soft, (unsigned long long)limit->hard);
  }
  fputc(']', out);
}

static void write_process(FILE *out, const struct process_plan *process, const struct identity *identity) {
  const struct strings *capabilities = &process->capabilities;
  fprintf(out, "{\"terminal\":%s", process->terminal ? "true" : "false");
  if (process->rows > 0) fprintf(out, ",\"consoleSize\":{\"height\":%u,\"width\":%u}", process->rows, process->columns);
  write_user(out, identity);
  fputc(',', out);
  write_strings(out, "args", &process->args);
  write_env(out, &process->env, identity);
  fputc(',', out);
  write_text(out, "cwd", process->directory[0] != 0 ? process->directory : "/");
  fprintf(out, ",\"capabilities\":{");
  write_strings(out, "bounding", capabilities);
  fputc(',', out);
  write_strings(out, "effective", capabilities);
  fputc(',', out);
  write_strings(out, "permitted", capabilities);
  fputc('}', out);
  write_limits(out, process);
  if (process->app_armor_profile[0] != 0) {
    fputc(',', out);
    write_text(out, "apparmorProfile", process->app_armor_profile);
  }
  fprintf(out, ",\"noNewPrivileges\":%s,\"oomScoreAdj\":%d}", process->no_new_privileges ? "true" : "false",
          process->oom_score_adjustment);
}

static void write_word(FILE *out, const char *word, bool *any) {
  if (*any) fputc(',', out);
  json_write_text(out, word);
  *any = true;
}

// size=64k,mode=755 as words of their own.
static void write_data(FILE *out, const char *data, bool *any) {
  char word[256];
  for (const char *at = data; *at != 0; at += *at == ',') {
    size_t length = strcspn(at, ",");
    snprintf(word, sizeof word, "%.*s", (int)length, at);
    if (length > 0) write_word(out, word, any);
    at += length;
  }
}

static const char *propagation_word(const struct mount_plan *mount) {
  bool deep = mount->propagation_recursive;
  if (mount->propagation == MS_SHARED) return deep ? "rshared" : "shared";
  if (mount->propagation == MS_SLAVE) return deep ? "rslave" : "slave";
  return deep ? "rprivate" : "private";
}

static void write_options(FILE *out, const struct mount_plan *mount) {
  static const struct {
    uint32_t flag;
    const char *word;
  } words[] = {{MF_NOSUID, "nosuid"}, {MF_NODEV, "nodev"}, {MF_NOEXEC, "noexec"}, {MF_STRICTATIME, "strictatime"}};
  bool any = false, bound = mount->type == M_BIND || mount->type == M_FOREIGN;
  fprintf(out, ",\"options\":[");
  if (bound) write_word(out, mount->recursive ? "rbind" : "bind", &any);
  for (size_t i = 0; i < COUNT(words); i++)
    if (mount->flags & words[i].flag) write_word(out, words[i].word, &any);
  if (mount->read_only) write_word(out, "ro", &any);
  if (mount->type == M_BIND) write_word(out, propagation_word(mount), &any);
  if (!bound) write_data(out, mount->data, &any);
  fputc(']', out);
}

// What is bound stands in the bundle's folder already: see other_runtime.c.
static void write_mount(FILE *out, const struct launch_request *request, uint32_t index) {
  static const char *const types[] = {
      [M_BIND] = "bind",     [M_TMPFS] = "tmpfs",   [M_PROC] = "proc",     [M_SYSFS] = "sysfs",
      [M_DEVPTS] = "devpts", [M_MQUEUE] = "mqueue", [M_CGROUP] = "cgroup", [M_FOREIGN] = "bind"};
  const struct mount_plan *mount = &request->mounts[index];
  char source[400];
  snprintf(source, sizeof source, "%s", mount->source[0] != 0 ? mount->source : types[mount->type]);
  if (mount->type == M_BIND || mount->type == M_FOREIGN)
    snprintf(source, sizeof source, "%s/b/" BUNDLE_SOURCE, request->run_directory, index);
  fputc('{', out);
  write_text(out, "destination", mount->target);
  fputc(',', out);
  write_text(out, "type", types[mount->type]);
  fputc(',', out);
  write_text(out, "source", source);
  write_options(out, mount);
  fputc('}', out);
}

static void write_namespaces(FILE *out, const struct launch_request *request) {
  const struct {
    const char *type;
    const struct namespace_choice *choice;
  } all[] = {{"network", &request->network}, {"pid", &request->pid},       {"ipc", &request->ipc},
             {"uts", &request->uts},         {"cgroup", &request->cgroup}};
  fprintf(out, "\"namespaces\":[{\"type\":\"mount\"}");
  for (size_t i = 0; i < COUNT(all); i++) {
    if (all[i].choice->kind == NS_HOST) continue;
    fprintf(out, ",{\"type\":\"%s\"", all[i].type);
    if (all[i].choice->kind == NS_PATH) {
      fputc(',', out);
      write_text(out, "path", all[i].choice->path);
    }
    fputc('}', out);
  }
  fputc(']', out);
}

static void write_rule(FILE *out, const struct device_rule *rule) {
  fprintf(out, "{\"allow\":%s,\"type\":\"%c\"", rule->allow ? "true" : "false", rule->type);
  if (rule->major >= 0) fprintf(out, ",\"major\":%d", rule->major);
  if (rule->minor >= 0) fprintf(out, ",\"minor\":%d", rule->minor);
  fputc(',', out);
  write_text(out, "access", rule->access);
  fputc('}', out);
}

// The limits are in the groups already, which the daemon's plan made; device rules are the runtime's own to load.
static void write_resources(FILE *out, const struct runtime_plan *runtime) {
  static const struct device_rule everything = {true, 'a', -1, -1, "rwm"};
  fprintf(out, ",\"resources\":{\"devices\":[");
  if (!runtime->has_device_rules) write_rule(out, &everything);
  for (uint32_t i = 0; i < runtime->device_rule_count; i++) {
    if (i > 0) fputc(',', out);
    write_rule(out, &runtime->device_rules[i]);
  }
  fprintf(out, "]}");
}

static void write_devices(FILE *out, const struct launch_request *request) {
  fprintf(out, ",\"devices\":[");
  for (uint32_t i = 0; i < request->device_count; i++) {
    const struct device_plan *device = &request->devices[i];
    fprintf(out, "%s{", i > 0 ? "," : "");
    write_text(out, "path", device->path);
    fprintf(out, ",\"type\":\"%c\",\"major\":%u,\"minor\":%u,\"fileMode\":%u,\"uid\":%u,\"gid\":%u}", device->type,
            device->major, device->minor, device->mode, device->uid, device->gid);
  }
  fputc(']', out);
}

static void write_sysctls_(FILE *out, const struct launch_request *request) {
  fprintf(out, ",\"sysctl\":{");
  for (uint32_t i = 0; i < request->sysctl_count; i++) {
    if (i > 0) fputc(',', out);
    json_write_text(out, request->sysctls[i].key);
    fputc(':', out);
    json_write_text(out, request->sysctls[i].value);
  }
  fputc('}', out);
}

static void write_action(FILE *out, const char *key, const char *error_key, const struct seccomp_action *action) {
  static const char *const names[] = {[SA_ALLOW] = "SCMP_ACT_ALLOW", [SA_KILL] = "SCMP_ACT_KILL",
                                      [SA_TRAP] = "SCMP_ACT_TRAP",   [SA_LOG] = "SCMP_ACT_LOG",
                                      [SA_ERRNO] = "SCMP_ACT_ERRNO", [SA_KILL_PROCESS] = "SCMP_ACT_KILL_PROCESS"};
  fprintf(out, "\"%s\":\"%s\"", key, names[action->kind]);
  if (action->kind == SA_ERRNO) fprintf(out, ",\"%s\":%u", error_key, action->error);
}

static void write_arguments(FILE *out, const struct seccomp_rule *rule) {
  static const char *const operators[] = {
      [SO_NE] = "SCMP_CMP_NE", [SO_LT] = "SCMP_CMP_LT", [SO_LE] = "SCMP_CMP_LE",
      [SO_EQ] = "SCMP_CMP_EQ", [SO_GE] = "SCMP_CMP_GE", [SO_GT] = "SCMP_CMP_GT",
      [SO_MASKED_EQ] = "SCMP_CMP_MASKED_EQ"};
  fprintf(out, ",\"args\":[");
  for (uint32_t i = 0; i < rule->argument_count; i++) {
    const struct seccomp_argument *argument = &rule->arguments[i];
    fprintf(out, "%s{\"index\":%u,\"op\":\"%s\",\"value\":%llu,\"valueTwo\":%llu}", i > 0 ? "," : "", argument->index,
            operators[argument->operator_], (unsigned long long)argument->value, (unsigned long long)argument->value_two);
  }
  fputc(']', out);
}

static void write_seccomp(FILE *out, const struct seccomp_policy *policy) {
  if (!policy->present) return;
  fprintf(out, ",\"seccomp\":{");
  write_action(out, "defaultAction", "defaultErrnoRet", &policy->fallback);
  fprintf(out, ",\"architectures\":[");
  for (uint32_t i = 0; i < policy->architectures.count; i++) {
    fprintf(out, "%s\"SCMP_ARCH_", i > 0 ? "," : "");
    for (const char *at = policy->architectures.items[i]; isalnum((unsigned char)*at) || *at == '_'; at++)
      fputc(toupper((unsigned char)*at), out);
    fputc('"', out);
  }
  fprintf(out, "],\"syscalls\":[");
  for (uint32_t i = 0; i < policy->rule_count; i++) {
    const struct seccomp_rule *rule = &policy->rules[i];
    fprintf(out, "%s{", i > 0 ? "," : "");
    write_strings(out, "names", &rule->names);
    fputc(',', out);
    write_action(out, "action", "errnoRet", &rule->action);
    write_arguments(out, rule);
    fputc('}', out);
  }
  fprintf(out, "]}");
}

// A bind that is to pass mounts on needs a root that does; runtimes make the whole of it a slave otherwise.
static const char *root_propagation(const struct launch_request *request) {
  const char *word = NULL;
  for (uint32_t i = 0; i < request->mount_count; i++) {
    const struct mount_plan *mount = &request->mounts[i];
    if (mount->type == M_BIND && mount->propagation == MS_SHARED) return "shared";
    if (mount->type == M_BIND && mount->propagation == MS_SLAVE) word = "rslave";
  }
  return word;
}

static void write_linux(FILE *out, const struct launch_request *request) {
  const char *propagation = root_propagation(request);
  fprintf(out, ",\"linux\":{");
  write_namespaces(out, request);
  fputc(',', out);
  write_text(out, "cgroupsPath", request->runtime.cgroups_path);
  write_resources(out, &request->runtime);
  write_devices(out, request);
  write_sysctls_(out, request);
  fputc(',', out);
  write_strings(out, "maskedPaths", &request->masked_paths);
  fputc(',', out);
  write_strings(out, "readonlyPaths", &request->read_only_paths);
  if (propagation != NULL) fprintf(out, ",\"rootfsPropagation\":\"%s\"", propagation);
  write_seccomp(out, &request->process.seccomp);
  fputc('}', out);
}

static void write_config(FILE *out, const char *root, const struct launch_request *request, const struct identity *identity) {
  fprintf(out, "{\"ociVersion\":\"1.0.2\",\"process\":");
  write_process(out, &request->process, identity);
  fprintf(out, ",\"root\":{");
  write_text(out, "path", root);
  fprintf(out, ",\"readonly\":%s}", request->root_read_only ? "true" : "false");
  if (request->uts.kind == NS_NEW) {
    fputc(',', out);
    write_text(out, "hostname", request->hostname);
    if (request->domain_name[0] != 0) {
      fputc(',', out);
      write_text(out, "domainname", request->domain_name);
    }
  }
  fprintf(out, ",\"mounts\":[");
  for (uint32_t i = 0; i < request->mount_count; i++) {
    if (i > 0) fputc(',', out);
    write_mount(out, request, i);
  }
  fputc(']', out);
  write_linux(out, request);
  fprintf(out, "}\n");
}

static FILE *create(int folder, const char *path) {
  int file = openat(folder, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  return file < 0 ? NULL : fdopen(file, "w");
}

static int finish(FILE *out, const char *path, struct fault *fault) {
  bool bad = fflush(out) != 0;
  bad = fclose(out) != 0 || bad;
  return bad ? fault_set(fault, "write %s", path) : 0;
}

int bundle_write(int folder, const char *root, const struct launch_request *request, const struct identity *identity,
                 struct fault *fault) {
  FILE *out = create(folder, "config.json");
  if (out == NULL) return fault_set(fault, "write config.json");
  write_config(out, root, request, identity);
  return finish(out, "config.json", fault);
}

int bundle_write_process(const char *path, const struct process_plan *process, const struct identity *identity,
                         struct fault *fault) {
  FILE *out = create(AT_FDCWD, path);
  if (out == NULL) return fault_set(fault, "write %s", path);
  write_process(out, process, identity);
  return finish(out, path, fault);
}
