// Privileges are given up in this order: bounding set, groups and user (keeping capabilities), seccomp, capabilities.
// So the only system calls that come after the filter are capset and execve.
#include "security.h"
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_CAP_AMBIENT
#define PR_CAP_AMBIENT 47
#define PR_CAP_AMBIENT_RAISE 2
#define PR_CAP_AMBIENT_CLEAR_ALL 4
#endif

// In the kernel's order: the index is the capability's number.
static const char *const CAPABILITIES[] = {
    "CAP_CHOWN",         "CAP_DAC_OVERRIDE",   "CAP_DAC_READ_SEARCH", "CAP_FOWNER",         "CAP_FSETID",
    "CAP_KILL",          "CAP_SETGID",         "CAP_SETUID",          "CAP_SETPCAP",        "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",     "CAP_NET_RAW",        "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",     "CAP_SYS_MODULE",     "CAP_SYS_RAWIO",       "CAP_SYS_CHROOT",     "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",     "CAP_SYS_ADMIN",      "CAP_SYS_BOOT",        "CAP_SYS_NICE",       "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",      "CAP_SYS_TTY_CONFIG", "CAP_MKNOD",           "CAP_LEASE",          "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL", "CAP_SETFCAP",        "CAP_MAC_OVERRIDE",    "CAP_MAC_ADMIN",      "CAP_SYSLOG",
    "CAP_WAKE_ALARM",    "CAP_BLOCK_SUSPEND",  "CAP_AUDIT_READ",      "CAP_PERFMON",        "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE"};
#define CAPABILITY_COUNT (sizeof CAPABILITIES / sizeof *CAPABILITIES)

const char *capability_name(unsigned number) { return number < CAPABILITY_COUNT ? CAPABILITIES[number] : NULL; }

static int parse_set(const struct strings *names, uint64_t *bits, struct fault *fault) {
  *bits = 0;
  for (uint32_t i = 0; i < names->count; i++) {
    size_t number = 0;
    while (number < CAPABILITY_COUNT && strcmp(CAPABILITIES[number], names->items[i]) != 0) number++;
    if (number == CAPABILITY_COUNT) return fault_say(fault, FAULT_INVALID, "invalid capability: \"%s\"", names->items[i]);
    *bits |= 1ull << number;
  }
  return 0;
}

int capabilities_of(const struct process_plan *plan, struct capability_set *set, struct fault *fault) {
  const struct capability_names *names = plan->sets;
  *set = (struct capability_set){0};
  if (names == NULL) {
    int result = parse_set(&plan->capabilities, &set->bounding, fault);
    set->permitted = set->effective = set->bounding;
    return result;
  }
  if (parse_set(&names->bounding, &set->bounding, fault) < 0) return -1;
  if (parse_set(&names->permitted, &set->permitted, fault) < 0) return -1;
  if (parse_set(&names->effective, &set->effective, fault) < 0) return -1;
  if (parse_set(&names->inheritable, &set->inheritable, fault) < 0) return -1;
  return parse_set(&names->ambient, &set->ambient, fault);
}

static int capset_to(uint64_t permitted, uint64_t effective, uint64_t inheritable) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  struct __user_cap_data_struct data[2];
  for (int i = 0; i < 2; i++) {
    data[i].permitted = (uint32_t)(permitted >> (32 * i));
    data[i].effective = (uint32_t)(effective >> (32 * i));
    data[i].inheritable = (uint32_t)(inheritable >> (32 * i));
  }
  return (int)syscall(SYS_capset, &header, data);
}

static uint64_t permitted_now(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  struct __user_cap_data_struct data[2] = {{0}, {0}};
  if (syscall(SYS_capget, &header, data) < 0) return 0;
  return (uint64_t)data[1].permitted << 32 | data[0].permitted;
}

int capabilities_bound(const struct capability_set *set, struct fault *fault) {
  for (int number = 0; number < 64; number++) {
    if (set->bounding >> number & 1) continue;
    if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0) {
      if (errno == EINVAL) break; // beyond the last that this kernel knows
      return fault_set(fault, "drop capability %d", number);
    }
  }
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) return fault_set(fault, "keep the capabilities");
  return 0;
}

int capabilities_finish(const struct capability_set *set, struct fault *fault) {
  uint64_t permitted = set->permitted & permitted_now(); // one that the daemon itself lacks can not be given
  uint64_t inheritable = set->inheritable & permitted, ambient = set->ambient & inheritable;
  if (capset_to(permitted, set->effective & permitted, inheritable) < 0) return fault_set(fault, "set the capabilities");
  for (unsigned number = 0; ambient >> number != 0; number++)
    if ((ambient >> number & 1) != 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) < 0)
      return fault_set(fault, "raise ambient capability %u", number);
  return 0;
}

