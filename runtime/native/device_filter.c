// Device rules as a BPF program on the cgroup2 folder; works on hybrid hosts too. The last rule that speaks of a device
// decides, as with the v1 controller's successive writes; what no rule speaks of is denied.
#include "cgroup.h"
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INSTRUCTIONS_PER_RULE 9
#define RULES_MAX 256

enum { R_RETURN = 0, R_CONTEXT = 1, R_TYPE = 2, R_ACCESS = 3, R_MAJOR = 4, R_MINOR = 5, R_SCRATCH = 6 };

struct program {
  struct bpf_insn code[INSTRUCTIONS_PER_RULE * RULES_MAX + 16];
  uint32_t length;
};

static void add(struct program *program, uint8_t code, uint8_t to, uint8_t from, int16_t offset, int32_t value) {
  program->code[program->length++] =
      (struct bpf_insn){.code = code, .dst_reg = to, .src_reg = from, .off = offset, .imm = value};
}

static void load_field(struct program *program, uint8_t to, size_t offset) {
  add(program, BPF_LDX | BPF_MEM | BPF_W, to, R_CONTEXT, (int16_t)offset, 0);
}

// access_type is access << 16 | type.
static void prologue(struct program *program) {
  load_field(program, R_TYPE, offsetof(struct bpf_cgroup_dev_ctx, access_type));
  add(program, BPF_ALU | BPF_MOV | BPF_X, R_ACCESS, R_TYPE, 0, 0);
  add(program, BPF_ALU | BPF_RSH | BPF_K, R_ACCESS, 0, 0, 16);
  add(program, BPF_ALU | BPF_AND | BPF_K, R_TYPE, 0, 0, 0xffff);
  load_field(program, R_MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
  load_field(program, R_MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor));
}

static int32_t access_bits(const char *access) {
  int32_t bits = 0;
  if (strchr(access, 'm') != NULL) bits |= BPF_DEVCG_ACC_MKNOD;
  if (strchr(access, 'r') != NULL) bits |= BPF_DEVCG_ACC_READ;
  if (strchr(access, 'w') != NULL) bits |= BPF_DEVCG_ACC_WRITE;
  return bits;
}

static void finish(struct program *program, int allow) {
  add(program, BPF_ALU64 | BPF_MOV | BPF_K, R_RETURN, 0, 0, allow);
  add(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

// A rule's tests jump over it when they fail: their offsets are filled in once its length is known.
static void add_rule(struct program *program, const struct device_rule *rule) {
  uint32_t tests[4], count = 0, access = (uint32_t)access_bits(rule->access);
  if (rule->type != 'a') {
    tests[count++] = program->length;
    add(program, BPF_JMP | BPF_JNE | BPF_K, R_TYPE, 0, 0, rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
  }
  if (access != 7) {
    // Allowing needs every asked-for access to be covered; denying needs one of them.
    add(program, BPF_ALU | BPF_MOV | BPF_X, R_SCRATCH, R_ACCESS, 0, 0);
    add(program, BPF_ALU | BPF_AND | BPF_K, R_SCRATCH, 0, 0, (int32_t)access);
    tests[count++] = program->length;
    if (rule->allow) add(program, BPF_JMP | BPF_JNE | BPF_X, R_SCRATCH, R_ACCESS, 0, 0);
    else add(program, BPF_JMP | BPF_JEQ | BPF_K, R_SCRATCH, 0, 0, 0);
  }
  if (rule->major >= 0) {
    tests[count++] = program->length;
    add(program, BPF_JMP | BPF_JNE | BPF_K, R_MAJOR, 0, 0, rule->major);
  }
  if (rule->minor >= 0) {
    tests[count++] = program->length;
    add(program, BPF_JMP | BPF_JNE | BPF_K, R_MINOR, 0, 0, rule->minor);
  }
  finish(program, rule->allow);
  for (uint32_t i = 0; i < count; i++) program->code[tests[i]].off = (int16_t)(program->length - tests[i] - 1);
}

static int bpf(int command, union bpf_attr *attributes) {
  return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

static int load(const struct program *program, struct fault *fault) {
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insns = (uint64_t)(uintptr_t)program->code;
  attributes.insn_cnt = program->length;
  attributes.license = (uint64_t)(uintptr_t)"Apache-2.0";
  int loaded = bpf(BPF_PROG_LOAD, &attributes);
  return loaded >= 0 ? loaded : fault_set(fault, "load the device rules");
}

int device_filter_attach(int group, const struct device_rule *rules, uint32_t count, struct fault *fault) {
  static struct program program;
  if (count > RULES_MAX) return fault_say(fault, FAULT_INVALID, "more than %d device rules", RULES_MAX);
  program.length = 0;
  prologue(&program);
  bool decided = false;
  for (uint32_t i = count; i-- > 0 && !decided;) {
    add_rule(&program, &rules[i]);
    decided = rules[i].type == 'a' && rules[i].major < 0 && rules[i].minor < 0 && access_bits(rules[i].access) == 7;
  }
  if (!decided) finish(&program, 0); // the verifier refuses unreachable code
  int loaded = load(&program, fault);
  if (loaded < 0) return -1;
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.target_fd = (uint32_t)group;
  attributes.attach_bpf_fd = (uint32_t)loaded;
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  int result = bpf(BPF_PROG_ATTACH, &attributes);
  if (result < 0) fault_set(fault, "attach the device rules");
  close(loaded);
  return result;
}
