// One pair of nodes on one network: which session the other end is in, and what is sealed and opened for it.
// A datagram is type, key, tag of the pair, four bytes of the receiver's session, counter, sealed frame. Keys of frames
// come from the shared secret, the direction and the sessions of both ends, which are made at random when a tunnel
// starts: so no counter is used twice with a key, and nothing of an earlier session is ever taken again.
// Invariant: a session is believed only in answer to a challenge that was made for this moment.
#include "tunnel.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { HELLO = 1, FRAME = 2 };
enum { OUT = 0, IN = 1 };
enum { AT_KEY = 1, AT_TAG = 4, AT_SESSION = 12, AT_COUNTER = 16 };
enum { HELLO_OPEN = 12, HELLO_TEXT = 3 * TUNNEL_ID + 8, HELLO_LENGTH = HELLO_OPEN + AEAD_LONG_NONCE + HELLO_TEXT + AEAD_TAG };
enum { GAP_MIN_MS = 100, GAP_MAX_MS = 2000, ANSWERS_PER_SECOND = 80 };

// Far from where counting would begin anew: nobody comes here by sending.
static const uint64_t COUNTER_MAX = INT64_MAX;

struct hello {
  uint8_t session[TUNNEL_ID], challenge[TUNNEL_ID], answer[TUNNEL_ID];
  uint8_t wants_answer, rest[7];
};

static void random_bytes(uint8_t *at, size_t length) {
  while (length > 0) {
    ssize_t got = getrandom(at, length, 0);
    if (got > 0) at += got, length -= (size_t)got;
  }
}

static uint64_t big(const uint8_t *at, int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; i++) value = value << 8 | at[i];
  return value;
}

static void put_big(uint8_t *at, uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; i--, value >>= 8) at[i] = (uint8_t)value;
}

uint64_t tunnel_tag_of(const uint8_t *datagram, size_t length) {
  return length < HELLO_OPEN ? 0 : big(datagram + AT_TAG, 8);
}

static struct tunnel_key *key_of(struct tunnel_pair *pair, uint32_t id) {
  for (size_t i = 0; i < pair->key_count; i++)
    if (pair->keys[i].id == id) return &pair->keys[i];
  return NULL;
}

static int is_same(const uint8_t *a, const uint8_t *b) {
  uint8_t different = 0;
  for (int i = 0; i < TUNNEL_ID; i++) different |= a[i] ^ b[i];
  return !different;
}

static void derive_ways(struct tunnel_key *key, int role) {
  for (int way = OUT; way <= IN; way++) {
    uint8_t input[AEAD_INPUT] = "shoal way";
    input[15] = (uint8_t)(way == OUT ? role : 1 - role);
    aead_derive(key->secret, input, key->way[way]);
  }
}

// The sender's session first: both ends come to the same keys.
static void derive_data(struct tunnel_pair *pair, struct tunnel_key *key) {
  uint8_t between[AEAD_KEY];
  aead_derive(key->way[OUT], pair->mine, between);
  aead_derive(between, pair->theirs, key->data[OUT]);
  aead_derive(key->way[IN], pair->theirs, between);
  aead_derive(between, pair->mine, key->data[IN]);
  explicit_bzero(between, sizeof between);
}

void tunnel_pair_begin(struct tunnel_pair *pair) {
  random_bytes(pair->mine, TUNNEL_ID);
  random_bytes(pair->challenge, TUNNEL_ID);
  pair->hello_gap_ms = GAP_MIN_MS;
  for (size_t i = 0; i < pair->key_count; i++) derive_ways(&pair->keys[i], pair->role);
}

static struct tunnel_packet *take_packet(struct tunnel_pair *pair) {
  struct tunnel_packet *packet = pair->first;
  if (!packet) return NULL;
  pair->first = packet->next;
  if (!pair->first) pair->last = NULL;
  pair->queued--;
  return packet;
}

void tunnel_pair_end(struct tunnel_pair *pair) {
  struct tunnel_packet *packet;
  while ((packet = take_packet(pair))) free(packet);
  explicit_bzero(pair, sizeof *pair);
}

void tunnel_pair_keys(struct tunnel_pair *pair, const struct tunnel_key *keys, size_t count, uint32_t send_id) {
  struct tunnel_key next[TUNNEL_KEYS];
  for (size_t i = 0; i < count; i++) {
    struct tunnel_key *known = key_of(pair, keys[i].id);
    if (known && memcmp(known->secret, keys[i].secret, AEAD_KEY) == 0) {
      next[i] = *known;
      continue;
    }
    next[i] = keys[i];
    derive_ways(&next[i], pair->role);
    if (pair->is_open) derive_data(pair, &next[i]);
  }
  explicit_bzero(pair->keys, sizeof pair->keys);
  memcpy(pair->keys, next, count * sizeof next[0]);
  explicit_bzero(next, sizeof next);
  pair->key_count = count;
  pair->send_id = send_id;
}

