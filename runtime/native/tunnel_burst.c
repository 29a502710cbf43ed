// Datagrams that leave together: those that follow each other to one place with one size go down as one, which the kernel
// divides as late as it can (UDP_SEGMENT), so that its way there is walked once and not forty times.
#include "tunnel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#define SOCKET_UDP 17

enum { BYTES_MAX = 65000, ALONE_FOR = 4096 };

static int is_same_place(const struct sockaddr_in *a, const struct sockaddr_in *b) {
  return a->sin_addr.s_addr == b->sin_addr.s_addr && a->sin_port == b->sin_port;
}

// How many from `first` on go down as one. All have one size, the last may have less.
static unsigned run_from(const struct tunnel_burst *burst, unsigned first) {
  size_t size = burst->parts[first].iov_len, bytes = size;
  unsigned at = first + 1;
  if (burst->alone > 0) return 1;
  for (; at < burst->count; at++) {
    size_t length = burst->parts[at].iov_len;
    if (length > size || bytes + length > BYTES_MAX || !is_same_place(&burst->to[first], &burst->to[at])) break;
    bytes += length;
    if (length < size) return at + 1 - first;
  }
  return at - first;
}

static void describe(struct tunnel_burst *burst, unsigned message, unsigned first, unsigned count) {
  struct msghdr *header = &burst->messages[message].msg_hdr;
  *header = (struct msghdr){.msg_name = &burst->to[first],
                            .msg_namelen = sizeof burst->to[first],
                            .msg_iov = &burst->parts[first],
                            .msg_iovlen = count};
  if (count == 1) return;
  uint16_t size = (uint16_t)burst->parts[first].iov_len;
  header->msg_control = burst->controls[message];
  header->msg_controllen = CMSG_SPACE(sizeof size);
  struct cmsghdr *control = CMSG_FIRSTHDR(header);
  *control = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof size), .cmsg_level = SOCKET_UDP, .cmsg_type = UDP_SEGMENT};
  memcpy(CMSG_DATA(control), &size, sizeof size);
}

// A kernel or a link may not know how to divide: then each goes by itself, and for a while nobody asks again.
static void send_apart(struct tunnel_burst *burst, unsigned message) {
  struct msghdr one = burst->messages[message].msg_hdr;
  size_t count = one.msg_iovlen;
  one.msg_control = NULL, one.msg_controllen = 0, one.msg_iovlen = 1;
  for (size_t i = 0; i < count; i++, one.msg_iov++) sendmsg(burst->fd, &one, MSG_DONTWAIT);
  burst->alone = ALONE_FOR;
}

void tunnel_burst_flush(struct tunnel_burst *burst) {
  unsigned messages = 0;
  for (unsigned at = 0, count; at < burst->count; at += count) describe(burst, messages++, at, count = run_from(burst, at));
  for (unsigned at = 0; at < messages;) {
    int sent = sendmmsg(burst->fd, burst->messages + at, messages - at, MSG_DONTWAIT);
    if (sent > 0) {
      at += (unsigned)sent;
      continue;
    }
    // One that can not be sent is lost, as on a wire.
    if (errno != EAGAIN && errno != ENOBUFS && burst->messages[at].msg_hdr.msg_iovlen > 1) send_apart(burst, at);
    at++;
  }
  if (burst->alone > 0) burst->alone--;
  burst->count = 0;
}

void tunnel_burst_add(struct tunnel_burst *burst, const struct sockaddr_in *to, uint8_t *bytes, size_t length) {
  burst->to[burst->count] = *to;
  burst->parts[burst->count] = (struct iovec){bytes, length};
  if (++burst->count == TUNNEL_BURST) tunnel_burst_flush(burst);
}

void tunnel_burst_add_copy(struct tunnel_burst *burst, const struct sockaddr_in *to, const uint8_t *bytes, size_t length) {
  if (length > sizeof burst->copies[0]) {
    tunnel_burst_flush(burst);
    sendto(burst->fd, bytes, length, MSG_DONTWAIT, (const struct sockaddr *)to, sizeof *to);
    return;
  }
  tunnel_burst_add(burst, to, memcpy(burst->copies[burst->count], bytes, length), length);
}
