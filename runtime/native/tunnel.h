// What carries encrypted networks where the kernel has no means of its own: frames of VXLAN links, each pair of nodes and
// each network under keys of its own. Wire format and reasons: docs/networking.md, "Encrypted networks".
#ifndef SHOAL_TUNNEL_H
#define SHOAL_TUNNEL_H

#include "aead.h"
#include "fault.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
  TUNNEL_KEYS = 4,        // of one pair at a time
  TUNNEL_QUEUE = 64,      // packets that wait for a session
  TUNNEL_ID = 16,         // of a session, and of a challenge
  TUNNEL_WINDOW = 2048,   // how far back a packet may come late
  TUNNEL_HEADER = 24,     // of a datagram with a frame
  TUNNEL_SLOT = 65536,
  TUNNEL_BURST = 64,      // datagrams that leave together, as many as the kernel divides one into
  TUNNEL_GREETERS = 8,    // sessions whose greetings are answered at a time
};

// Which counters were used; a packet is taken once.
struct tunnel_window {
  uint64_t top;
  uint64_t bits[TUNNEL_WINDOW / 64];
};

struct tunnel_key {
  uint32_t id;
  uint8_t secret[AEAD_KEY];
  uint8_t way[2][AEAD_KEY];  // what we send, what we receive
  uint8_t data[2][AEAD_KEY]; // the same, for the sessions of both ends
};

// A session that somebody has greeted in, fresh or recorded: each has answers of its own, so that what is recorded of
// earlier ones takes none from the present one.
struct tunnel_greeter {
  uint8_t session[TUNNEL_ID];
  int64_t answered_ms;
};

struct tunnel_counts {
  uint64_t sent, received, waited, dropped, replayed, altered, stale;
};

struct tunnel_packet {
  struct tunnel_packet *next;
  size_t length;
  uint8_t bytes[];
};

// One other node on one network.
struct tunnel_pair {
  uint64_t tag; // the same at both ends
  uint32_t vni, inner; // its address among the tunnel's own, host order
  struct sockaddr_in to;
  int role; // 0 or 1, the other end has the other
  struct tunnel_key keys[TUNNEL_KEYS];
  size_t key_count;
  uint32_t send_id;
  uint8_t mine[TUNNEL_ID], theirs[TUNNEL_ID], challenge[TUNNEL_ID];
  int is_open; // `theirs` is known and alive
  uint64_t counter; // goes on whatever the key
  // Of the pair, as the counter is: what was held back is late under every key, and a key that is told again after it was
  // forgotten opens nothing twice.
  struct tunnel_window window;
  struct tunnel_packet *first, *last;
  size_t queued;
  int64_t hello_at_ms, hello_gap_ms, second_ms;
  unsigned answers; // in the second that began at `second_ms`, to greetings that may be recorded
  struct tunnel_greeter greeters[TUNNEL_GREETERS];
  struct tunnel_counts counts;
  struct tunnel_pair *next_by_tag, *next_by_inner;
  int is_kept;
};

// Sealed datagrams leave through `send`, opened frames through `deliver`.
struct tunnel_ways {
  void (*send)(const struct sockaddr_in *to, uint8_t *bytes, size_t length);
  void (*deliver)(uint8_t *frame, size_t length);
};

// What is gathered to leave by one socket.
struct tunnel_burst {
  int fd;
  unsigned count, alone; // flushes for which nothing goes down as one
  struct sockaddr_in to[TUNNEL_BURST];
  struct iovec parts[TUNNEL_BURST];
  struct mmsghdr messages[TUNNEL_BURST];
  _Alignas(16) uint8_t controls[TUNNEL_BURST][32];
  uint8_t copies[TUNNEL_BURST][256];
};
// The bytes stay where they are until the flush; of a copy they need not.
void tunnel_burst_add(struct tunnel_burst *burst, const struct sockaddr_in *to, uint8_t *bytes, size_t length);
void tunnel_burst_add_copy(struct tunnel_burst *burst, const struct sockaddr_in *to, const uint8_t *bytes, size_t length);
void tunnel_burst_flush(struct tunnel_burst *burst);

// A pair as it was said: with the secrets of its keys.
void tunnel_pair_begin(struct tunnel_pair *pair);
void tunnel_pair_end(struct tunnel_pair *pair);
// The keys of now: those that stay keep what they know. `send_id` is one of them.
void tunnel_pair_keys(struct tunnel_pair *pair, const struct tunnel_key *keys, size_t count, uint32_t send_id);
// `room` has TUNNEL_HEADER bytes before the frame and AEAD_TAG after it.
void tunnel_pair_send(struct tunnel_pair *pair, uint8_t *room, size_t frame_length, int64_t now_ms,
                      const struct tunnel_ways *ways);
void tunnel_pair_receive(struct tunnel_pair *pair, uint8_t *datagram, size_t length, int64_t now_ms,
                         const struct tunnel_ways *ways);
// Says hello again to whom has not answered; answers when to come again.
int64_t tunnel_pair_tick(struct tunnel_pair *pair, int64_t now_ms, const struct tunnel_ways *ways);

uint64_t tunnel_tag_of(const uint8_t *datagram, size_t length); // 0: none of ours

// The link in the namespace of the tunnel: answers its descriptor. Opened frames go in by `inward`, a socket in there, to
// where the kernel's VXLAN listens: by datagrams it takes many at a time, through the link one by one.
int tunnel_link_open(const char *namespace_path, int *inward, struct sockaddr_in *vxlan);
// The frame of an IP packet that came out of the link: 0 if it is none.
size_t tunnel_link_read(uint8_t *packet, size_t length, uint32_t *inner, uint32_t *vni, uint8_t **frame);
// Gives up every capability and all but a few system calls; what is open stays open.
int tunnel_confine(struct fault *fault);
uint32_t tunnel_vni_of(const uint8_t *frame);

int tunnel_main(int argc, char **argv);

#endif
