// The tunnel of a daemon: one process, which outlives it and is found by the next. Frames of all encrypted networks come
// out of one link and leave sealed through one UDP socket. Who is where and which keys hold is said over a socket, in
// lines, whole for one network each time:
//   begin VNI · pair TAG VNI INNER ADDRESS PORT ROLE · key ID SECRET (of that pair) · send ID · … · commit
//   counts (a line `count TAG sent received waited dropped replayed altered stale open` for each pair) · end
// Each of commit, counts and end is answered by a last line `ok`. Keys come no other way, and go nowhere.
// A network with a line that is none is left as it was, which the answer says by a line `refused` and the line's first word.
#include "tunnel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#define SOCKET_UDP 17

enum { BATCH = 64, BUCKETS = 4096, SOCKET_BUFFER = 8 << 20, LINES_MAX = 64 << 20, LOOK_MS = 2000, ROOM_BEFORE = 64, HUNG_S = 30 };

static struct tunnel_pair **pairs, **coming;
static size_t pair_count, coming_count, coming_room;
static struct tunnel_pair *by_tag[BUCKETS], *by_inner[BUCKETS];
static int link_fd = -1, udp_fd = -1, listen_fd = -1, client_fd = -1;
static const char *socket_path;
static char *input;
static size_t input_length, input_room;
static uint32_t coming_vni;
static const char *coming_fault; // what was wrong among the lines since `begin`
static uint64_t strays; // datagrams of no pair that is known here
static int64_t due_ms; // when somebody is to be asked again, or files looked for

static uint8_t slots[BATCH][ROOM_BEFORE + TUNNEL_SLOT];
static struct tunnel_burst outward, inward; // to other nodes, and to the links of this one
static struct sockaddr_in vxlan;

