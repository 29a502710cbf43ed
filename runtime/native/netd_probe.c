// Asks other nodes over the link to them whether they hear us: an ICMP echo that carries the mark of packets on their way
// into that link, or one of ICMPv6 to the node's address on the link itself. The kernel there answers by the same link,
// whether its daemon runs or not. Who answered is told as it comes; what to make of silence is the daemon's to know.
#include "netd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_RAW
#define SOL_RAW 255
#endif

struct echo {
  struct icmphdr header;
  uint64_t token; // nobody else's answer is ours
};

struct echo6 {
  struct icmp6_hdr header;
  uint64_t token;
};

static int probe_fd = -1, probe6_fd = -1;
static uint64_t token;
static uint16_t sequence;

static int open_socket(int family, int protocol, int level, int option, const void *answers, socklen_t length) {
  if (!token && getrandom(&token, sizeof token, 0) != sizeof token) return -1;
  int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
  if (fd < 0) return -1;
  if (setsockopt(fd, level, option, answers, length) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static int open_socket4(void) {
  struct icmp_filter answers = {~(1u << ICMP_ECHOREPLY)};
  return open_socket(AF_INET, IPPROTO_ICMP, SOL_RAW, ICMP_FILTER, &answers, sizeof answers);
}

static int open_socket6(void) {
  struct icmp6_filter answers;
  ICMP6_FILTER_SETBLOCKALL(&answers);
  ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &answers);
  return open_socket(AF_INET6, IPPROTO_ICMPV6, IPPROTO_ICMPV6, ICMP6_FILTER, &answers, sizeof answers);
}

// The address by which the node knows us, not that of the marked packet's link, which has none.
static int own_address(const struct sockaddr_in *to, struct in_addr *own) {
  struct sockaddr_in found;
  socklen_t length = sizeof found;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int failed = connect(fd, (const struct sockaddr *)to, sizeof *to) || getsockname(fd, (struct sockaddr *)&found, &length);
  close(fd);
  if (!failed) *own = found.sin_addr;
  return failed ? -1 : 0;
}

static uint16_t checksum(const void *data, size_t length) {
  const uint8_t *bytes = data;
  uint32_t sum = 0;
  for (size_t at = 0; at + 1 < length; at += 2) sum += (uint32_t)(bytes[at] << 8 | bytes[at + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return htons((uint16_t)~sum);
}

// A packet that can not be sent is one that is not answered.
static void ask(const struct netd_address *address) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
  memcpy(&to.sin_addr, address->bytes, sizeof to.sin_addr);
  struct echo echo = {
      .header = {.type = ICMP_ECHO, .un.echo = {.id = htons((uint16_t)getpid()), .sequence = htons(++sequence)}},
      .token = token,
  };
  echo.header.checksum = checksum(&echo, sizeof echo);
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(struct in_pktinfo))];
  } control = {0};
  struct in_pktinfo source = {0};
  if (own_address(&to, &source.ipi_spec_dst) < 0) return;
  to.sin_port = 0;
  struct iovec part = {&echo, sizeof echo};
  struct msghdr message = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &part, .msg_iovlen = 1,
                           .msg_control = &control, .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = IPPROTO_IP;
  header->cmsg_type = IP_PKTINFO;
  header->cmsg_len = CMSG_LEN(sizeof source);
  memcpy(CMSG_DATA(header), &source, sizeof source);
  sendmsg(probe_fd, &message, 0);
}

// The link has an address of its own and the routes to all others; the kernel makes the checksum.
static void ask6(const struct netd_address *address) {
  struct sockaddr_in6 to = {.sin6_family = AF_INET6};
  memcpy(&to.sin6_addr, address->bytes, sizeof to.sin6_addr);
  struct echo6 echo = {.header = {.icmp6_type = ICMP6_ECHO_REQUEST}, .token = token};
  echo.header.icmp6_id = htons((uint16_t)getpid());
  echo.header.icmp6_seq = htons(++sequence);
  sendto(probe6_fd, &echo, sizeof echo, 0, (struct sockaddr *)&to, sizeof to);
}

int netd_probe_fd(void) { return probe_fd; }
int netd_probe6_fd(void) { return probe6_fd; }

// A mark for IPv4, and the addresses to ask. Without IPv6 here nobody answers by it.
int netd_probe(struct netd_reader *in, struct netd_bytes *out) {
  uint32_t mark = netd_read_u32(in);
  if (probe_fd < 0) probe_fd = open_socket4();
  if (probe_fd < 0) return netd_fault(out, errno, "open a socket to ask other nodes");
  if (setsockopt(probe_fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0)
    return netd_fault(out, errno, "mark questions to other nodes");
  while (!in->bad && in->at < in->end) {
    struct netd_address address;
    netd_read_address(in, &address);
    if (in->bad) break;
    if (address.length == 4) {
      ask(&address);
      continue;
    }
    if (probe6_fd < 0) probe6_fd = open_socket6();
    if (probe6_fd >= 0) ask6(&address);
  }
  return in->bad ? netd_fault(out, EPROTO, "cut-off addresses") : 0;
}

void netd_probe_read(netd_answered *answered) {
  uint8_t packet[256];
  for (;;) {
    ssize_t got = recv(probe_fd, packet, sizeof packet, 0);
    if (got < 0) return; // nothing more, or the notice of an error, which is no answer
    struct iphdr ip;
    struct echo echo;
    if ((size_t)got < sizeof ip) continue;
    memcpy(&ip, packet, sizeof ip);
    size_t at = ip.ihl * 4u;
    if ((size_t)got < at + sizeof echo) continue;
    memcpy(&echo, packet + at, sizeof echo);
    if (echo.header.type != ICMP_ECHOREPLY || echo.token != token) continue;
    answered((const uint8_t *)&ip.saddr, sizeof ip.saddr);
  }
}

void netd_probe6_read(netd_answered *answered) {
  struct echo6 echo;
  for (;;) {
    struct sockaddr_in6 from;
    socklen_t length = sizeof from;
    ssize_t got = recvfrom(probe6_fd, &echo, sizeof echo, 0, (struct sockaddr *)&from, &length);
    if (got < 0) return;
    if (got != sizeof echo || echo.header.icmp6_type != ICMP6_ECHO_REPLY || echo.token != token) continue;
    answered(from.sin6_addr.s6_addr, sizeof from.sin6_addr);
  }
}
