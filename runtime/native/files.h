// Files of a container for who asks from outside: copied out and in, looked at, exported, compared.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Serves one FILES request on its connection. Never returns.
void files_serve(int connection, const uint8_t *frame, size_t length) __attribute__((noreturn));
