// The command line lives in the memory behind argv, which is ours to overwrite.
#include "title.h"
#include <string.h>

static char *start;
static unsigned long capacity;

void title_remember(int argc, char **argv) {
  start = argv[0];
  capacity = (unsigned long)(argv[argc - 1] + strlen(argv[argc - 1]) - argv[0]);
}

void title_set(const char *title) {
  if (start == 0) return;
  memset(start, 0, capacity);
  strncpy(start, title, capacity);
}
