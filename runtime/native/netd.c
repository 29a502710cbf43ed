// netd's loop: frames in, steps done in order, frames out. Wire format: runtime/network/netd-protocol.ts.
// Invariant: one thread does all steps, so entering another namespace and coming home is not seen by other work.
#include "netd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { KIND_HELLO = 1, KIND_RUN = 2, KIND_ASIDE = 3, KIND_GENERATION = 100, KIND_LINK = 101, KIND_HEARD = 102 };
enum { STEP_MAY_FAIL = 1 };

static int watch_fd = -1, links_fd = -1;
static const char *source_hash = "";

static void die(const char *what) {
  fprintf(stderr, "netd: %s: %s\n", what, strerror(errno));
  exit(1);
}

uint8_t *netd_bytes_reserve(struct netd_bytes *bytes, size_t length) {
  if (bytes->length + length > bytes->capacity) {
    size_t capacity = bytes->capacity ? bytes->capacity : 4096;
    while (capacity < bytes->length + length) capacity *= 2;
    bytes->data = realloc(bytes->data, capacity);
    if (!bytes->data) die("out of memory");
    bytes->capacity = capacity;
  }
  return bytes->data + bytes->length;
}

void netd_bytes_add(struct netd_bytes *bytes, const void *data, size_t length) {
  if (length == 0) return;
  memcpy(netd_bytes_reserve(bytes, length), data, length);
  bytes->length += length;
}

void netd_bytes_u16(struct netd_bytes *bytes, uint16_t value) { netd_bytes_add(bytes, &value, sizeof value); }
void netd_bytes_u32(struct netd_bytes *bytes, uint32_t value) { netd_bytes_add(bytes, &value, sizeof value); }

static const uint8_t *take(struct netd_reader *reader, size_t length) {
  if (reader->bad || (size_t)(reader->end - reader->at) < length) {
    reader->bad = 1;
    return NULL;
  }
  reader->at += length;
  return reader->at - length;
}

static void take_into(struct netd_reader *reader, void *value, size_t length) {
  const uint8_t *bytes = take(reader, length);
  if (bytes) memcpy(value, bytes, length);
  else memset(value, 0, length);
}

uint8_t netd_read_u8(struct netd_reader *reader) {
  uint8_t value;
  take_into(reader, &value, sizeof value);
  return value;
}

uint16_t netd_read_u16(struct netd_reader *reader) {
  uint16_t value;
  take_into(reader, &value, sizeof value);
  return value;
}

uint32_t netd_read_u32(struct netd_reader *reader) {
  uint32_t value;
  take_into(reader, &value, sizeof value);
  return value;
}

void netd_read_address(struct netd_reader *reader, struct netd_address *address) {
  *address = (struct netd_address){.length = netd_read_u8(reader)};
  if (address->length != 4 && address->length != 16) reader->bad = 1;
  else take_into(reader, address->bytes, address->length);
}

void netd_read_text(struct netd_reader *reader, char *text, size_t size) {
  size_t length = netd_read_u16(reader);
  const uint8_t *bytes = take(reader, length);
  text[0] = 0;
  if (!bytes) return;
  if (length >= size || memchr(bytes, 0, length)) {
    reader->bad = 1;
    return;
  }
  memcpy(text, bytes, length);
  text[length] = 0;
}

int netd_fault(struct netd_bytes *out, int error, const char *what) {
  char text[NETD_TEXT_MAX * 2];
  int length = snprintf(text, sizeof text, "%s: %s", what, strerror(error));
  if (length > (int)sizeof text - 1) length = sizeof text - 1;
  netd_bytes_add(out, text, (size_t)length);
  return error;
}

static int watch(struct netd_reader *in, struct netd_bytes *out) {
  (void)in;
  if (watch_fd >= 0) return 0;
  watch_fd = netd_watch_open();
  if (watch_fd < 0) return netd_fault(out, errno, "watch nf_tables");
  links_fd = netd_links_open();
  return links_fd < 0 ? netd_fault(out, errno, "watch links") : 0;
}