int identity_take(const struct identity *identity, struct fault *fault) {
  if (setgroups(identity->group_count, identity->groups) < 0) return fault_set(fault, "set the groups");
  if (setresgid(identity->gid, identity->gid, identity->gid) < 0) return fault_set(fault, "set the group");
  if (setresuid(identity->uid, identity->uid, identity->uid) < 0) return fault_set(fault, "set the user");
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return fault_set(fault, "clear the ambient set");
  // A change of user empties the effective set; loading the filter still needs it.
  uint64_t permitted = permitted_now();
  if (capset_to(permitted, permitted, 0) < 0) return fault_set(fault, "restore the effective capabilities");
  return 0;
}

static const struct {
  const char *name;
  int resource;
} RLIMITS[] = {{"as", RLIMIT_AS},           {"core", RLIMIT_CORE},         {"cpu", RLIMIT_CPU},
               {"data", RLIMIT_DATA},       {"fsize", RLIMIT_FSIZE},       {"locks", RLIMIT_LOCKS},
               {"memlock", RLIMIT_MEMLOCK}, {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
               {"nofile", RLIMIT_NOFILE},   {"nproc", RLIMIT_NPROC},       {"rss", RLIMIT_RSS},
               {"rtprio", RLIMIT_RTPRIO},   {"rttime", RLIMIT_RTTIME},     {"sigpending", RLIMIT_SIGPENDING},
               {"stack", RLIMIT_STACK}};

static int resource_of(const char *name) {
  for (size_t i = 0; i < sizeof RLIMITS / sizeof *RLIMITS; i++)
    if (strcmp(RLIMITS[i].name, name) == 0) return RLIMITS[i].resource;
  return -1;
}

static void warn(struct warnings *warnings, const char *name, uint64_t asked, uint64_t given) {
  size_t length = strlen(warnings->text);
  snprintf(warnings->text + length, sizeof warnings->text - length,
           "ulimit %s: %llu is above what this machine allows; using %llu\n", name, (unsigned long long)asked,
           (unsigned long long)given);
}

int rlimits_clamp(struct process_plan *process, struct warnings *warnings, struct fault *fault) {
  for (uint32_t i = 0; i < process->rlimit_count; i++) {
    struct rlimit_plan *plan = &process->rlimits[i];
    struct rlimit now;
    int resource = resource_of(plan->name);
    if (resource < 0) return fault_say(fault, FAULT_INVALID, "invalid ulimit type: %s", plan->name);
    if (plan->soft > plan->hard)
      return fault_say(fault, FAULT_INVALID, "ulimit %s: the soft limit is above the hard limit", plan->name);
    if (getrlimit((unsigned)resource, &now) < 0) return fault_set(fault, "read ulimit %s", plan->name);
    if (plan->hard <= now.rlim_max) continue;
    struct rlimit raised = {now.rlim_cur, plan->hard};
    if (setrlimit((unsigned)resource, &raised) == 0) continue;
    if (errno != EPERM) return fault_set(fault, "raise ulimit %s", plan->name);
    warn(warnings, plan->name, plan->hard, now.rlim_max);
    plan->hard = now.rlim_max;
    if (plan->soft > plan->hard) plan->soft = plan->hard;
  }
  return 0;
}

void rlimits_raise(const struct process_plan *process) {
  for (uint32_t i = 0; i < process->rlimit_count; i++) {
    struct rlimit limit;
    int resource = resource_of(process->rlimits[i].name);
    if (resource < 0 || getrlimit((unsigned)resource, &limit) < 0 || process->rlimits[i].hard <= limit.rlim_max) continue;
    limit.rlim_max = process->rlimits[i].hard;
    setrlimit((unsigned)resource, &limit); // rlimits_clamp tells what could not be
  }
}

int rlimits_set(const struct process_plan *process, struct fault *fault) {
  for (uint32_t i = 0; i < process->rlimit_count; i++) {
    const struct rlimit_plan *plan = &process->rlimits[i];
    struct rlimit limit = {plan->soft, plan->hard};
    if (setrlimit((unsigned)resource_of(plan->name), &limit) < 0) return fault_set(fault, "set ulimit %s", plan->name);
  }
  return 0;
}
