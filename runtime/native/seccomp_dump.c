// Compiles the policy of an exec frame (standard input) and writes the program (standard output): lets a test, or a
// person with a disassembler, see what the kernel gets.
#include "request.h"
#include "seccomp.h"
#include <stdio.h>
#include <unistd.h>

static int compile(const uint8_t *frame, size_t length, struct seccomp_program *program, struct fault *fault) {
  static struct arena arena;
  struct process_plan plan = {0};
  struct reader reader = {frame + FRAME_HEADER, frame + length, fault};
  if (arena_map(&arena, 16 * length + (256 << 10), fault) < 0) return -1;
  read_u32(&reader);    // request
  read_string(&reader); // exec id
  read_u8(&reader);     // streams
  if (parse_process(&reader, &arena, &plan) < 0) return -1;
  return seccomp_compile(&plan.seccomp, &arena, program, fault);
}

int seccomp_dump_main(void) {
  static uint8_t frame[FRAME_BYTES_MAX];
  struct fault fault = {0};
  struct seccomp_program program;
  if (read_fully(0, frame, 4) < 0) return 2;
  size_t length = 4 + (size_t)load_u32(frame);
  if (length < FRAME_HEADER || length > sizeof frame || read_fully(0, frame + 4, length - 4) < 0) return 2;
  if (compile(frame, length, &program, &fault) < 0) return fprintf(stderr, "%s\n", fault.text), 1;
  return write_fully(1, program.instructions, program.length * sizeof *program.instructions) < 0 ? 1 : 0;
}
