// ChaCha20 four or eight blocks at a time, Poly1305 four in limbs of 44 bits, and the two put together as RFC 8439 says.
#include "aead.h"

#include <string.h>

typedef uint32_t lanes __attribute__((vector_size(16)));
typedef unsigned __int128 wide;

static const uint32_t SIGMA[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

static uint32_t load32(const uint8_t *at) {
  return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t load64(const uint8_t *at) { return load32(at) | (uint64_t)load32(at + 4) << 32; }

static void store32(uint8_t *at, uint32_t value) {
  for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> 8 * i);
}

static void store64(uint8_t *at, uint64_t value) {
  store32(at, (uint32_t)value);
  store32(at + 4, (uint32_t)(value >> 32));
}

#define TURN(x, n) (((x) << (n)) | ((x) >> (32 - (n))))
#define QUARTER(a, b, c, d) \
  (a) += (b), (d) ^= (a), (d) = TURN(d, 16), (c) += (d), (b) ^= (c), (b) = TURN(b, 12), (a) += (b), (d) ^= (a), \
      (d) = TURN(d, 8), (c) += (d), (b) ^= (c), (b) = TURN(b, 7)
#define ROUNDS(x) \
  for (int round = 0; round < 10; round++) { \
    QUARTER(x[0], x[4], x[8], x[12]); \
    QUARTER(x[1], x[5], x[9], x[13]); \
    QUARTER(x[2], x[6], x[10], x[14]); \
    QUARTER(x[3], x[7], x[11], x[15]); \
    QUARTER(x[0], x[5], x[10], x[15]); \
    QUARTER(x[1], x[6], x[11], x[12]); \
    QUARTER(x[2], x[7], x[8], x[13]); \
    QUARTER(x[3], x[4], x[9], x[14]); \
  }

static void state_of(uint32_t state[16], const uint8_t *key, uint32_t count, const uint8_t *nonce) {
  memcpy(state, SIGMA, sizeof SIGMA);
  for (int i = 0; i < 8; i++) state[4 + i] = load32(key + 4 * i);
  state[12] = count;
  for (int i = 0; i < 3; i++) state[13 + i] = load32(nonce + 4 * i);
}

void aead_derive(const uint8_t key[AEAD_KEY], const uint8_t input[AEAD_INPUT], uint8_t out[AEAD_KEY]) {
  uint32_t x[16];
  state_of(x, key, load32(input), input + 4);
  ROUNDS(x)
  for (int i = 0; i < 4; i++) store32(out + 4 * i, x[i]), store32(out + 16 + 4 * i, x[12 + i]);
}

// Four blocks of the key stream, beginning with number `state[12]`.
static void four_blocks(const uint32_t state[16], uint8_t stream[256]) {
  lanes x[16], first[16];
  for (int i = 0; i < 16; i++) first[i] = (lanes){state[i], state[i], state[i], state[i]};
  first[12] += (lanes){0, 1, 2, 3};
  memcpy(x, first, sizeof x);
  ROUNDS(x)
  for (int i = 0; i < 16; i += 4) {
    lanes a = x[i] + first[i], b = x[i + 1] + first[i + 1], c = x[i + 2] + first[i + 2], d = x[i + 3] + first[i + 3];
    lanes ab = __builtin_shuffle(a, b, (lanes){0, 4, 1, 5}), cd = __builtin_shuffle(c, d, (lanes){0, 4, 1, 5});
    lanes ab2 = __builtin_shuffle(a, b, (lanes){2, 6, 3, 7}), cd2 = __builtin_shuffle(c, d, (lanes){2, 6, 3, 7});
    lanes rows[4] = {__builtin_shuffle(ab, cd, (lanes){0, 1, 4, 5}), __builtin_shuffle(ab, cd, (lanes){2, 3, 6, 7}),
                     __builtin_shuffle(ab2, cd2, (lanes){0, 1, 4, 5}), __builtin_shuffle(ab2, cd2, (lanes){2, 3, 6, 7})};
    for (int block = 0; block < 4; block++) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
      memcpy(stream + 64 * block + 4 * i, &rows[block], 16);
#else
      for (int word = 0; word < 4; word++) store32(stream + 64 * block + 4 * (i + word), rows[block][word]);
#endif
    }
  }
}

