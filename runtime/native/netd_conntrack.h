// Which tracked connections are meant, for those who delete them: one by one, or the kernel itself.
#ifndef SHOAL_NETD_CONNTRACK_H
#define SHOAL_NETD_CONNTRACK_H

#include "netd.h"

#include <linux/netlink.h>

enum { MATCH_PROTOCOL = 1, MATCH_ASKED_ADDRESS = 2, MATCH_ASKED_PORT = 4, MATCH_SERVER_ADDRESS = 8, MATCH_SERVER_PORT = 16 };

// Addresses and ports in network order. "Asked" is where the client sent to, "server" who really answers.
struct connection {
  uint8_t family; // AF_INET or AF_INET6
  uint8_t protocol;
  struct netd_address asked_address, server_address;
  uint16_t asked_port, server_port;
};

struct filter {
  uint8_t match;
  struct connection wanted;
};

// The first attribute of a type.
const struct nlattr *netd_attribute(const uint8_t *at, size_t left, int type);

// What the kernel is asked over a socket for packet filters; answers 0, or -1 with errno.
int netd_conntrack_list(int fd, const struct filter *filter); // NULL: all
int netd_conntrack_delete_by_kernel(int fd, const struct filter *filter);
// How many connections the socket's namespace has; -1: the kernel does not say.
int64_t netd_conntrack_count(int fd);

#endif