static netd_step *const STEPS[] = {
    [1] = netd_namespace_create, [2] = netd_namespace_remove, [3] = netd_netlink,
    [4] = netd_sysctl_write,     [5] = netd_sysctl_read,      [6] = netd_port_reserve,
    [7] = netd_port_release,     [8] = netd_conntrack_delete, [9] = watch,
    [10] = netd_namespace_hold,  [11] = netd_namespace_drop,
    [12] = netd_probe,           [13] = netd_packets,
};

netd_step *netd_step_of(uint16_t operation) {
  return operation < sizeof STEPS / sizeof STEPS[0] ? STEPS[operation] : NULL;
}

static void write_all(const uint8_t *data, size_t length) {
  while (length > 0) {
    ssize_t written = write(1, data, length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) exit(0); // the daemon went away
    data += written;
    length -= (size_t)written;
  }
}

static void frame_begin(struct netd_bytes *frame, uint32_t id, uint16_t kind) {
  netd_bytes_u32(frame, 0);
  netd_bytes_u32(frame, id);
  netd_bytes_u16(frame, kind);
  netd_bytes_u16(frame, 0);
}

static void frame_send(struct netd_bytes *frame) {
  uint32_t length = (uint32_t)frame->length - 4;
  memcpy(frame->data, &length, sizeof length);
  write_all(frame->data, frame->length);
  free(frame->data);
}

// Our own changes are no news.
static void send_generation(uint32_t generation, uint32_t pid) {
  if (pid == (uint32_t)getpid()) return;
  struct netd_bytes frame = {0};
  frame_begin(&frame, 0, KIND_GENERATION);
  netd_bytes_u32(&frame, generation);
  netd_bytes_u32(&frame, pid);
  frame_send(&frame);
}

static void answer_hello(uint32_t id, struct netd_reader *in) {
  uint16_t min = netd_read_u16(in), max = netd_read_u16(in);
  struct netd_bytes frame = {0};
  frame_begin(&frame, id, KIND_HELLO);
  netd_bytes_u16(&frame, NETD_PROTOCOL);
  netd_bytes_u16(&frame, NETD_PROTOCOL);
  netd_bytes_u32(&frame, (uint32_t)getpid());
  netd_bytes_u32(&frame, (uint32_t)netd_home_fd()); // for link messages that name a namespace by descriptor
  const char *texts[] = {"netns netlink sysctl port conntrack watch aside", source_hash};
  for (size_t i = 0; i < 2; i++) {
    netd_bytes_u16(&frame, (uint16_t)strlen(texts[i]));
    netd_bytes_add(&frame, texts[i], strlen(texts[i]));
  }
  frame_send(&frame);
  if (in->bad || min > NETD_PROTOCOL || max < NETD_PROTOCOL) exit(2);
}

static void send_link(const struct netd_link_event *event) {
  struct netd_bytes frame = {0};
  frame_begin(&frame, 0, KIND_LINK);
  netd_bytes_add(&frame, event, sizeof *event);
  frame_send(&frame);
}

static void send_heard(const uint8_t *address, size_t length) {
  struct netd_bytes frame = {0};
  frame_begin(&frame, 0, KIND_HEARD);
  netd_bytes_add(&frame, address, length);
  frame_send(&frame);
}

// One result: errno, length, bytes.
static int run_step(struct netd_reader *in, struct netd_bytes *results) {
  uint32_t length = netd_read_u32(in);
  uint16_t operation = netd_read_u16(in), flags = netd_read_u16(in);
  const uint8_t *body = take(in, length);
  struct netd_reader step = {body, body ? body + length : body, !body};
  struct netd_bytes out = {0};
  netd_step *function = netd_step_of(operation);
  int error = !body || !function ? netd_fault(&out, EPROTO, "unknown or cut-off step") : function(&step, &out);
  netd_bytes_u32(results, (uint32_t)error);
  netd_bytes_u32(results, (uint32_t)out.length);
  netd_bytes_add(results, out.data, out.length);
  free(out.data);
  return error && !(flags & STEP_MAY_FAIL) ? error : 0;
}

static void answer_run(uint32_t id, struct netd_reader *in) {
  struct netd_bytes frame = {0};
  uint32_t done = 0;
  frame_begin(&frame, id, KIND_RUN);
  size_t count_at = frame.length;
  netd_bytes_u32(&frame, 0);
  while (in->at < in->end) {
    done++;
    if (run_step(in, &frame) != 0) break;
  }
  memcpy(frame.data + count_at, &done, sizeof done);
  frame_send(&frame);
}

