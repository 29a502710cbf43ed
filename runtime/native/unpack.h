// Safe unpacking of a tar stream below a folder.
#pragma once
#include "fault.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct unpack_options {
  bool layer;       // whiteouts become overlay's
  bool keeps_kind;  // a folder is not replaced by something else, nor the other way round
  const char *below; // relative to the root: where the archive's names begin; NULL or "" for the root itself
  const char *owner; // a user of the container, whose everything becomes; NULL or "" to keep the archive's
};

// Applies the archive below a root that this process is already confined to.
int unpack_at(int archive, int root, const struct unpack_options *options, struct fault *fault);
// Sends OK or the fault, and reads what the sender still has under way.
void unpack_report(int connection, uint32_t request, const struct fault *fault);
// Chroots into `directory` and applies the archive; with `layer`, whiteouts become overlay's. Made durable at the end.
int unpack(int archive, const char *directory, bool layer, struct fault *fault);
// Serves one UNPACK request: the archive's bytes follow on the connection. Never returns.
void unpack_serve(int connection, const uint8_t *frame, size_t length) __attribute__((noreturn));
int unpack_main(int argc, char **argv);