#if defined(__x86_64__)
// The same for eight, where the processor has registers for that. Each half of a row is one block's.
typedef uint32_t octet __attribute__((vector_size(32)));

__attribute__((target("avx2"))) static void eight_blocks(const uint32_t state[16], uint8_t stream[512]) {
  octet x[16], first[16];
  for (int i = 0; i < 16; i++) first[i] = (octet){0} + state[i];
  first[12] += (octet){0, 1, 2, 3, 4, 5, 6, 7};
  memcpy(x, first, sizeof x);
  ROUNDS(x)
  for (int i = 0; i < 16; i += 4) {
    octet a = x[i] + first[i], b = x[i + 1] + first[i + 1], c = x[i + 2] + first[i + 2], d = x[i + 3] + first[i + 3];
    const octet low = {0, 8, 1, 9, 4, 12, 5, 13}, high = {2, 10, 3, 11, 6, 14, 7, 15};
    const octet left = {0, 1, 8, 9, 4, 5, 12, 13}, right = {2, 3, 10, 11, 6, 7, 14, 15};
    octet ab = __builtin_shuffle(a, b, low), cd = __builtin_shuffle(c, d, low);
    octet ab2 = __builtin_shuffle(a, b, high), cd2 = __builtin_shuffle(c, d, high);
    octet rows[4] = {__builtin_shuffle(ab, cd, left), __builtin_shuffle(ab, cd, right),
                     __builtin_shuffle(ab2, cd2, left), __builtin_shuffle(ab2, cd2, right)};
    for (int block = 0; block < 8; block++)
      memcpy(stream + 64 * block + 4 * i, (const uint8_t *)&rows[block % 4] + 16 * (block / 4), 16);
  }
}

static int has_octets(void) { return __builtin_cpu_supports("avx2"); }
#else
static void eight_blocks(const uint32_t state[16], uint8_t stream[512]) {
  (void)state, (void)stream;
}
static int has_octets(void) { return 0; }
#endif

// Poly1305: h = (h + block) * r mod 2^130 - 5, in three limbs of 44, 44 and 42 bits.
struct poly {
  uint64_t r[4][3]; // r, r², r³, r⁴; the last three where four blocks are taken at once
  uint64_t h[3], pad[2];
};

enum { LIMB = 44, FOUR = 64, MANY = 4 * FOUR };
static const uint64_t LOW44 = 0xfffffffffff, LOW42 = 0x3ffffffffff;

// d += a * r
static inline void poly_multiply(wide d[3], const uint64_t a[3], const uint64_t r[3]) {
  uint64_t s1 = r[1] * 20, s2 = r[2] * 20;
  d[0] += (wide)a[0] * r[0] + (wide)a[1] * s2 + (wide)a[2] * s1;
  d[1] += (wide)a[0] * r[1] + (wide)a[1] * r[0] + (wide)a[2] * s2;
  d[2] += (wide)a[0] * r[2] + (wide)a[1] * r[1] + (wide)a[2] * r[0];
}

static inline void poly_carry(uint64_t h[3], wide d[3]) {
  h[0] = (uint64_t)d[0] & LOW44;
  d[1] += (uint64_t)(d[0] >> LIMB);
  h[1] = (uint64_t)d[1] & LOW44;
  d[2] += (uint64_t)(d[1] >> LIMB);
  h[2] = (uint64_t)d[2] & LOW42;
  h[0] += (uint64_t)(d[2] >> 42) * 5;
  h[1] += h[0] >> LIMB;
  h[0] &= LOW44;
}

// A whole block, with the bit that stands behind it.
static inline void poly_limbs(uint64_t limbs[3], const uint8_t *at) {
  uint64_t t0 = load64(at), t1 = load64(at + 8);
  limbs[0] = t0 & LOW44;
  limbs[1] = ((t0 >> 44) | (t1 << 20)) & LOW44;
  limbs[2] = ((t1 >> 24) & LOW42) | (uint64_t)1 << 40;
}

