// ChaCha20-Poly1305 (RFC 8439) and what keys are derived with (HChaCha20 and the 24-byte nonce of XChaCha20,
// draft-irtf-cfrg-xchacha). Our own, because the helper is static and wants no library; docs/decisions.md says more.
// Nothing here branches on, or looks up by, a secret.
#ifndef SHOAL_AEAD_H
#define SHOAL_AEAD_H

#include <stddef.h>
#include <stdint.h>

enum { AEAD_KEY = 32, AEAD_NONCE = 12, AEAD_LONG_NONCE = 24, AEAD_TAG = 16, AEAD_INPUT = 16 };

// A new key from a key and 16 bytes: as good as random to whoever lacks the key.
void aead_derive(const uint8_t key[AEAD_KEY], const uint8_t input[AEAD_INPUT], uint8_t out[AEAD_KEY]);

// `out` gets `length` + AEAD_TAG bytes; it may be `text`.
void aead_seal(uint8_t *out, const uint8_t *text, size_t length, const uint8_t *open, size_t open_length,
               const uint8_t nonce[AEAD_NONCE], const uint8_t key[AEAD_KEY]);
// `length` is that of the sealed bytes, tag included. -1: they are not what was sealed, and `out` was not written.
int aead_open(uint8_t *out, const uint8_t *sealed, size_t length, const uint8_t *open, size_t open_length,
              const uint8_t nonce[AEAD_NONCE], const uint8_t key[AEAD_KEY]);

// With a nonce long enough to be chosen at random.
void aead_seal_long(uint8_t *out, const uint8_t *text, size_t length, const uint8_t *open, size_t open_length,
                    const uint8_t nonce[AEAD_LONG_NONCE], const uint8_t key[AEAD_KEY]);
int aead_open_long(uint8_t *out, const uint8_t *sealed, size_t length, const uint8_t *open, size_t open_length,
                   const uint8_t nonce[AEAD_LONG_NONCE], const uint8_t key[AEAD_KEY]);

// Lines `seal|open|derive KEY NONCE OPEN TEXT` in hexadecimal ('-' for none), for the tests that hold it against another.
int aead_main(void);

#endif
