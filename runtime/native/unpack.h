// Safe unpacking of a tar stream below a folder.
#pragma once
#include <stddef.h>
#include <stdint.h>
// Serves one UNPACK request: the archive's bytes follow on the connection. Never returns.
void unpack_serve(int connection, const uint8_t *frame, size_t length) __attribute__((noreturn));
int unpack_main(int argc, char **argv);
