// linux.resources as writes to the files of the groups. A limit whose controller is not there is refused, not ignored.
#include "oci.h"
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define WRITES_MAX 64
#define RULES_MAX 240

struct resources {
  struct launch_request *request;
  struct arena *arena;
  struct fault *fault;
  bool unified; // the controllers are on version 2
};

static struct group_plan *group_of(const struct resources *resources, const char *controller) {
  char listed[32];
  snprintf(listed, sizeof listed, ",%s,", controller);
  for (uint32_t i = 0; i < resources->request->group_count; i++) {
    struct group_plan *group = &resources->request->groups[i];
    if (resources->unified ? group->version == 2 : group->version == 1 && strstr(group->controllers, listed) != NULL) return group;
  }
  return NULL;
}

static void add(struct resources *resources, const char *controller, const char *file, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void add(struct resources *resources, const char *controller, const char *file, const char *format, ...) {
  struct group_plan *group = group_of(resources, controller);
  char text[4096];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (group == NULL) fault_say(resources->fault, FAULT_INVALID, "this machine has no cgroup controller %s for %s", controller, file);
  else if (length >= (int)sizeof text || group->write_count == WRITES_MAX)
    fault_say(resources->fault, FAULT_INVALID, "too much for cgroup file %s", file);
  else {
    if (group->writes == NULL) group->writes = arena_take(resources->arena, WRITES_MAX * sizeof *group->writes, resources->fault);
    char *value = arena_take(resources->arena, (size_t)length + 1, resources->fault);
    if (group->writes == NULL || value == NULL) return;
    group->writes[group->write_count++] = (struct group_write){file, strcpy(value, text)};
  }
}

// -1 is "no limit": "max" on version 2.
static void add_bytes(struct resources *resources, const char *controller, const char *file, int64_t bytes) {
  if (bytes < 0 && resources->unified) add(resources, controller, file, "max");
  else add(resources, controller, file, "%" PRId64, bytes);
}

static void read_memory(struct resources *resources, const struct json *memory) {
  int64_t limit = json_integer(memory, "limit", 0, resources->fault), swap = json_integer(memory, "swap", 0, resources->fault);
  int64_t reservation = json_integer(memory, "reservation", 0, resources->fault);
  uint64_t swappiness = json_unsigned(memory, "swappiness", UINT64_MAX, resources->fault);
  bool unified = resources->unified;
  if (limit != 0) add_bytes(resources, "memory", unified ? "memory.max" : "memory.limit_in_bytes", limit);
  if (swap != 0 && unified) add_bytes(resources, "memory", "memory.swap.max", swap < 0 || limit < 0 ? -1 : swap - limit);
  else if (swap != 0) add_bytes(resources, "memory", "memory.memsw.limit_in_bytes", swap);
  if (reservation != 0) add_bytes(resources, "memory", unified ? "memory.low" : "memory.soft_limit_in_bytes", reservation);
  if (swappiness <= 100 && !unified) add(resources, "memory", "memory.swappiness", "%" PRIu64, swappiness);
  if (json_flag(memory, "disableOOMKiller", false, resources->fault)) {
    if (unified) fault_say(resources->fault, FAULT_INVALID, "disableOOMKiller is not possible on cgroup version 2");
    else add(resources, "memory", "memory.oom_control", "1");
  }
}

static void read_cpu(struct resources *resources, const struct json *cpu) {
  uint64_t shares = json_unsigned(cpu, "shares", 0, resources->fault), period = json_unsigned(cpu, "period", 0, resources->fault);
  int64_t quota = json_integer(cpu, "quota", 0, resources->fault);
  const char *cpus = json_text(cpu, "cpus", "", resources->fault), *mems = json_text(cpu, "mems", "", resources->fault);
  if (json_integer(cpu, "realtimeRuntime", 0, resources->fault) != 0 || json_integer(cpu, "realtimePeriod", 0, resources->fault) != 0)
    fault_say(resources->fault, FAULT_INVALID, "real-time limits of the CPU are not supported");
  if (resources->unified) {
    uint64_t bounded = shares < 2 ? 2 : shares > 262144 ? 262144 : shares;
    if (shares != 0) add(resources, "cpu", "cpu.weight", "%" PRIu64, 1 + (bounded - 2) * 9999 / 262142);
    if (quota > 0) add(resources, "cpu", "cpu.max", "%" PRId64 " %" PRIu64, quota, period ? period : 100000);
    else if (quota < 0 || period != 0) add(resources, "cpu", "cpu.max", "max %" PRIu64, period ? period : 100000);
  } else {
    if (shares != 0) add(resources, "cpu", "cpu.shares", "%" PRIu64, shares);
    if (period != 0) add(resources, "cpu", "cpu.cfs_period_us", "%" PRIu64, period);
    if (quota != 0) add(resources, "cpu", "cpu.cfs_quota_us", "%" PRId64, quota);
  }
  if (cpus[0] != 0) add(resources, "cpuset", "cpuset.cpus", "%s", cpus);
  if (mems[0] != 0) add(resources, "cpuset", "cpuset.mems", "%s", mems);
}

static void read_throttle(struct resources *resources, const struct json *io, const char *key, const char *v1, const char *v2) {
  for (const struct json *entry = json_list(io, key, resources->fault); entry != NULL; entry = entry->next) {
    int64_t major = json_integer(entry, "major", 0, resources->fault), minor = json_integer(entry, "minor", 0, resources->fault);
    uint64_t rate = json_unsigned(entry, "rate", 0, resources->fault);
    if (resources->unified) add(resources, "io", "io.max", "%" PRId64 ":%" PRId64 " %s=%" PRIu64, major, minor, v2, rate);
    else add(resources, "blkio", v1, "%" PRId64 ":%" PRId64 " %" PRIu64, major, minor, rate);
  }
}

static void read_block_io(struct resources *resources, const struct json *io) {
  uint64_t weight = json_unsigned(io, "weight", 0, resources->fault);
  if (weight != 0 && resources->unified) add(resources, "io", "io.bfq.weight", "%" PRIu64, weight);
  else if (weight != 0) add(resources, "blkio", "blkio.bfq.weight", "%" PRIu64, weight);
  if (json_list(io, "weightDevice", resources->fault) != NULL)
    fault_say(resources->fault, FAULT_INVALID, "weights of single block devices are not supported");
  read_throttle(resources, io, "throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps");
  read_throttle(resources, io, "throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps");
  read_throttle(resources, io, "throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops");
  read_throttle(resources, io, "throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops");
}

static void read_unified(struct resources *resources, const struct json *table) {
  for (const struct json *entry = table != NULL ? table->first : NULL; entry != NULL; entry = entry->next) {
    if (!resources->unified || entry->kind != JSON_STRING || strchr(entry->key, '/') != NULL)
      fault_say(resources->fault, FAULT_INVALID, "resources.unified.%s is not possible here", entry->key);
    else add(resources, "", entry->key, "%s", entry->text);
  }
}

// What every container may use, behind the rules given (as runc has it).
static const struct device_rule ALWAYS[] = {
    {true, 'c', -1, -1, "m"}, {true, 'b', -1, -1, "m"},  {true, 'c', 1, 3, "rwm"},    {true, 'c', 1, 5, "rwm"},
    {true, 'c', 1, 7, "rwm"}, {true, 'c', 1, 8, "rwm"},  {true, 'c', 1, 9, "rwm"},    {true, 'c', 5, 0, "rwm"},
    {true, 'c', 5, 1, "rwm"}, {true, 'c', 5, 2, "rwm"},  {true, 'c', 136, -1, "rwm"}};
#define ALWAYS_COUNT (sizeof ALWAYS / sizeof *ALWAYS)

static struct device_rule read_rule(const struct json *entry, struct fault *fault) {
  struct device_rule rule = {.allow = json_flag(entry, "allow", false, fault)};
  const char *type = json_text(entry, "type", "a", fault);
  rule.type = type[0] == 0 ? 'a' : type[0];
  rule.major = (int32_t)json_integer(entry, "major", -1, fault);
  rule.minor = (int32_t)json_integer(entry, "minor", -1, fault);
  rule.access = json_text(entry, "access", "rwm", fault);
  if (rule.access[0] == 0) rule.access = "rwm";
  if (strchr("abc", rule.type) == NULL) fault_say(fault, FAULT_INVALID, "device type '%s' is not possible", type);
  return rule;
}

static void write_rule(struct resources *resources, const struct device_rule *rule) {
  char major[16] = "*", minor[16] = "*";
  const char *file = rule->allow ? "devices.allow" : "devices.deny";
  if (rule->type == 'a') return add(resources, "devices", file, "a");
  if (rule->major >= 0) snprintf(major, sizeof major, "%d", rule->major);
  if (rule->minor >= 0) snprintf(minor, sizeof minor, "%d", rule->minor);
  add(resources, "devices", file, "%c %s:%s %s", rule->type, major, minor, rule->access);
}

// As a program on the cgroup2 folder where there is one, else as the files of version 1.
static void read_devices(struct resources *resources, const struct json *table) {
  struct launch_request *request = resources->request;
  const struct json *entry = json_list(table, "devices", resources->fault);
  uint32_t count = json_count(entry);
  if (count > RULES_MAX) return (void)fault_say(resources->fault, FAULT_INVALID, "more than %d device rules", RULES_MAX);
  struct device_rule *rules = arena_take(resources->arena, (count + 1 + ALWAYS_COUNT) * sizeof *rules, resources->fault);
  if (rules == NULL) return;
  uint32_t length = 0;
  rules[length++] = (struct device_rule){false, 'a', -1, -1, "rwm"};
  for (; entry != NULL; entry = entry->next) rules[length++] = read_rule(entry, resources->fault);
  memcpy(rules + length, ALWAYS, sizeof ALWAYS);
  length += ALWAYS_COUNT;
  for (uint32_t i = 0; i < request->group_count; i++) request->has_device_rules |= request->groups[i].version == 2;
  request->device_rules = rules;
  request->device_rule_count = length;
  if (request->has_device_rules) return;
  for (uint32_t i = 0; i < length; i++) write_rule(resources, &rules[i]);
}

int oci_read_resources(const struct json *table, bool is_new, struct arena *arena, struct launch_request *request, struct fault *fault) {
  struct resources resources = {request, arena, fault, true};
  for (uint32_t i = 0; i < request->group_count; i++)
    if (request->groups[i].version == 1 && strstr(request->groups[i].controllers, ",memory,") != NULL) resources.unified = false;
  read_memory(&resources, json_member(table, "memory"));
  read_cpu(&resources, json_member(table, "cpu"));
  int64_t pids = json_integer(json_member(table, "pids"), "limit", 0, fault);
  if (pids > 0) add(&resources, "pids", "pids.max", "%" PRId64, pids);
  else if (pids < 0) add(&resources, "pids", "pids.max", "max");
  read_block_io(&resources, json_member(table, "blockIO"));
  read_unified(&resources, json_member(table, "unified"));
  if (!is_new && json_member(table, "devices") != NULL)
    fault_say(fault, FAULT_INVALID, "device rules of a running container can not be changed");
  static const char *const refused[] = {"hugepageLimits", "network", "rdma"};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    const struct json *member = json_member(table, refused[i]);
    if (member != NULL && member->first != NULL) fault_say(fault, FAULT_INVALID, "resources.%s is not supported", refused[i]);
  }
  if (is_new) read_devices(&resources, table);
  return fault->kind == FAULT_NONE ? 0 : -1;
}