static void poly_begin(struct poly *poly, const uint8_t key[32]) {
  uint64_t t0 = load64(key), t1 = load64(key + 8);
  poly->r[0][0] = t0 & 0xffc0fffffff;
  poly->r[0][1] = ((t0 >> 44) | (t1 << 20)) & 0xfffffc0ffff;
  poly->r[0][2] = (t1 >> 24) & 0x00ffffffc0f;
  memset(poly->h, 0, sizeof poly->h);
  poly->pad[0] = load64(key + 16);
  poly->pad[1] = load64(key + 24);
}

// Four blocks at once, which need not wait for each other: h = (h + a) r⁴ + b r³ + c r² + d r.
static const uint8_t *poly_fours(struct poly *poly, const uint8_t *at, const uint8_t *end) {
  uint64_t h[3], block[3];
  for (int power = 1; power < 4; power++) {
    wide d[3] = {0};
    poly_multiply(d, poly->r[power - 1], poly->r[0]);
    poly_carry(poly->r[power], d);
  }
  memcpy(h, poly->h, sizeof h);
  for (; end - at >= FOUR; at += FOUR) {
    wide d[3] = {0};
    poly_limbs(block, at);
    for (int i = 0; i < 3; i++) h[i] += block[i];
    poly_multiply(d, h, poly->r[3]);
    for (int next = 1; next < 4; next++) {
      poly_limbs(block, at + 16 * next);
      poly_multiply(d, block, poly->r[3 - next]);
    }
    poly_carry(h, d);
  }
  memcpy(poly->h, h, sizeof h);
  return at;
}

// Whole blocks only.
static void poly_blocks(struct poly *poly, const uint8_t *at, size_t length) {
  const uint8_t *end = at + length;
  if (length >= MANY) at = poly_fours(poly, at, end);
  for (; at < end; at += 16) {
    uint64_t block[3];
    wide d[3] = {0};
    poly_limbs(block, at);
    for (int i = 0; i < 3; i++) poly->h[i] += block[i];
    poly_multiply(d, poly->h, poly->r[0]);
    poly_carry(poly->h, d);
  }
}

// The rest of a part is filled with zeros.
static void poly_part(struct poly *poly, const uint8_t *at, size_t length) {
  size_t whole = length & ~(size_t)15;
  poly_blocks(poly, at, whole);
  if (whole == length) return;
  uint8_t last[16] = {0};
  memcpy(last, at + whole, length - whole);
  poly_blocks(poly, last, sizeof last);
}

static void poly_end(struct poly *poly, uint8_t tag[AEAD_TAG]) {
  uint64_t h0 = poly->h[0], h1 = poly->h[1], h2 = poly->h[2], carry;
  for (int turn = 0; turn < 2; turn++) {
    carry = h1 >> LIMB, h1 &= LOW44, h2 += carry;
    carry = h2 >> 42, h2 &= LOW42, h0 += carry * 5;
    carry = h0 >> LIMB, h0 &= LOW44, h1 += carry;
  }
  // h - (2^130 - 5), and that one if it is not negative.
  uint64_t g0 = h0 + 5, g1, g2;
  carry = g0 >> LIMB, g0 &= LOW44;
  g1 = h1 + carry;
  carry = g1 >> LIMB, g1 &= LOW44;
  g2 = h2 + carry - ((uint64_t)1 << 42);
  uint64_t keep = (g2 >> 63) - 1; // all ones: g
  h0 = (h0 & ~keep) | (g0 & keep), h1 = (h1 & ~keep) | (g1 & keep), h2 = (h2 & ~keep) | (g2 & keep);
  uint64_t low = h0 | h1 << 44, high = h1 >> 20 | h2 << 24;
  wide sum = (wide)low + poly->pad[0];
  store64(tag, (uint64_t)sum);
  store64(tag + 8, high + poly->pad[1] + (uint64_t)(sum >> 64));
}