static void die(const char *what) {
  fprintf(stderr, "tunnel: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void flush(void) {
  tunnel_burst_flush(&outward);
  tunnel_burst_flush(&inward);
}

static void send_datagram(const struct sockaddr_in *to, uint8_t *bytes, size_t length) {
  int stays = bytes >= slots[0] && bytes < slots[0] + sizeof slots;
  if (stays) tunnel_burst_add(&outward, to, bytes, length);
  else tunnel_burst_add_copy(&outward, to, bytes, length);
}

static void deliver(uint8_t *frame, size_t length) { tunnel_burst_add(&inward, &vxlan, frame, length); }

static const struct tunnel_ways ways = {send_datagram, deliver};

static size_t bucket(uint64_t key) { return (size_t)((key * 0x9e3779b97f4a7c15u) >> 52); }
static uint64_t inner_key(uint32_t vni, uint32_t inner) { return (uint64_t)vni << 32 | inner; }

static struct tunnel_pair *find_tag(uint64_t tag) {
  struct tunnel_pair *pair = by_tag[bucket(tag)];
  while (pair && pair->tag != tag) pair = pair->next_by_tag;
  return pair;
}

static struct tunnel_pair *find_inner(uint32_t vni, uint32_t inner) {
  struct tunnel_pair *pair = by_inner[bucket(inner_key(vni, inner))];
  while (pair && (pair->vni != vni || pair->inner != inner)) pair = pair->next_by_inner;
  return pair;
}

static void index_pairs(void) {
  memset(by_tag, 0, sizeof by_tag);
  memset(by_inner, 0, sizeof by_inner);
  for (size_t i = 0; i < pair_count; i++) {
    struct tunnel_pair *pair = pairs[i], **tag = &by_tag[bucket(pair->tag)];
    struct tunnel_pair **inner = &by_inner[bucket(inner_key(pair->vni, pair->inner))];
    pair->next_by_tag = *tag, *tag = pair;
    pair->next_by_inner = *inner, *inner = pair;
  }
}

static void drop(struct tunnel_pair *pair) {
  tunnel_pair_end(pair);
  free(pair);
}

static void come(struct tunnel_pair *pair) {
  if (coming_count == coming_room) {
    coming_room = coming_room ? coming_room * 2 : 16;
    coming = realloc(coming, coming_room * sizeof(struct tunnel_pair *));
    if (!coming) die("out of memory");
  }
  coming[coming_count++] = pair;
}

// Pairs that stay keep their sessions and counters.
static void commit(void) {
  for (size_t i = 0; i < pair_count; i++) pairs[i]->is_kept = 0;
  for (size_t i = 0; i < coming_count; i++) {
    struct tunnel_pair *next = coming[i], *known = find_tag(next->tag);
    if (!known || known->is_kept || known->vni != next->vni || known->role != next->role) {
      tunnel_pair_begin(next);
      next->is_kept = 1;
      continue;
    }
    known->inner = next->inner;
    known->to = next->to;
    known->is_kept = 1;
    tunnel_pair_keys(known, next->keys, next->key_count, next->send_id);
    drop(next);
    coming[i] = known;
  }
  for (size_t i = 0; i < pair_count; i++) {
    if (pairs[i]->is_kept) continue;
    if (pairs[i]->vni == coming_vni) drop(pairs[i]);
    else come(pairs[i]);
  }
  free(pairs);
  pairs = coming, pair_count = coming_count;
  coming = NULL, coming_count = coming_room = 0;
  due_ms = 0;
  index_pairs();
}

static void forget_coming(void) {
  while (coming_count > 0) drop(coming[--coming_count]);
}

static int hex_digit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static int take_secret(const char *text, uint8_t secret[AEAD_KEY]) {
  for (int i = 0; i < AEAD_KEY; i++) {
    int high = hex_digit(text[2 * i]), low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
    if (low < 0) return -1;
    secret[i] = (uint8_t)(high << 4 | low);
  }
  return text[2 * AEAD_KEY] == 0 ? 0 : -1;
}

static int add_pair(const char *line) {
  struct tunnel_pair *pair = calloc(1, sizeof *pair);
  char inner[16], address[16];
  unsigned port;
  struct in_addr inner_address;
  if (!pair) die("out of memory");
  come(pair);
  int read = sscanf(line, "pair %" SCNx64 " %" SCNu32 " %15s %15s %u %d", &pair->tag, &pair->vni, inner, address, &port, &pair->role);
  pair->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (read != 6 || port == 0 || port > UINT16_MAX) return -1;
  if (inet_pton(AF_INET, inner, &inner_address) != 1 || inet_pton(AF_INET, address, &pair->to.sin_addr) != 1) return -1;
  pair->inner = ntohl(inner_address.s_addr);
  return pair->vni == coming_vni && (pair->role == 0 || pair->role == 1) ? 0 : -1;
}

static int add_key(const char *line) {
  struct tunnel_pair *pair = coming_count > 0 ? coming[coming_count - 1] : NULL;
  if (!pair || pair->key_count == TUNNEL_KEYS) return -1;
  struct tunnel_key *key = &pair->keys[pair->key_count];
  int at = 0;
  if (sscanf(line, "key %" SCNu32 " %n", &key->id, &at) != 1 || at == 0 || take_secret(line + at, key->secret) < 0) return -1;
  pair->key_count++;
  return 0;
}

// Until all is written; a daemon that does not read is given up.
static int say(const char *text, size_t length) {
  while (length > 0) {
    ssize_t sent = send(client_fd, text, length, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return -1;
    text += sent, length -= (size_t)sent;
  }
  return 0;
}

static int say_ok(void) { return say("ok\n", 3); }

static int say_counts(void) {
  char line[512];
  for (size_t i = 0; i < pair_count; i++) {
    const struct tunnel_pair *pair = pairs[i];
    const struct tunnel_counts *counts = &pair->counts;
    int length = snprintf(line, sizeof line,
                          "count %016" PRIx64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %d\n",
                          pair->tag, counts->sent, counts->received, counts->waited, counts->dropped, counts->replayed,
                          counts->altered, counts->stale, pair->is_open);
    if (say(line, (size_t)length) < 0) return -1;
  }
  int length = snprintf(line, sizeof line, "strays %" PRIu64 "\n", strays);
  return say(line, (size_t)length) < 0 ? -1 : say_ok();
}

static void end(void) {
  say_ok();
  unlink(socket_path);
  exit(0);
}

static int add_send(const char *line) {
  return coming_count > 0 && sscanf(line, "send %" SCNu32, &coming[coming_count - 1]->send_id) == 1 ? 0 : -1;
}

static int begin(void) {
  forget_coming();
  coming_fault = NULL;
  return 0;
}

static int commit_or_refuse(void) {
  char refusal[32];
  if (!coming_fault) return commit(), say_ok();
  forget_coming();
  int length = snprintf(refusal, sizeof refusal, "refused %s\nok\n", coming_fault);
  return say(refusal, (size_t)length);
}

static int note(const char *word, int result) {
  if (result < 0) coming_fault = word;
  return 0;
}

static int take_line(const char *line) {
  if (sscanf(line, "begin %" SCNu32, &coming_vni) == 1) return begin();
  if (strncmp(line, "pair ", 5) == 0) return note("pair", add_pair(line));
  if (strncmp(line, "key ", 4) == 0) return note("key", add_key(line));
  if (strncmp(line, "send ", 5) == 0) return note("send", add_send(line));
  if (strcmp(line, "commit") == 0) return commit_or_refuse();
  if (strcmp(line, "counts") == 0) return say_counts();
  if (strcmp(line, "end") == 0) end();
  return -1;
}

static void drop_client(void) {
  close(client_fd);
  client_fd = -1;
  forget_coming();
  if (input) explicit_bzero(input, input_room);
  input_length = 0;
}

static void read_client(void) {
  if (input_length == input_room) {
    size_t room = input_room ? input_room * 2 : 4096;
    char *larger = room > LINES_MAX ? NULL : malloc(room);
    if (!larger) return drop_client();
    if (input) memcpy(larger, input, input_length), explicit_bzero(input, input_room), free(input);
    input = larger, input_room = room;
  }
  ssize_t got = recv(client_fd, input + input_length, input_room - input_length, 0);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got <= 0) return drop_client();
  input_length += (size_t)got;
  char *line = input, *stop;
  while ((stop = memchr(line, '\n', input_length - (size_t)(line - input)))) {
    *stop = 0;
    if (take_line(line) < 0) return drop_client();
    line = stop + 1;
  }
  size_t left = input_length - (size_t)(line - input);
  memmove(input, line, left);
  explicit_bzero(input + left, input_length - left);
  input_length = left;
}

// The daemon of now: a later one takes the place of an earlier one.
static void accept_client(const char *greeting) {
  int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
  struct timeval patience = {.tv_sec = 5};
  if (fd < 0) return;
  if (client_fd >= 0) drop_client();
  client_fd = fd;
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (say(greeting, strlen(greeting)) < 0) drop_client();
}

static void read_link(void) {
  for (int slot = 0; slot < BATCH; slot++) {
    uint8_t *packet = slots[slot] + ROOM_BEFORE, *frame;
    ssize_t got = read(link_fd, packet, TUNNEL_SLOT - AEAD_TAG);
    if (got < 0 && errno != EAGAIN && errno != EINTR) exit(1); // its namespace is gone
    if (got <= 0) break;
    uint32_t inner, vni;
    size_t length = tunnel_link_read(packet, (size_t)got, &inner, &vni, &frame);
    struct tunnel_pair *pair = length > 0 ? find_inner(vni, inner) : NULL;
    if (pair) tunnel_pair_send(pair, frame - TUNNEL_HEADER, length, now_ms(), &ways);
  }
  flush();
}

// How long the datagrams are that the kernel has put together into this one; 0: it is one.
static size_t size_of_each(struct msghdr *header) {
  int size = 0;
  for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control; control = CMSG_NXTHDR(header, control))
    if (control->cmsg_level == SOCKET_UDP && control->cmsg_type == UDP_GRO) memcpy(&size, CMSG_DATA(control), sizeof size);
  return size > 0 ? (size_t)size : 0;
}

