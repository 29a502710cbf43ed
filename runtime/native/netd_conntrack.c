// Deletes tracked connections, so that a rule that changed also holds for clients which the kernel remembers.
#include "netd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILTERS_MAX 4096
#define KERNEL_WALKS_MAX 10
#define FEW_CONNECTIONS 10000

#ifndef CTA_FILTER_MAX // headers older than Linux 5.8
#define CTA_FILTER 25
#define CTA_FILTER_ORIG_FLAGS 1
#define CTA_FILTER_REPLY_FLAGS 2
#endif

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

static struct filter filters[FILTERS_MAX];
static size_t filter_count;

static const struct nlattr *find(const uint8_t *at, size_t left, int type) {
  while (left >= sizeof(struct nlattr)) {
    const struct nlattr *attribute = (const struct nlattr *)at;
    if (attribute->nla_len < sizeof *attribute || attribute->nla_len > left) return NULL;
    if ((attribute->nla_type & NLA_TYPE_MASK) == type) return attribute;
    size_t step = NLA_ALIGN(attribute->nla_len);
    if (step >= left) return NULL;
    at += step;
    left -= step;
  }
  return NULL;
}

static const struct nlattr *inside(const struct nlattr *attribute, int type) {
  if (!attribute) return NULL;
  return find((const uint8_t *)(attribute + 1), attribute->nla_len - sizeof *attribute, type);
}

static void copy_value(const struct nlattr *attribute, void *value, size_t length) {
  if (attribute && attribute->nla_len >= sizeof *attribute + length) memcpy(value, attribute + 1, length);
  else memset(value, 0, length);
}

static void copy_address(const struct nlattr *tuple, int type4, int type6, struct netd_address *address) {
  const struct nlattr *ip = inside(tuple, CTA_TUPLE_IP), *six = inside(ip, type6);
  memset(address, 0, sizeof *address);
  address->length = six ? 16 : 4;
  copy_value(six ? six : inside(ip, type4), address->bytes, address->length);
}

static void read_connection(const struct nlattr *asked, const struct nlattr *answer, struct connection *connection) {
  const struct nlattr *layer4 = inside(asked, CTA_TUPLE_PROTO);
  copy_value(inside(layer4, CTA_PROTO_NUM), &connection->protocol, 1);
  copy_value(inside(layer4, CTA_PROTO_DST_PORT), &connection->asked_port, 2);
  copy_value(inside(inside(answer, CTA_TUPLE_PROTO), CTA_PROTO_SRC_PORT), &connection->server_port, 2);
  copy_address(asked, CTA_IP_V4_DST, CTA_IP_V6_DST, &connection->asked_address);
  copy_address(answer, CTA_IP_V4_SRC, CTA_IP_V6_SRC, &connection->server_address);
}