static void say_hello(struct tunnel_pair *pair, const uint8_t *answer, int wants_answer, int64_t now_ms,
                      const struct tunnel_ways *ways) {
  struct tunnel_key *key = key_of(pair, pair->send_id);
  uint8_t datagram[HELLO_LENGTH], *nonce = datagram + HELLO_OPEN, hello_key[AEAD_KEY];
  struct hello hello = {.wants_answer = (uint8_t)wants_answer};
  if (!key) return;
  memcpy(hello.session, pair->mine, TUNNEL_ID);
  memcpy(hello.challenge, pair->challenge, TUNNEL_ID);
  if (answer) memcpy(hello.answer, answer, TUNNEL_ID);
  datagram[0] = HELLO;
  put_big(datagram + AT_KEY, key->id, 3);
  put_big(datagram + AT_TAG, pair->tag, 8);
  random_bytes(nonce, AEAD_LONG_NONCE);
  aead_derive(key->way[OUT], (const uint8_t *)"shoal hello\0\0\0\0", hello_key);
  aead_seal_long(nonce + AEAD_LONG_NONCE, (uint8_t *)&hello, sizeof hello, datagram, HELLO_OPEN, nonce, hello_key);
  if (!answer) pair->hello_at_ms = now_ms;
  ways->send(&pair->to, datagram, sizeof datagram);
}

static void seal_and_send(struct tunnel_pair *pair, uint8_t *room, size_t length, const struct tunnel_ways *ways) {
  struct tunnel_key *key = key_of(pair, pair->send_id);
  uint8_t nonce[AEAD_NONCE] = {0};
  if (!key || pair->counter == COUNTER_MAX) {
    pair->counts.dropped++;
    return;
  }
  room[0] = FRAME;
  put_big(room + AT_KEY, key->id, 3);
  put_big(room + AT_TAG, pair->tag, 8);
  memcpy(room + AT_SESSION, pair->theirs, 4);
  put_big(room + AT_COUNTER, ++pair->counter, 8);
  memcpy(nonce + 4, room + AT_COUNTER, 8);
  aead_seal(room + TUNNEL_HEADER, room + TUNNEL_HEADER, length, room, TUNNEL_HEADER, nonce, key->data[OUT]);
  pair->counts.sent++;
  ways->send(&pair->to, room, TUNNEL_HEADER + length + AEAD_TAG);
}

// The oldest gives way: whoever sent it has most likely sent it again.
static void wait_for_session(struct tunnel_pair *pair, const uint8_t *frame, size_t length) {
  struct tunnel_packet *packet = malloc(sizeof *packet + TUNNEL_HEADER + length + AEAD_TAG);
  if (pair->queued >= TUNNEL_QUEUE || !packet) {
    free(take_packet(pair));
    pair->counts.dropped++;
  }
  if (!packet) return;
  packet->next = NULL;
  packet->length = length;
  memcpy(packet->bytes + TUNNEL_HEADER, frame, length);
  if (pair->last) pair->last->next = packet;
  else pair->first = packet;
  pair->last = packet;
  pair->queued++;
  pair->counts.waited++;
}

void tunnel_pair_send(struct tunnel_pair *pair, uint8_t *room, size_t length, int64_t now_ms,
                      const struct tunnel_ways *ways) {
  if (pair->is_open) {
    seal_and_send(pair, room, length, ways);
    return;
  }
  wait_for_session(pair, room + TUNNEL_HEADER, length);
  if (now_ms - pair->hello_at_ms >= pair->hello_gap_ms) tunnel_pair_tick(pair, now_ms, ways);
}

static void open_session(struct tunnel_pair *pair, const uint8_t *session, const struct tunnel_ways *ways) {
  random_bytes(pair->challenge, TUNNEL_ID); // this one has been answered
  if (pair->is_open && is_same(pair->theirs, session)) return;
  memcpy(pair->theirs, session, TUNNEL_ID);
  pair->is_open = 1;
  pair->hello_gap_ms = GAP_MIN_MS;
  memset(&pair->window, 0, sizeof pair->window);
  for (size_t i = 0; i < pair->key_count; i++) derive_data(pair, &pair->keys[i]);
  for (struct tunnel_packet *packet; (packet = take_packet(pair)); free(packet))
    seal_and_send(pair, packet->bytes, packet->length, ways);
}

// Whether a greeting that did not answer ours is to be answered: it may be recorded. One that did needs no bound, as each
// challenge is answered once.
static int is_its_turn(struct tunnel_pair *pair, const uint8_t *session, int64_t now_ms) {
  struct tunnel_greeter *greeter = &pair->greeters[0];
  for (int i = 0; i < TUNNEL_GREETERS; i++) {
    struct tunnel_greeter *other = &pair->greeters[i];
    if (is_same(other->session, session)) {
      greeter = other;
      break;
    }
    if (other->answered_ms < greeter->answered_ms) greeter = other;
  }
  int is_known = is_same(greeter->session, session);
  if (is_known && now_ms - greeter->answered_ms < GAP_MIN_MS / 2) return 0;
  if (now_ms - pair->second_ms >= 1000) pair->second_ms = now_ms, pair->answers = 0;
  if (pair->answers++ >= ANSWERS_PER_SECOND) return 0;
  memcpy(greeter->session, session, TUNNEL_ID);
  greeter->answered_ms = now_ms;
  return 1;
}

