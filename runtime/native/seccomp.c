// Compiles rules to classic BPF: check the architecture, then a binary search over contiguous ranges of system call
// numbers with equal verdict, argument checks as leaves. The kernel runs it for each call and precomputes a bitmap of
// always-allowed ones, so fewer instructions are better: about 270 for the default policy on two architectures.
//
// Code is emitted backwards, from the highest address down: when a jump is written, its targets are already placed.
#include "seccomp.h"
#include "seccomp_table.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INSTRUCTIONS_MAX 4096 // the kernel's limit
#define RANGES_MAX 1024
#define GAP_MAX 1000 // numbers further above the last known one than this are not "between" known ones
#define SHARED_WITHIN 120 // well inside a jump's reach of 255, as the jump itself comes a little later
#define X32_BIT 0x40000000u

#ifndef SECCOMP_RET_KILL_PROCESS
#define SECCOMP_RET_KILL_PROCESS 0x80000000u
#endif

// The rules that name one system call, in the policy's order.
struct use {
  const struct seccomp_rule *rule;
  struct use *next;
};
struct verdict {
  bool decided; // an unconditional rule was seen
  uint32_t result;
  struct use *conditional, **last;
};

struct range {
  uint32_t from;
  const struct verdict *verdict;
};

struct compiler {
  const struct seccomp_policy *policy;
  struct arena *arena;
  struct fault *fault;
  struct verdict *verdicts; // one for each row of the table
  struct verdict fallback, unknown;
  struct sock_filter *code; // INSTRUCTIONS_MAX, filled from the end
  uint32_t at;
};

static uint32_t result_of(struct seccomp_action action) {
  switch (action.kind) {
  case SA_ALLOW: return SECCOMP_RET_ALLOW;
  case SA_TRAP: return SECCOMP_RET_TRAP;
  case SA_LOG: return SECCOMP_RET_LOG;
  case SA_ERRNO: return SECCOMP_RET_ERRNO | action.error;
  case SA_KILL_PROCESS: return SECCOMP_RET_KILL_PROCESS;
  default: return SECCOMP_RET_KILL;
  }
}

static uint32_t emit(struct compiler *compiler, uint16_t code, uint8_t yes, uint8_t no, uint32_t value) {
  if (compiler->at == 0) {
    fault_say(compiler->fault, FAULT_INVALID, "the seccomp profile needs more than %d instructions", INSTRUCTIONS_MAX);
    return 0;
  }
  compiler->code[--compiler->at] = (struct sock_filter){code, yes, no, value};
  return compiler->at;
}

static uint32_t emit_return(struct compiler *compiler, uint32_t result) {
  return emit(compiler, BPF_RET | BPF_K, 0, 0, result);
}

// A conditional jump to two places above; what is out of an 8-bit offset's reach goes over a long jump.
static uint32_t emit_jump(struct compiler *compiler, uint16_t test, uint32_t value, uint32_t yes, uint32_t no) {
  uint32_t next = compiler->at;
  if (yes - next > 254) {
    emit(compiler, BPF_JMP | BPF_JA, 0, 0, yes - next);
    yes = compiler->at;
  }
  next = compiler->at;
  if (no - next > 254) {
    emit(compiler, BPF_JMP | BPF_JA, 0, 0, no - next);
    no = compiler->at;
  }
  next = compiler->at;
  return emit(compiler, BPF_JMP | BPF_K | test, (uint8_t)(yes - next), (uint8_t)(no - next), value);
}

static uint32_t emit_load(struct compiler *compiler, uint32_t offset) {
  return emit(compiler, BPF_LD | BPF_W | BPF_ABS, 0, 0, offset);
}