static void take_datagram(uint8_t *datagram, size_t length) {
  struct tunnel_pair *pair = find_tag(tunnel_tag_of(datagram, length));
  if (pair) tunnel_pair_receive(pair, datagram, length, now_ms(), &ways);
  else strays++;
}

static void read_datagrams(void) {
  static struct mmsghdr messages[BATCH];
  static struct iovec parts[BATCH];
  static _Alignas(16) uint8_t controls[BATCH][64];
  for (int i = 0; i < BATCH; i++) {
    parts[i] = (struct iovec){slots[i] + ROOM_BEFORE, TUNNEL_SLOT};
    messages[i].msg_hdr = (struct msghdr){
        .msg_iov = &parts[i], .msg_iovlen = 1, .msg_control = controls[i], .msg_controllen = sizeof controls[i]};
  }
  int count = recvmmsg(udp_fd, messages, BATCH, MSG_DONTWAIT, NULL);
  for (int i = 0; i < count; i++) {
    uint8_t *datagram = slots[i] + ROOM_BEFORE;
    size_t left = messages[i].msg_len, each = size_of_each(&messages[i].msg_hdr);
    for (size_t part = 0; left > 0; datagram += part, left -= part) {
      part = each > 0 && each < left ? each : left;
      take_datagram(datagram, part);
    }
  }
  flush();
}

