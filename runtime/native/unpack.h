// Safe unpacking of a tar stream below a folder.
#pragma once
#include "fault.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Chroots into `directory` and applies the archive; with `layer`, whiteouts become overlay's. Made durable at the end.
int unpack(int archive, const char *directory, bool layer, struct fault *fault);
// Serves one UNPACK request: the archive's bytes follow on the connection. Never returns.
void unpack_serve(int connection, const uint8_t *frame, size_t length) __attribute__((noreturn));
int unpack_main(int argc, char **argv);