// (argument & mask) == value, as two 32-bit halves.
static uint32_t emit_masked(struct compiler *compiler, uint32_t offset, uint64_t mask, uint64_t value, uint32_t pass,
                            uint32_t otherwise) {
  emit_jump(compiler, BPF_JEQ, (uint32_t)value, pass, otherwise);
  if ((uint32_t)mask != 0xffffffffu) emit(compiler, BPF_ALU | BPF_AND | BPF_K, 0, 0, (uint32_t)mask);
  uint32_t low = emit_load(compiler, offset);
  if (mask >> 32 == 0 && value >> 32 == 0) return low;
  emit_jump(compiler, BPF_JEQ, (uint32_t)(value >> 32), low, otherwise);
  if (mask >> 32 != 0xffffffffu) emit(compiler, BPF_ALU | BPF_AND | BPF_K, 0, 0, (uint32_t)(mask >> 32));
  return emit_load(compiler, offset + 4);
}

// argument > value, or >= with `test` BPF_JGE.
static uint32_t emit_above(struct compiler *compiler, uint32_t offset, uint16_t test, uint64_t value, uint32_t pass,
                           uint32_t otherwise) {
  emit_jump(compiler, test, (uint32_t)value, pass, otherwise);
  uint32_t low = emit_load(compiler, offset);
  uint32_t equal = emit_jump(compiler, BPF_JEQ, (uint32_t)(value >> 32), low, otherwise);
  emit_jump(compiler, BPF_JGT, (uint32_t)(value >> 32), pass, equal);
  return emit_load(compiler, offset + 4);
}

static uint32_t emit_argument(struct compiler *compiler, const struct seccomp_argument *argument, uint32_t pass,
                              uint32_t otherwise) {
  uint32_t offset = (uint32_t)offsetof(struct seccomp_data, args) + 8 * argument->index; // little-endian halves
  uint64_t value = argument->value;
  switch (argument->operator_) {
  case SO_EQ: return emit_masked(compiler, offset, UINT64_MAX, value, pass, otherwise);
  case SO_NE: return emit_masked(compiler, offset, UINT64_MAX, value, otherwise, pass);
  case SO_MASKED_EQ: return emit_masked(compiler, offset, value, argument->value_two, pass, otherwise);
  case SO_GT: return emit_above(compiler, offset, BPF_JGT, value, pass, otherwise);
  case SO_GE: return emit_above(compiler, offset, BPF_JGE, value, pass, otherwise);
  case SO_LE: return emit_above(compiler, offset, BPF_JGT, value, otherwise, pass);
  default: return emit_above(compiler, offset, BPF_JGE, value, otherwise, pass); // SO_LT
  }
}

static bool repeats_an_index(const struct seccomp_rule *rule) {
  uint32_t seen = 0;
  for (uint32_t i = 0; i < rule->argument_count; i++) {
    if (seen >> rule->arguments[i].index & 1) return true;
    seen |= 1u << rule->arguments[i].index;
  }
  return false;
}

// All conditions must hold; but two conditions on one argument are alternatives (runc and Docker have it so).
static uint32_t emit_rule(struct compiler *compiler, const struct seccomp_rule *rule, uint32_t otherwise) {
  bool alternatives = repeats_an_index(rule);
  uint32_t pass = emit_return(compiler, result_of(rule->action));
  uint32_t matched = pass;
  for (uint32_t i = rule->argument_count; i-- > 0;) {
    pass = emit_argument(compiler, &rule->arguments[i], pass, otherwise);
    if (alternatives && i > 0) {
      otherwise = pass;
      pass = matched;
    }
  }
  return compiler->at;
}

static void emit_conditional(struct compiler *compiler, const struct use *use, uint32_t fallback) {
  if (use == NULL) {
    emit_return(compiler, fallback);
    return;
  }
  emit_conditional(compiler, use->next, fallback);
  emit_rule(compiler, use->rule, compiler->at);
}

// An equal return that was placed shortly before serves again.
static uint32_t nearby_return(const struct compiler *compiler, uint32_t result) {
  for (uint32_t at = compiler->at; at < INSTRUCTIONS_MAX && at - compiler->at < SHARED_WITHIN; at++)
    if (compiler->code[at].code == (BPF_RET | BPF_K) && compiler->code[at].k == result) return at;
  return INSTRUCTIONS_MAX;
}