static void tag_of(uint8_t tag[AEAD_TAG], const uint8_t one_time_key[32], const uint8_t *open, size_t open_length,
                   const uint8_t *sealed, size_t length) {
  struct poly poly;
  uint8_t lengths[16];
  poly_begin(&poly, one_time_key);
  poly_part(&poly, open, open_length);
  poly_part(&poly, sealed, length);
  store64(lengths, open_length);
  store64(lengths + 8, length);
  poly_blocks(&poly, lengths, sizeof lengths);
  poly_end(&poly, tag);
}

static void mix(uint8_t *out, const uint8_t *in, const uint8_t *stream, size_t length) {
  size_t at = 0;
  for (; at + 16 <= length; at += 16) {
    uint64_t a[2], b[2];
    memcpy(a, in + at, 16), memcpy(b, stream + at, 16);
    a[0] ^= b[0], a[1] ^= b[1];
    memcpy(out + at, a, 16);
  }
  for (; at < length; at++) out[at] = in[at] ^ stream[at];
}

// Block 0 of the key stream is the one-time key; the text begins with block 1. `stream` has the first four.
static void stream_text(uint8_t *out, const uint8_t *text, size_t length, uint32_t state[16], const uint8_t stream[256]) {
  uint8_t more[512];
  size_t at = length < 192 ? length : 192, room;
  mix(out, text, stream + 64, at);
  state[12] += 4;
  for (int octets = length > 448 && has_octets(); at < length; at += room) {
    if (octets && length - at > 256) eight_blocks(state, more), state[12] += 8, room = 512;
    else four_blocks(state, more), state[12] += 4, room = 256;
    if (room > length - at) room = length - at;
    mix(out + at, text + at, more, room);
  }
}

void aead_seal(uint8_t *out, const uint8_t *text, size_t length, const uint8_t *open, size_t open_length,
               const uint8_t nonce[AEAD_NONCE], const uint8_t key[AEAD_KEY]) {
  uint32_t state[16];
  uint8_t stream[256], one_time_key[32];
  state_of(state, key, 0, nonce);
  four_blocks(state, stream);
  memcpy(one_time_key, stream, sizeof one_time_key);
  stream_text(out, text, length, state, stream);
  tag_of(out + length, one_time_key, open, open_length, out, length);
}

int aead_open(uint8_t *out, const uint8_t *sealed, size_t length, const uint8_t *open, size_t open_length,
              const uint8_t nonce[AEAD_NONCE], const uint8_t key[AEAD_KEY]) {
  uint32_t state[16];
  uint8_t stream[256], tag[AEAD_TAG], different = 0;
  if (length < AEAD_TAG) return -1;
  length -= AEAD_TAG;
  state_of(state, key, 0, nonce);
  four_blocks(state, stream);
  tag_of(tag, stream, open, open_length, sealed, length);
  for (int i = 0; i < AEAD_TAG; i++) different |= tag[i] ^ sealed[length + (size_t)i];
  if (different) return -1;
  stream_text(out, sealed, length, state, stream);
  return 0;
}

static void short_nonce(const uint8_t *key, const uint8_t nonce[AEAD_LONG_NONCE], uint8_t key_out[AEAD_KEY],
                        uint8_t nonce_out[AEAD_NONCE]) {
  aead_derive(key, nonce, key_out);
  memset(nonce_out, 0, 4);
  memcpy(nonce_out + 4, nonce + AEAD_INPUT, 8);
}

void aead_seal_long(uint8_t *out, const uint8_t *text, size_t length, const uint8_t *open, size_t open_length,
                    const uint8_t nonce[AEAD_LONG_NONCE], const uint8_t key[AEAD_KEY]) {
  uint8_t own[AEAD_KEY], rest[AEAD_NONCE];
  short_nonce(key, nonce, own, rest);
  aead_seal(out, text, length, open, open_length, rest, own);
}

int aead_open_long(uint8_t *out, const uint8_t *sealed, size_t length, const uint8_t *open, size_t open_length,
                   const uint8_t nonce[AEAD_LONG_NONCE], const uint8_t key[AEAD_KEY]) {
  uint8_t own[AEAD_KEY], rest[AEAD_NONCE];
  short_nonce(key, nonce, own, rest);
  return aead_open(out, sealed, length, open, open_length, rest, own);
}
