// Pseudo terminals of a container, always from its own devpts.
#pragma once
#include "fault.h"
#include <stdint.h>

struct terminal {
  int master, slave;
};
// `devpts`: a descriptor of the mounted devpts, or -1 to use /dev/pts of the current root.
int terminal_open(int devpts, uint16_t rows, uint16_t columns, struct terminal *terminal, struct fault *fault);
int terminal_resize(int master, uint16_t rows, uint16_t columns);
