#include "unpack.h"
#include <stdio.h>
#include <unistd.h>
void unpack_serve(int c, const uint8_t *f, size_t l) { (void)c, (void)f, (void)l; _exit(1); }
int unpack_main(int argc, char **argv) { (void)argc, (void)argv; return 2; }