static void answer_aside(uint32_t id, uint32_t error, const uint8_t *data, size_t length) {
  struct netd_bytes frame = {0};
  frame_begin(&frame, id, KIND_RUN);
  netd_bytes_u32(&frame, 1);
  netd_bytes_u32(&frame, error);
  netd_bytes_u32(&frame, (uint32_t)length);
  netd_bytes_add(&frame, data, length);
  frame_send(&frame);
}

// The second process removes namespaces; what this one holds of them would keep them.
static void forget_sockets(uint16_t operation, const uint8_t *body, size_t length) {
  if (netd_step_of(operation) != netd_namespace_remove) return;
  struct netd_reader step = {body, body + length, 0};
  char path[NETD_TEXT_MAX];
  netd_read_text(&step, path, sizeof path);
  if (!step.bad) netd_sockets_forget(path);
}

// One step, answered as a run of one when it is done.
static void hand_aside(uint32_t id, struct netd_reader *in) {
  uint32_t length = netd_read_u32(in);
  uint16_t operation = netd_read_u16(in);
  netd_read_u16(in);
  const uint8_t *body = take(in, length);
  if (!body) exit(2);
  forget_sockets(operation, body, length);
  netd_aside_send(id, operation, body, length, answer_aside);
}

static void answer(const uint8_t *frame, size_t length) {
  struct netd_reader in = {frame, frame + length, 0};
  uint32_t id = netd_read_u32(&in);
  uint16_t kind = netd_read_u16(&in);
  netd_read_u16(&in);
  if (kind == KIND_HELLO) answer_hello(id, &in);
  else if (kind == KIND_RUN) answer_run(id, &in);
  else if (kind == KIND_ASIDE) hand_aside(id, &in);
  else exit(2); // a daemon that does not speak our protocol
}

// Answers all whole frames of the input and keeps the rest.
static void answer_input(struct netd_bytes *input) {
  size_t at = 0;
  while (input->length - at >= 4) {
    uint32_t length;
    memcpy(&length, input->data + at, sizeof length);
    if (length < 8 || length > NETD_FRAME_MAX) exit(2);
    if (input->length - at - 4 < length) break;
    answer(input->data + at + 4, length);
    at += 4 + length;
  }
  if (at > 0) {
    input->length -= at;
    memmove(input->data, input->data + at, input->length);
  }
}

static void read_input(struct netd_bytes *input) {
  uint8_t *space = netd_bytes_reserve(input, 65536);
  ssize_t got = read(0, space, 65536);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got <= 0) exit(0); // the daemon went away; what the kernel holds stays as it is
  input->length += (size_t)got;
  answer_input(input);
}

// Each held port is a descriptor.
static void allow_many_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) die("read the limit of open files");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) < 0) die("raise the limit of open files");
}

// netd [SOURCE-HASH]
int netd_main(int argc, char **argv) {
  if (argc > 2) source_hash = argv[2];
  struct netd_bytes input = {0};
  prctl(PR_SET_NAME, "shoal-netd");
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_IGN);
  // Signals to the whole process group are the daemon's to handle, and it needs us until its end.
  signal(SIGINT, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  int aside_fd = netd_aside_start();
  if (aside_fd < 0) die("start the second process");
  allow_many_descriptors();
  if (netd_home_open() < 0) die("open own network namespace");
  for (;;) {
    struct pollfd fds[] = {{0, POLLIN, 0}, {watch_fd, POLLIN, 0}, {aside_fd, POLLIN, 0}, {links_fd, POLLIN, 0},
                           {netd_probe_fd(), POLLIN, 0}, {netd_probe6_fd(), POLLIN, 0}};
    if (poll(fds, 6, -1) < 0 && errno != EINTR) die("poll");
    if (fds[0].revents) read_input(&input);
    if (fds[2].revents) netd_aside_receive(answer_aside);
    if (fds[1].revents && netd_watch_read(watch_fd, send_generation) < 0) die("read nf_tables notices");
    if (fds[3].revents && netd_links_read(links_fd, send_link) < 0) die("read notices of links");
    if (fds[4].revents) netd_probe_read(send_heard);
    if (fds[5].revents) netd_probe6_read(send_heard);
  }
}
