// The cipher by itself, one line in and one line out.
#include "aead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t *bytes_of(const char *text, size_t *length) {
  *length = strcmp(text, "-") == 0 ? 0 : strlen(text) / 2;
  uint8_t *bytes = malloc(*length + AEAD_TAG + 1);
  for (size_t i = 0; bytes && i < *length; i++) {
    unsigned value = 0;
    sscanf(text + 2 * i, "%2x", &value);
    bytes[i] = (uint8_t)value;
  }
  return bytes;
}

static void print(const uint8_t *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) printf("%02x", bytes[i]);
  printf("\n");
}

static int answer(const char *what, char **fields) {
  size_t lengths[4];
  uint8_t *bytes[4];
  for (int i = 0; i < 4; i++) {
    bytes[i] = bytes_of(fields[i], &lengths[i]);
    if (!bytes[i]) return -1;
  }
  uint8_t *text = bytes[3], derived[AEAD_KEY];
  int is_long = lengths[1] == AEAD_LONG_NONCE;
  if (lengths[0] != AEAD_KEY || (lengths[1] != AEAD_NONCE && !is_long && strcmp(what, "derive") != 0)) return -1;
  if (strcmp(what, "seal") == 0) {
    (is_long ? aead_seal_long : aead_seal)(text, text, lengths[3], bytes[2], lengths[2], bytes[1], bytes[0]);
    print(text, lengths[3] + AEAD_TAG);
  } else if (strcmp(what, "open") == 0) {
    int refused = (is_long ? aead_open_long : aead_open)(text, text, lengths[3], bytes[2], lengths[2], bytes[1], bytes[0]);
    if (refused) printf("refused\n");
    else print(text, lengths[3] - AEAD_TAG);
  } else {
    aead_derive(bytes[0], bytes[1], derived);
    print(derived, sizeof derived);
  }
  for (int i = 0; i < 4; i++) free(bytes[i]);
  return 0;
}

int aead_main(void) {
  char *line = NULL;
  size_t room = 0;
  while (getline(&line, &room, stdin) > 0) {
    char *rest = line, *what = strsep(&rest, " \n"), *fields[4];
    for (int i = 0; i < 4; i++) {
      fields[i] = strsep(&rest, " \n");
      if (!fields[i]) return 2;
    }
    if (answer(what, fields) < 0) return 2;
    fflush(stdout);
  }
  free(line);
  return 0;
}