// Whoever removes the daemon's files has no use for this either.
static void end_if_forgotten(void) {
  struct stat found;
  if (client_fd < 0 && stat(socket_path, &found) < 0 && errno == ENOENT) exit(0);
}

// Answers how long nothing is to be done.
static int tick(void) {
  int64_t now = now_ms();
  if (now < due_ms) return (int)(due_ms - now);
  end_if_forgotten();
  due_ms = now + LOOK_MS;
  for (size_t i = 0; i < pair_count; i++) {
    int64_t due = tunnel_pair_tick(pairs[i], now, &ways);
    if (due < due_ms) due_ms = due;
  }
  flush();
  return due_ms > now ? (int)(due_ms - now) : 1;
}

static int open_udp(uint16_t port) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), size = SOCKET_BUFFER;
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) < 0) return -1;
  setsockopt(fd, SOCKET_UDP, UDP_GRO, &(int){1}, sizeof(int)); // without it they come one by one
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  return fd;
}

static int open_listener(const char *path) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof name.sun_path) return errno = ENAMETOOLONG, -1;
  snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
  unlink(path);
  if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) < 0 || chmod(path, 0600) < 0 || listen(fd, 4) < 0) return -1;
  return fd;
}

// tunnel SOCKET NAMESPACE PORT SOURCE-HASH
int tunnel_main(int argc, char **argv) {
  char greeting[128];
  struct stat namespace;
  struct fault fault = {0};
  if (argc != 6) return 2;
  prctl(PR_SET_NAME, "shoal-tunnel");
  prctl(PR_SET_DUMPABLE, 0); // no memory image with keys in it
  signal(SIGPIPE, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  signal(SIGALRM, SIG_DFL);
  socket_path = argv[2];
  if (stat(argv[3], &namespace) < 0) die("look at the namespace");
  snprintf(greeting, sizeof greeting, "tunnel 2 %d %s %s %" PRIu64 "\n", (int)getpid(), argv[4], argv[5], (uint64_t)namespace.st_ino);
  udp_fd = open_udp((uint16_t)atoi(argv[4]));
  if (udp_fd < 0) die("open the UDP port");
  outward.fd = udp_fd;
  link_fd = tunnel_link_open(argv[3], &inward.fd, &vxlan);
  if (link_fd < 0) die("open the link");
  listen_fd = open_listener(argv[2]);
  if (listen_fd < 0) die("open the socket");
  if (tunnel_confine(&fault) < 0) {
    fprintf(stderr, "tunnel: %s\n", fault.text);
    return 1;
  }
  if (write(1, "ready\n", 6) != 6) die("say ready");
  close(1);
  close(2);
  for (int wait_ms = LOOK_MS;; wait_ms = tick()) {
    alarm(HUNG_S); // one that hangs ends, and the daemon starts it anew
    struct pollfd fds[] = {{link_fd, POLLIN, 0}, {udp_fd, POLLIN, 0}, {listen_fd, POLLIN, 0}, {client_fd, POLLIN, 0}};
    if (poll(fds, 4, wait_ms) <= 0) continue;
    if (fds[0].revents) read_link();
    if (fds[1].revents) read_datagrams();
    if (fds[3].revents && client_fd >= 0) read_client();
    if (fds[2].revents) accept_client(greeting);
  }
}