static int same_address(const struct netd_address *a, const struct netd_address *b) {
  return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

static int matches(const struct filter *filter, const struct connection *connection) {
  const struct connection *wanted = &filter->wanted;
  if (wanted->family != connection->family) return 0;
  if (filter->match & MATCH_PROTOCOL && wanted->protocol != connection->protocol) return 0;
  if (filter->match & MATCH_ASKED_ADDRESS && !same_address(&wanted->asked_address, &connection->asked_address)) return 0;
  if (filter->match & MATCH_ASKED_PORT && wanted->asked_port != connection->asked_port) return 0;
  if (filter->match & MATCH_SERVER_ADDRESS && !same_address(&wanted->server_address, &connection->server_address))
    return 0;
  if (filter->match & MATCH_SERVER_PORT && wanted->server_port != connection->server_port) return 0;
  return 1;
}

static int matches_any(const struct connection *connection) {
  for (size_t i = 0; i < filter_count; i++)
    if (matches(&filters[i], connection)) return 1;
  return 0;
}

struct deletion {
  struct nlmsghdr header;
  struct nfgenmsg family;
  uint8_t attributes[1024];
};

static int append(struct deletion *message, const struct nlattr *attribute) {
  size_t at = message->header.nlmsg_len, step = attribute ? NLA_ALIGN(attribute->nla_len) : 0;
  if (!attribute || at + step > sizeof *message) return 0;
  memset((uint8_t *)message + at, 0, step);
  memcpy((uint8_t *)message + at, attribute, attribute->nla_len);
  message->header.nlmsg_len = (uint32_t)(at + step);
  return 1;
}

// Deletes exactly the listed connection: its id guards against a new one with the same addresses.
static void delete_listed(int fd, uint8_t family, const uint8_t *attributes, size_t length) {
  struct deletion message = {
      .header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct nfgenmsg)),
                 .nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE,
                 .nlmsg_flags = NLM_F_REQUEST},
      .family = {.nfgen_family = family},
  };
  if (!append(&message, find(attributes, length, CTA_TUPLE_ORIG))) return;
  append(&message, find(attributes, length, CTA_ID));
  append(&message, find(attributes, length, CTA_ZONE));
  send(fd, &message, message.header.nlmsg_len, 0);
  uint8_t ignored[512];
  while (recv(fd, ignored, sizeof ignored, MSG_DONTWAIT) > 0) {} // ended meanwhile: that is what was wanted
}

// Opened for the first connection that matches: closing one may wait for a grace period of the kernel.
struct deleter {
  const char *where;
  int fd;
};

static int deleter_fd(struct deleter *deleter) {
  if (deleter->fd >= 0) return deleter->fd;
  if (netd_enter(deleter->where) < 0) return -1;
  deleter->fd = netd_netlink_open(NETLINK_NETFILTER);
  int error = errno;
  netd_come_home(); // a socket stays in the namespace it was made in
  errno = error;
  return deleter->fd;
}

// Answers how many were deleted, or -1.
static int consider(struct deleter *deleter, const struct nlmsghdr *header) {
  const uint8_t *attributes = (const uint8_t *)NLMSG_DATA(header) + NLMSG_ALIGN(sizeof(struct nfgenmsg));
  size_t length = header->nlmsg_len - NLMSG_SPACE(sizeof(struct nfgenmsg));
  struct connection connection = {.family = ((const struct nfgenmsg *)NLMSG_DATA(header))->nfgen_family};
  read_connection(find(attributes, length, CTA_TUPLE_ORIG), find(attributes, length, CTA_TUPLE_REPLY), &connection);
  if (!matches_any(&connection)) return 0;
  if (deleter_fd(deleter) < 0) return -1;
  delete_listed(deleter->fd, connection.family, attributes, length);
  return 1;
}

struct request {
  struct nlmsghdr header;
  struct nfgenmsg family;
  uint8_t attributes[256];
};

static struct nlattr *attribute_begin(struct request *request, int type) {
  struct nlattr *attribute = (struct nlattr *)((uint8_t *)request + request->header.nlmsg_len);
  attribute->nla_type = (uint16_t)type;
  request->header.nlmsg_len += sizeof *attribute;
  return attribute;
}

static void attribute_end(struct request *request, struct nlattr *attribute) {
  size_t end = request->header.nlmsg_len;
  attribute->nla_len = (uint16_t)((uint8_t *)request + end - (uint8_t *)attribute);
  request->header.nlmsg_len = (uint32_t)NLA_ALIGN(end);
}

static void add_value(struct request *request, int type, const void *value, size_t length) {
  struct nlattr *attribute = attribute_begin(request, type);
  memcpy(attribute + 1, value, length);
  request->header.nlmsg_len += (uint32_t)length;
  attribute_end(request, attribute);
}

