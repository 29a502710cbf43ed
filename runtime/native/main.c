// One binary, several parts: the first argument says which, or the name `shoal-runtime`.
#include "aead.h"
#include "init.h"
#include "lock.h"
#include "spread.h"
#include "title.h"
#include "tunnel.h"
#include "unpack.h"
#include "volume_mount.h"
#include <stdio.h>
#include <string.h>

int zygote_main(int argc, char **argv);
int netd_main(int argc, char **argv);
int netd_names_main(void);
int seccomp_dump_main(void);
int oci_main(int argc, char **argv);

// Stands in when netd.c is not among the sources.
__attribute__((weak)) int netd_main(int argc, char **argv) {
  (void)argc, (void)argv;
  fprintf(stderr, "this build has no netd\n");
  return 2;
}

__attribute__((weak)) int netd_names_main(void) { return 2; }

int main(int argc, char **argv) {
  const char *part = argc > 1 ? argv[1] : "", *name = strrchr(argv[0], '/');
  title_remember(argc, argv);
  if (strcmp(name != NULL ? name + 1 : argv[0], "shoal-runtime") == 0) return oci_main(argc, argv);
  if (strcmp(name != NULL ? name + 1 : argv[0], "docker-init") == 0) return init_main(argc, argv);
  if (strcmp(part, "zygote") == 0) return zygote_main(argc, argv);
  if (strcmp(part, "netd") == 0) return netd_main(argc, argv);
  if (strcmp(part, "netd-names") == 0) return netd_names_main();
  if (strcmp(part, "tunnel") == 0) return tunnel_main(argc, argv);
  if (strcmp(part, "aead") == 0) return aead_main();
  if (strcmp(part, "unpack") == 0) return unpack_main(argc, argv);
  if (strcmp(part, "seccomp-dump") == 0) return seccomp_dump_main();
  if (strcmp(part, "lock") == 0) return lock_main(argc - 1, argv + 1);
  if (strcmp(part, "spread") == 0) return spread_main(argc - 1, argv + 1);
  if (strcmp(part, "volume") == 0) return volume_main(argc - 1, argv + 1);
  fprintf(stderr, "usage: shoal-native zygote|netd|tunnel|unpack|lock|spread|volume …, or as shoal-runtime\n");
  return 2;
}
