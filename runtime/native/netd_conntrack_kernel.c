// What the kernel is asked about tracked connections: how many there are, to list them, to delete those of a filter.
// Source: Linux net/netfilter/nf_conntrack_netlink.c.
#include "netd_conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>
#include <sys/socket.h>

#ifndef CTA_FILTER_MAX // headers older than Linux 5.8
#define CTA_FILTER 25
#define CTA_FILTER_ORIG_FLAGS 1
#define CTA_FILTER_REPLY_FLAGS 2
#endif

struct request {
  struct nlmsghdr header;
  struct nfgenmsg family;
  uint8_t attributes[256];
};

static struct request request_of(int type, int flags, uint8_t family) {
  return (struct request){
      .header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct nfgenmsg)),
                 .nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type),
                 .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)},
      .family = {.nfgen_family = family},
  };
}

static int send_request(int fd, const struct request *request) {
  return send(fd, request, request->header.nlmsg_len, 0) < 0 ? -1 : 0;
}

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

// Kernels that compare IPv6 addresses at all take those that are not alike for the same (Linux 6.18 does): only families,
// protocols and ports are left to them there.
static int has_six(const struct filter *filter) {
  return filter->wanted.family == AF_INET6 && (filter->match & (MATCH_ASKED_ADDRESS | MATCH_SERVER_ADDRESS));
}

static void add_filter(struct request *request, const struct filter *filter) {
  const struct connection *wanted = &filter->wanted;
  int match = has_six(filter) ? filter->match & ~(MATCH_ASKED_ADDRESS | MATCH_SERVER_ADDRESS) : filter->match;
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

// From Linux 5.8 on the kernel chooses those of the filter; an older one ignores it and lists all.
int netd_conntrack_list(int fd, const struct filter *filter) {
  struct request request = request_of(IPCTNL_MSG_CT_GET, NLM_F_DUMP, filter ? filter->wanted.family : AF_UNSPEC);
  if (filter) add_filter(&request, filter);
  return send_request(fd, &request);
}

static struct nlmsghdr *receive(int fd, uint8_t *answer, size_t size, size_t least) {
  ssize_t got;
  do got = recv(fd, answer, size, 0);
  while (got < 0 && errno == EINTR);
  struct nlmsghdr *header = (struct nlmsghdr *)answer;
  if (got < 0) return NULL;
  if ((size_t)got >= least && header->nlmsg_len <= (size_t)got && header->nlmsg_len >= least) return header;
  errno = EBADMSG;
  return NULL;
}

// From Linux 6.11 on, and not by IPv6 addresses. An older kernel refuses, as the addresses and ports are not those of one whole connection.
int netd_conntrack_delete_by_kernel(int fd, const struct filter *filter) {
  if (has_six(filter)) return errno = EOPNOTSUPP, -1;
  uint8_t answer[512] __attribute__((aligned(NLMSG_ALIGNTO)));
  struct request request = request_of(IPCTNL_MSG_CT_DELETE, NLM_F_ACK, filter->wanted.family);
  add_filter(&request, filter);
  if (send_request(fd, &request) < 0) return -1;
  const struct nlmsghdr *header = receive(fd, answer, sizeof answer, NLMSG_SPACE(sizeof(int)));
  if (!header) return -1;
  errno = header->nlmsg_type == NLMSG_ERROR ? -((const struct nlmsgerr *)NLMSG_DATA(header))->error : EBADMSG;
  return errno ? -1 : 0;
}

int64_t netd_conntrack_count(int fd) {
  uint8_t answer[256] __attribute__((aligned(NLMSG_ALIGNTO)));
  struct request request = request_of(IPCTNL_MSG_CT_GET_STATS, 0, AF_UNSPEC);
  if (send_request(fd, &request) < 0) return -1;
  const struct nlmsghdr *header = receive(fd, answer, sizeof answer, NLMSG_SPACE(sizeof(struct nfgenmsg)));
  if (!header || header->nlmsg_type == NLMSG_ERROR) return -1;
  const uint8_t *attributes = (const uint8_t *)NLMSG_DATA(header) + NLMSG_ALIGN(sizeof(struct nfgenmsg));
  const struct nlattr *entries =
      netd_attribute(attributes, header->nlmsg_len - NLMSG_SPACE(sizeof(struct nfgenmsg)), CTA_STATS_GLOBAL_ENTRIES);
  uint32_t count;
  if (!entries || entries->nla_len < sizeof *entries + sizeof count) return -1;
  memcpy(&count, entries + 1, sizeof count);
  return ntohl(count);
}

const struct nlattr *netd_attribute(const uint8_t *at, size_t left, int type) {
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