// One direction of a connection, as far as it is given: where it goes to, or for the answer where it comes from.
// Answers the kernel's flags for it. Ports need the protocol.
static uint32_t add_tuple(struct request *request, int is_answer, const struct netd_address *address,
                          const uint16_t *port, const uint8_t *protocol) {
  uint32_t flags = 0;
  struct nlattr *tuple = attribute_begin(request, (is_answer ? CTA_TUPLE_REPLY : CTA_TUPLE_ORIG) | NLA_F_NESTED);
  if (address) {
    int type4 = is_answer ? CTA_IP_V4_SRC : CTA_IP_V4_DST, type6 = is_answer ? CTA_IP_V6_SRC : CTA_IP_V6_DST;
    struct nlattr *ip = attribute_begin(request, CTA_TUPLE_IP | NLA_F_NESTED);
    add_value(request, address->length == 16 ? type6 : type4, address->bytes, address->length);
    attribute_end(request, ip);
    flags |= is_answer ? 1 << 0 : 1 << 1;
  }
  if (protocol) {
    struct nlattr *layer4 = attribute_begin(request, CTA_TUPLE_PROTO | NLA_F_NESTED);
    add_value(request, CTA_PROTO_NUM, protocol, sizeof *protocol);
    if (port) add_value(request, is_answer ? CTA_PROTO_SRC_PORT : CTA_PROTO_DST_PORT, port, sizeof *port);
    attribute_end(request, layer4);
    flags |= 1 << 3;
    if (port) flags |= is_answer ? 1 << 4 : 1 << 5;
  }
  attribute_end(request, tuple);
  return flags;
}

// Lets the kernel choose, from Linux 5.8 on; an older one ignores this and lists all, of which we choose.
static void add_kernel_filter(struct request *request, const struct filter *filter) {
  const struct connection *wanted = &filter->wanted;
  int match = filter->match;
  const uint8_t *protocol = match & MATCH_PROTOCOL ? &wanted->protocol : NULL;
  uint32_t asked = add_tuple(request, 0, match & MATCH_ASKED_ADDRESS ? &wanted->asked_address : NULL,
                             match & MATCH_ASKED_PORT ? &wanted->asked_port : NULL, protocol);
  uint32_t answer = add_tuple(request, 1, match & MATCH_SERVER_ADDRESS ? &wanted->server_address : NULL,
                              match & MATCH_SERVER_PORT ? &wanted->server_port : NULL, protocol);
  struct nlattr *choice = attribute_begin(request, CTA_FILTER | NLA_F_NESTED);
  add_value(request, CTA_FILTER_ORIG_FLAGS, &asked, sizeof asked);
  add_value(request, CTA_FILTER_REPLY_FLAGS, &answer, sizeof answer);
  attribute_end(request, choice);
}

static int request_list(int fd, const struct filter *filter) {
  struct request request = {
      .header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct nfgenmsg)),
                 .nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
      .family = {.nfgen_family = filter ? filter->wanted.family : AF_UNSPEC},
  };
  if (filter) add_kernel_filter(&request, filter);
  return send(fd, &request, request.header.nlmsg_len, 0) < 0 ? -1 : 0;
}

// Walks the table once, over all connections or those of one filter. Answers the number deleted, or -1.
static int64_t walk(int list_fd, struct deleter *deleter, const struct filter *filter) {
  static uint8_t buffer[65536] __attribute__((aligned(NLMSG_ALIGNTO)));
  int64_t deleted = 0;
  if (request_list(list_fd, filter) < 0) return -1;
  for (;;) {
    ssize_t got = recv(list_fd, buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    size_t left = (size_t)got;
    for (struct nlmsghdr *header = (struct nlmsghdr *)buffer; NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type == NLMSG_DONE) return deleted;
      if (header->nlmsg_type == NLMSG_ERROR) {
        errno = -((struct nlmsgerr *)NLMSG_DATA(header))->error;
        return -1;
      }
      if (header->nlmsg_len <= NLMSG_SPACE(sizeof(struct nfgenmsg))) continue;
      int more = consider(deleter, header);
      if (more < 0) return -1;
      deleted += more;
    }
  }
}