static uint32_t emit_verdict(struct compiler *compiler, const struct verdict *verdict) {
  uint32_t shared = verdict->conditional != NULL ? INSTRUCTIONS_MAX : nearby_return(compiler, verdict->result);
  if (shared != INSTRUCTIONS_MAX) return shared;
  emit_conditional(compiler, verdict->conditional, verdict->result);
  return compiler->at;
}

static uint32_t emit_search(struct compiler *compiler, const struct range *ranges, uint32_t count) {
  if (count == 1) return emit_verdict(compiler, ranges->verdict);
  uint32_t half = count / 2;
  uint32_t above = emit_search(compiler, ranges + half, count - half);
  uint32_t below = emit_search(compiler, ranges, half);
  return emit_jump(compiler, BPF_JGE, ranges[half].from, above, below);
}

static int by_name(const void *name, const void *row) {
  return strcmp(name, ((const struct syscall_row *)row)->name);
}

// A name that no architecture here has is passed over, as other runtimes do: profiles name calls of newer kernels.
static void note_rule(struct compiler *compiler, const char *name, const struct seccomp_rule *rule) {
  const struct syscall_row *row = bsearch(name, SYSCALLS, SYSCALL_COUNT, sizeof *SYSCALLS, by_name);
  if (row == NULL) return;
  struct verdict *verdict = &compiler->verdicts[row - SYSCALLS];
  if (verdict->decided) return;
  if (rule->argument_count == 0) {
    verdict->decided = true;
    verdict->result = result_of(rule->action);
    return;
  }
  struct use *use = arena_take(compiler->arena, sizeof *use, compiler->fault);
  if (use == NULL) return;
  *use = (struct use){rule, NULL};
  *verdict->last = use;
  verdict->last = &use->next;
}

static void note_rules(struct compiler *compiler) {
  for (uint32_t i = 0; i < SYSCALL_COUNT; i++) {
    compiler->verdicts[i] = compiler->fallback;
    compiler->verdicts[i].last = &compiler->verdicts[i].conditional;
  }
  // Unconditional rules last: `decided` would otherwise hide conditional ones that come after.
  for (int conditional = 1; conditional >= 0; conditional--)
    for (uint32_t i = 0; i < compiler->policy->rule_count; i++) {
      const struct seccomp_rule *rule = &compiler->policy->rules[i];
      if ((rule->argument_count > 0) != (conditional == 1)) continue;
      for (uint32_t n = 0; n < rule->names.count; n++) note_rule(compiler, rule->names.items[n], rule);
    }
}

static int by_number(const void *left, const void *right) {
  uint32_t a = ((const struct range *)left)->from, b = ((const struct range *)right)->from;
  return a < b ? -1 : a > b;
}

static bool same_verdict(const struct verdict *left, const struct verdict *right) {
  return left->conditional == right->conditional && left->result == right->result;
}

static void add_range(struct range *ranges, uint32_t *count, uint32_t from, const struct verdict *verdict) {
  if (*count > 0 && same_verdict(ranges[*count - 1].verdict, verdict)) return;
  ranges[(*count)++] = (struct range){from, verdict};
}

// The known numbers in order, with what lies between and above them.
static uint32_t make_ranges(const struct compiler *compiler, enum table_column column, struct range *ranges) {
  static struct range known[RANGES_MAX];
  uint32_t known_count = 0, count = 0, next = 0;
  for (uint32_t i = 0; i < SYSCALL_COUNT && known_count < RANGES_MAX; i++)
    if (SYSCALLS[i].number[column] >= 0)
      known[known_count++] = (struct range){(uint32_t)SYSCALLS[i].number[column], &compiler->verdicts[i]};
  qsort(known, known_count, sizeof *known, by_number);
  for (uint32_t i = 0; i < known_count; i++) {
    uint32_t number = known[i].from;
    if (number > next) add_range(ranges, &count, next, number - next > GAP_MAX ? &compiler->unknown : &compiler->fallback);
    add_range(ranges, &count, number, known[i].verdict);
    next = number + 1;
  }
  add_range(ranges, &count, next, &compiler->unknown);
  return count;
}