static void take_hello(struct tunnel_pair *pair, struct tunnel_key *key, uint8_t *datagram, size_t length, int64_t now_ms,
                       const struct tunnel_ways *ways) {
  uint8_t *nonce = datagram + HELLO_OPEN, hello_key[AEAD_KEY];
  struct hello hello;
  if (length != HELLO_LENGTH) {
    pair->counts.altered++;
    return;
  }
  aead_derive(key->way[IN], (const uint8_t *)"shoal hello\0\0\0\0", hello_key);
  if (aead_open_long((uint8_t *)&hello, nonce + AEAD_LONG_NONCE, HELLO_TEXT + AEAD_TAG, datagram, HELLO_OPEN, nonce,
                     hello_key) < 0) {
    pair->counts.altered++;
    return;
  }
  int is_fresh = is_same(hello.answer, pair->challenge);
  if (is_fresh) open_session(pair, hello.session, ways);
  int knows = pair->is_open && is_same(pair->theirs, hello.session);
  if (!hello.wants_answer && knows) return;
  if (is_fresh || is_its_turn(pair, hello.session, now_ms)) say_hello(pair, hello.challenge, !knows, now_ms, ways);
}

static int is_new(const struct tunnel_window *window, uint64_t counter) {
  if (counter > window->top) return 1;
  if (window->top - counter >= TUNNEL_WINDOW) return 0;
  return !(window->bits[counter % TUNNEL_WINDOW / 64] >> counter % 64 & 1);
}

static void mark(struct tunnel_window *window, uint64_t counter) {
  if (counter > window->top) {
    uint64_t steps = counter - window->top;
    if (steps >= TUNNEL_WINDOW) memset(window->bits, 0, sizeof window->bits);
    else
      for (uint64_t step = 1; step <= steps; step++) {
        uint64_t at = window->top + step;
        window->bits[at % TUNNEL_WINDOW / 64] &= ~((uint64_t)1 << at % 64);
      }
    window->top = counter;
  }
  window->bits[counter % TUNNEL_WINDOW / 64] |= (uint64_t)1 << counter % 64;
}

static void take_frame(struct tunnel_pair *pair, struct tunnel_key *key, uint8_t *datagram, size_t length, int64_t now_ms,
                       const struct tunnel_ways *ways) {
  uint8_t nonce[AEAD_NONCE] = {0}, *frame = datagram + TUNNEL_HEADER;
  if (length < TUNNEL_HEADER + AEAD_TAG + 8) {
    pair->counts.altered++;
    return;
  }
  if (!pair->is_open || memcmp(datagram + AT_SESSION, pair->mine, 4) != 0) {
    // It means a tunnel that was here before: the other end is to learn of this one.
    pair->counts.stale++;
    if (now_ms - pair->hello_at_ms >= GAP_MIN_MS) say_hello(pair, NULL, 1, now_ms, ways);
    return;
  }
  uint64_t counter = big(datagram + AT_COUNTER, 8);
  if (counter == 0 || counter > COUNTER_MAX || !is_new(&pair->window, counter)) {
    pair->counts.replayed++;
    return;
  }
  memcpy(nonce + 4, datagram + AT_COUNTER, 8);
  if (aead_open(frame, frame, length - TUNNEL_HEADER, datagram, TUNNEL_HEADER, nonce, key->data[IN]) < 0 ||
      tunnel_vni_of(frame) != pair->vni) {
    pair->counts.altered++;
    return;
  }
  mark(&pair->window, counter);
  pair->counts.received++;
  ways->deliver(frame, length - TUNNEL_HEADER - AEAD_TAG);
}

void tunnel_pair_receive(struct tunnel_pair *pair, uint8_t *datagram, size_t length, int64_t now_ms,
                         const struct tunnel_ways *ways) {
  struct tunnel_key *key = key_of(pair, (uint32_t)big(datagram + AT_KEY, 3));
  if (key && datagram[0] == HELLO) take_hello(pair, key, datagram, length, now_ms, ways);
  else if (key && datagram[0] == FRAME) take_frame(pair, key, datagram, length, now_ms, ways);
  else pair->counts.altered++;
}

int64_t tunnel_pair_tick(struct tunnel_pair *pair, int64_t now_ms, const struct tunnel_ways *ways) {
  if (pair->is_open) return INT64_MAX;
  int64_t due = pair->hello_at_ms + pair->hello_gap_ms;
  if (now_ms < due) return due;
  say_hello(pair, NULL, 1, now_ms, ways);
  pair->hello_at_ms = now_ms;
  pair->hello_gap_ms = pair->hello_gap_ms * 2 > GAP_MAX_MS ? GAP_MAX_MS : pair->hello_gap_ms * 2;
  return now_ms + pair->hello_gap_ms;
}