// How many connections this namespace has; -1: the kernel does not say. A walk goes through those of all namespaces.
static int64_t count_connections(int fd) {
  struct request request = {
      .header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct nfgenmsg)),
                 .nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET_STATS,
                 .nlmsg_flags = NLM_F_REQUEST},
  };
  uint8_t answer[256] __attribute__((aligned(NLMSG_ALIGNTO)));
  if (send(fd, &request, request.header.nlmsg_len, 0) < 0) return -1;
  ssize_t got = recv(fd, answer, sizeof answer, 0);
  const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
  if (got < (ssize_t)NLMSG_SPACE(sizeof(struct nfgenmsg)) || header->nlmsg_type == NLMSG_ERROR) return -1;
  if (header->nlmsg_len > (size_t)got || header->nlmsg_len < NLMSG_SPACE(sizeof(struct nfgenmsg))) return -1;
  const uint8_t *attributes = (const uint8_t *)NLMSG_DATA(header) + NLMSG_ALIGN(sizeof(struct nfgenmsg));
  const struct nlattr *entries =
      find(attributes, header->nlmsg_len - NLMSG_SPACE(sizeof(struct nfgenmsg)), CTA_STATS_GLOBAL_ENTRIES);
  uint32_t count;
  if (!entries || entries->nla_len < sizeof *entries + sizeof count) return -1;
  copy_value(entries, &count, sizeof count);
  return ntohl(count);
}

// A walk costs milliseconds, however little it finds. For a few filters and many connections the kernel chooses, one walk
// for each; otherwise one walk over everything is cheaper.
static int64_t delete_matching(int list_fd, struct deleter *deleter) {
  int64_t count = count_connections(list_fd);
  if (count == 0) return 0;
  int few = count > 0 && count < FEW_CONNECTIONS && filter_count > 1;
  if (few || filter_count > KERNEL_WALKS_MAX) return walk(list_fd, deleter, NULL);
  int64_t deleted = 0;
  for (size_t i = 0; i < filter_count; i++) {
    int64_t more = walk(list_fd, deleter, &filters[i]);
    if (more < 0) return -1;
    deleted += more;
  }
  return deleted;
}

static void read_filters(struct netd_reader *in) {
  filter_count = 0;
  while (in->at < in->end && !in->bad && filter_count < FILTERS_MAX) {
    struct filter *filter = &filters[filter_count++];
    filter->match = netd_read_u8(in);
    filter->wanted.protocol = netd_read_u8(in);
    filter->wanted.asked_port = netd_read_u16(in);
    filter->wanted.server_port = netd_read_u16(in);
    filter->wanted.family = netd_read_u8(in) == 6 ? AF_INET6 : AF_INET;
    netd_read_address(in, &filter->wanted.asked_address);
    netd_read_address(in, &filter->wanted.server_address);
    if (filter->match == 0) in->bad = 1; // would delete everything
  }
  if (in->at < in->end) in->bad = 1;
}

int netd_conntrack_delete(struct netd_reader *in, struct netd_bytes *out) {
  char where[NETD_TEXT_MAX];
  netd_read_text(in, where, sizeof where);
  read_filters(in);
  if (in->bad) return netd_fault(out, EINVAL, "connection filter");
  int fd = netd_socket_in(where, NETLINK_NETFILTER);
  if (fd < 0) return netd_fault(out, errno, where[0] ? where : "list connections");
  struct deleter deleter = {where, -1};
  int64_t deleted = delete_matching(fd, &deleter);
  int error = errno;
  if (deleter.fd >= 0) close(deleter.fd);
  netd_socket_done(where, NETLINK_NETFILTER, fd, deleted < 0);
  if (deleted < 0) return netd_fault(out, error, "list connections");
  netd_bytes_u32(out, (uint32_t)deleted);
  return 0;
}
