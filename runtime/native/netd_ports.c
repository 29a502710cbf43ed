// Host ports, held by a bound socket so that a second holder on this machine is refused when it asks, not in silence.
// The socket never answers: packets for it are translated before they reach it, and until then the port is closed.
#include "netd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELD_MAX 65536
#define ADDRESSES_MAX 4

// A port that is held on several addresses has one of these for each.
struct held {
  uint32_t handle;
  int fd;
};

static struct held *held;
static size_t held_count;

// A port with connections in TIME_WAIT can be bound only with SO_REUSEADDR, and a socket bound so would let others
// bind it too. Having listened for an instant makes the port exclusive again; shut down, it refuses connections.
static int make_exclusive(int fd) {
  int off = 0;
  if (listen(fd, 1) < 0 || shutdown(fd, SHUT_RDWR) < 0) return -1;
  return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &off, sizeof off);
}

// Nothing is queued on a datagram socket that nobody reads.
static int drop_everything(int fd) {
  struct sock_filter reject = BPF_STMT(BPF_RET | BPF_K, 0);
  struct sock_fprog program = {.len = 1, .filter = &reject};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

static int prepare(int fd, int type) {
  int on = 1;
  if (type == SOCK_STREAM) return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  return drop_everything(fd);
}

// Answers a descriptor, or -1.
static int hold(int protocol, const struct netd_address *address, uint16_t port) {
  int type = protocol == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM;
  struct sockaddr_in name4 = {.sin_family = AF_INET, .sin_port = htons(port)};
  struct sockaddr_in6 name6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  int six = address->length == 16, on = 1;
  memcpy(six ? (void *)&name6.sin6_addr : (void *)&name4.sin_addr, address->bytes, address->length);
  const struct sockaddr *name = six ? (struct sockaddr *)&name6 : (struct sockaddr *)&name4;
  int fd = socket(name->sa_family, type | SOCK_CLOEXEC, protocol);
  if (fd < 0) return -1;
  if ((!six || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) && prepare(fd, type) == 0 &&
      bind(fd, name, six ? sizeof name6 : sizeof name4) == 0 && (protocol != IPPROTO_TCP || make_exclusive(fd) == 0))
    return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static int remember(uint32_t handle, int fd) {
  if (held_count >= HELD_MAX) {
    errno = ENOSPC;
    return -1;
  }
  struct held *grown = realloc(held, (held_count + 1) * sizeof *held);
  if (!grown) return -1;
  held = grown;
  held[held_count++] = (struct held){handle, fd};
  return 0;
}

static void release(uint32_t handle) {
  for (size_t i = 0; i < held_count;) {
    if (held[i].handle != handle) {
      i++;
      continue;
    }
    close(held[i].fd);
    held[i] = held[--held_count];
  }
}

// On every address, or on none: -1.
static int hold_all(uint32_t handle, int protocol, const struct netd_address *addresses, size_t count, uint16_t port) {
  for (size_t i = 0; i < count; i++) {
    int fd = hold(protocol, &addresses[i], port);
    // The kernel has no such protocol: nobody can hold its port against us.
    if (fd < 0 && (errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT)) continue;
    if (fd >= 0 && remember(handle, fd) == 0) continue;
    int error = errno;
    if (fd >= 0) close(fd);
    release(handle);
    errno = error;
    return -1;
  }
  return 0;
}

// Body: handle, protocol, number of addresses, these, first and last port to try. Result: the port.
int netd_port_reserve(struct netd_reader *in, struct netd_bytes *out) {
  struct netd_address addresses[ADDRESSES_MAX];
  uint32_t handle = netd_read_u32(in);
  int protocol = netd_read_u8(in);
  size_t count = netd_read_u8(in);
  if (count == 0 || count > ADDRESSES_MAX) return netd_fault(out, EINVAL, "addresses");
  for (size_t i = 0; i < count; i++) netd_read_address(in, &addresses[i]);
  uint16_t first = netd_read_u16(in), last = netd_read_u16(in);
  if (in->bad || first == 0 || last < first) return netd_fault(out, EINVAL, "port range");
  for (uint32_t port = first; port <= last; port++) {
    if (hold_all(handle, protocol, addresses, count, (uint16_t)port) == 0)
      return netd_bytes_u16(out, (uint16_t)port), 0;
    if (errno != EADDRINUSE) return netd_fault(out, errno, "bind");
  }
  return netd_fault(out, EADDRINUSE, "bind");
}

int netd_port_release(struct netd_reader *in, struct netd_bytes *out) {
  uint32_t handle = netd_read_u32(in);
  if (in->bad) return netd_fault(out, EINVAL, "port handle");
  release(handle);
  return 0;
}