static const struct {
  const char *name;
  enum table_column column;
  uint32_t audit;
} ARCHITECTURES[] = {{"x86_64", TABLE_X86_64, AUDIT_ARCH_X86_64},
                     {"x86", TABLE_X86, AUDIT_ARCH_I386},
                     {"aarch64", TABLE_AARCH64, AUDIT_ARCH_AARCH64},
                     {"arm", TABLE_ARM, AUDIT_ARCH_ARM}};

// x32 calls arrive with x86_64's architecture and bit 30 set; they get what a kernel without x32 answers.
static uint32_t emit_architecture(struct compiler *compiler, enum table_column column) {
  static struct range ranges[2 * RANGES_MAX];
  uint32_t x32 = column == TABLE_X86_64 ? emit_return(compiler, SECCOMP_RET_ERRNO | ENOSYS) : 0;
  uint32_t count = make_ranges(compiler, column, ranges);
  uint32_t search = emit_search(compiler, ranges, count);
  if (column == TABLE_X86_64) emit_jump(compiler, BPF_JGE, X32_BIT, x32, search);
  return emit_load(compiler, offsetof(struct seccomp_data, nr));
}

static int emit_program(struct compiler *compiler) {
  const struct strings *wanted = &compiler->policy->architectures;
  uint32_t start = emit_return(compiler, SECCOMP_RET_KILL_PROCESS);
  for (uint32_t i = wanted->count; i-- > 0;) {
    size_t known = 0;
    while (known < sizeof ARCHITECTURES / sizeof *ARCHITECTURES &&
           strcmp(ARCHITECTURES[known].name, wanted->items[i]) != 0)
      known++;
    if (known == sizeof ARCHITECTURES / sizeof *ARCHITECTURES)
      return fault_say(compiler->fault, FAULT_INVALID, "unknown seccomp architecture '%s'", wanted->items[i]);
    uint32_t block = emit_architecture(compiler, ARCHITECTURES[known].column);
    start = emit_jump(compiler, BPF_JEQ, ARCHITECTURES[known].audit, block, start);
  }
  emit_load(compiler, offsetof(struct seccomp_data, arch));
  return compiler->fault->kind == FAULT_NONE ? 0 : -1;
}

int seccomp_compile(const struct seccomp_policy *policy, struct arena *arena, struct seccomp_program *program,
                    struct fault *fault) {
  *program = (struct seccomp_program){0, NULL};
  if (!policy->present) return 0;
  struct compiler compiler = {.policy = policy, .arena = arena, .fault = fault, .at = INSTRUCTIONS_MAX};
  compiler.fallback.result = result_of(policy->fallback);
  // A call that the profile's author can not have known is missing rather than forbidden, so that programs fall back.
  compiler.unknown.result = policy->fallback.kind == SA_ERRNO ? SECCOMP_RET_ERRNO | ENOSYS : compiler.fallback.result;
  compiler.verdicts = arena_take(arena, SYSCALL_COUNT * sizeof *compiler.verdicts, fault);
  compiler.code = arena_take(arena, INSTRUCTIONS_MAX * sizeof *compiler.code, fault);
  if (compiler.verdicts == NULL || compiler.code == NULL) return -1;
  note_rules(&compiler);
  if (emit_program(&compiler) < 0) return -1;
  program->length = (uint16_t)(INSTRUCTIONS_MAX - compiler.at);
  program->instructions = compiler.code + compiler.at;
  return 0;
}

// SPEC_ALLOW as Docker and runc have it: without it every process in the container pays for speculation barriers.
int seccomp_load(const struct seccomp_program *program, struct fault *fault) {
  if (program->length == 0) return 0;
  struct sock_fprog filter = {program->length, program->instructions};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter) < 0)
    return fault_set(fault, "load the seccomp filter");
  return 0;
}
