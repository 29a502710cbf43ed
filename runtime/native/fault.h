// What went wrong, in a sentence that names the step, with whose fault it is. Set once: the first cause is kept.
#pragma once
#include <stdint.h>

enum fault_kind { FAULT_NONE = 0, FAULT_INTERNAL = 1, FAULT_INVALID = 2, FAULT_CONFLICT = 3, FAULT_NOT_FOUND = 4, FAULT_FORBIDDEN = 5 };

struct fault {
  uint32_t kind;
  int32_t error; // errno of the failed call, 0 when there was none
  char text[700];
};

// Always returns -1, so that a failing step is one line: `return fault_set(fault, "mount proc")`.
// fault_set appends the words of errno; fault_say uses the text alone.
int fault_set(struct fault *fault, const char *format, ...) __attribute__((format(printf, 2, 3)));
int fault_say(struct fault *fault, enum fault_kind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
// The same as fault_set with code `invalid`: the caller asked for something that is not there.
int fault_invalid(struct fault *fault, const char *format, ...) __attribute__((format(printf, 2, 3)));
// The kernel's words for an errno, in Go's spelling, which Docker's clients match on.
const char *error_words(int error);
