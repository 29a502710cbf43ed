// linux.seccomp of config.json as rules of our own compiler.
#include "oci.h"
#include <linux/seccomp.h>
#include <string.h>

static const struct {
  const char *name;
  uint8_t kind;
} ACTIONS[] = {{"SCMP_ACT_ALLOW", SA_ALLOW},
               {"SCMP_ACT_ERRNO", SA_ERRNO},
               {"SCMP_ACT_KILL", SA_KILL},
               {"SCMP_ACT_KILL_PROCESS", SA_KILL_PROCESS},
               {"SCMP_ACT_KILL_THREAD", SA_KILL},
               {"SCMP_ACT_LOG", SA_LOG},
               {"SCMP_ACT_TRAP", SA_TRAP}};

static const char *const OPERATORS[] = {
    [SO_NE] = "SCMP_CMP_NE", [SO_LT] = "SCMP_CMP_LT", [SO_LE] = "SCMP_CMP_LE",
    [SO_EQ] = "SCMP_CMP_EQ", [SO_GE] = "SCMP_CMP_GE", [SO_GT] = "SCMP_CMP_GT",
    [SO_MASKED_EQ] = "SCMP_CMP_MASKED_EQ"};

static const char *const ARCHITECTURES[][2] = {{"SCMP_ARCH_X86_64", "x86_64"},
                                               {"SCMP_ARCH_X86", "x86"},
                                               {"SCMP_ARCH_AARCH64", "aarch64"},
                                               {"SCMP_ARCH_ARM", "arm"}};

#if defined(__aarch64__)
#define OWN_ARCHITECTURE "aarch64"
#else
#define OWN_ARCHITECTURE "x86_64"
#endif
#define COUNT(table) (sizeof table / sizeof *table)

static struct seccomp_action read_action(const struct json *object, const char *key, const char *error_key,
                                         struct fault *fault) {
  struct seccomp_action action = {SA_ERRNO, 1};
  const char *name = json_text(object, key, "", fault);
  size_t at = 0;
  while (at < COUNT(ACTIONS) && strcmp(ACTIONS[at].name, name) != 0) at++;
  if (at == COUNT(ACTIONS)) fault_say(fault, FAULT_INVALID, "seccomp action '%s' is not supported", name);
  else action.kind = ACTIONS[at].kind;
  action.error = (uint32_t)json_integer(object, error_key, 1, fault);
  if (action.error > 4095) fault_say(fault, FAULT_INVALID, "%s %u is out of range", error_key, action.error);
  return action;
}

static struct seccomp_argument read_argument(const struct json *entry, struct fault *fault) {
  struct seccomp_argument argument = {0};
  const char *name = json_text(entry, "op", "", fault);
  argument.index = (uint32_t)json_integer(entry, "index", 0, fault);
  argument.value = json_unsigned(entry, "value", 0, fault);
  argument.value_two = json_unsigned(entry, "valueTwo", 0, fault);
  while (argument.operator_ < SO_OPERATORS && strcmp(OPERATORS[argument.operator_], name) != 0) argument.operator_++;
  if (argument.operator_ == SO_OPERATORS || argument.index > 5)
    fault_say(fault, FAULT_INVALID, "seccomp argument %u with operator '%s' is not possible", argument.index, name);
  return argument;
}

static struct seccomp_rule read_rule(const struct json *entry, struct arena *arena, struct fault *fault) {
  struct seccomp_rule rule = {.names = json_strings(entry, "names", arena, fault),
                              .action = read_action(entry, "action", "errnoRet", fault)};
  const struct json *argument = json_list(entry, "args", fault);
  rule.arguments = arena_take(arena, json_count(argument) * sizeof *rule.arguments, fault);
  for (; argument != NULL && fault->kind == FAULT_NONE; argument = argument->next)
    rule.arguments[rule.argument_count++] = read_argument(argument, fault);
  return rule;
}

// Those that this machine can not run, and x32, which the compiler always refuses, are left out.
static struct strings read_architectures(const struct json *seccomp, struct arena *arena, struct fault *fault) {
  struct strings named = json_strings(seccomp, "architectures", arena, fault);
  struct strings known = {0, arena_take(arena, (named.count + 2) * sizeof *known.items, fault)};
  if (known.items == NULL) return named;
  for (uint32_t i = 0; i < named.count; i++)
    for (size_t at = 0; at < COUNT(ARCHITECTURES); at++)
      if (strcmp(ARCHITECTURES[at][0], named.items[i]) == 0) known.items[known.count++] = ARCHITECTURES[at][1];
  if (known.count == 0) known.items[known.count++] = OWN_ARCHITECTURE;
  return known;
}

// What the compiler's filter always has: speculation allowed; one thread loads it, so that TSYNC has nothing to do.
static void check_flags(const struct json *seccomp, struct arena *arena, struct fault *fault) {
  struct strings flags = json_strings(seccomp, "flags", arena, fault);
  for (uint32_t i = 0; i < flags.count; i++)
    if (strcmp(flags.items[i], "SECCOMP_FILTER_FLAG_SPEC_ALLOW") != 0 &&
        strcmp(flags.items[i], "SECCOMP_FILTER_FLAG_TSYNC") != 0)
      fault_say(fault, FAULT_INVALID, "seccomp flag %s is not supported", flags.items[i]);
}

int oci_read_seccomp(const struct json *seccomp, struct arena *arena, struct seccomp_policy *policy, struct fault *fault) {
  *policy = (struct seccomp_policy){0};
  if (seccomp == NULL) return 0;
  if (json_member(seccomp, "listenerPath") != NULL)
    return fault_say(fault, FAULT_INVALID, "linux.seccomp.listenerPath is not supported");
  policy->present = true;
  policy->fallback = read_action(seccomp, "defaultAction", "defaultErrnoRet", fault);
  policy->architectures = read_architectures(seccomp, arena, fault);
  check_flags(seccomp, arena, fault);
  const struct json *entry = json_list(seccomp, "syscalls", fault);
  policy->rules = arena_take(arena, json_count(entry) * sizeof *policy->rules, fault);
  for (; entry != NULL && fault->kind == FAULT_NONE; entry = entry->next)
    policy->rules[policy->rule_count++] = read_rule(entry, arena, fault);
  return fault->kind == FAULT_NONE ? 0 : -1;
}

void oci_write_seccomp_features(FILE *out) {
  fprintf(out, "{\"enabled\":true,\"actions\":[");
  for (size_t i = 0; i < COUNT(ACTIONS); i++) fprintf(out, "%s\"%s\"", i ? "," : "", ACTIONS[i].name);
  fprintf(out, "],\"operators\":[");
  for (size_t i = 0; i < COUNT(OPERATORS); i++) fprintf(out, "%s\"%s\"", i ? "," : "", OPERATORS[i]);
  fprintf(out, "],\"archs\":[");
  for (size_t i = 0; i < COUNT(ARCHITECTURES); i++) fprintf(out, "%s\"%s\"", i ? "," : "", ARCHITECTURES[i][0]);
  fprintf(out, "]}");
}
