// Netlink exchanges: a string of messages out, all answers in.
#include "netd.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_TIMEOUT_SECONDS 10
#define BUFFER_BYTES (8 << 20)
#define MESSAGES_MAX 65536

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

// What one exchange waits for. `last` is the message whose answer ends it.
struct exchange {
  uint32_t first_sequence;
  uint32_t count;
  uint32_t last;
  int is_batch;
  uint32_t failures;
  int error;
  struct netd_bytes failed; // for each: u32 index, u32 errno, u16 length, text
  struct netd_bytes data;   // answers that are neither acknowledgements nor ends
};

static uint32_t next_sequence = 1;
static int home_sockets[32];

int netd_netlink_open(int protocol) {
  int one = 1, size = BUFFER_BYTES;
  struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_SECONDS};
  struct sockaddr_nl self = {.nl_family = AF_NETLINK};
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (fd < 0) return -1;
  // Large rule sets go out in one datagram. Without the right to pass the system's limit the default has to do.
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one);
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&self, sizeof self) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

// Numbers the messages and finds the one to wait for. Answers 0 or an errno.
static int number_messages(struct exchange *exchange, uint8_t *messages, size_t length) {
  size_t at = 0;
  exchange->first_sequence = next_sequence;
  exchange->last = UINT32_MAX;
  while (at + sizeof(struct nlmsghdr) <= length) {
    struct nlmsghdr *header = (struct nlmsghdr *)(messages + at);
    if (header->nlmsg_len < sizeof *header || header->nlmsg_len > length - at) return EBADMSG;
    if (at == 0) exchange->is_batch = header->nlmsg_type == NFNL_MSG_BATCH_BEGIN;
    header->nlmsg_seq = next_sequence++;
    if (header->nlmsg_flags & (NLM_F_ACK | NLM_F_DUMP)) exchange->last = exchange->count;
    exchange->count++;
    at += NLMSG_ALIGN(header->nlmsg_len);
  }
  return exchange->last == UINT32_MAX || exchange->count > MESSAGES_MAX ? EBADMSG : 0;
}

static const char *extended_text(const struct nlmsghdr *header, size_t *length) {
  const struct nlmsgerr *answer = NLMSG_DATA(header);
  size_t at = NLMSG_HDRLEN + sizeof *answer;
  if (!(header->nlmsg_flags & NLM_F_ACK_TLVS)) return NULL;
  if (!(header->nlmsg_flags & NLM_F_CAPPED)) at += answer->msg.nlmsg_len - sizeof(struct nlmsghdr);
  while (at + sizeof(struct nlattr) <= header->nlmsg_len) {
    const struct nlattr *attribute = (const struct nlattr *)((const uint8_t *)header + at);
    if (attribute->nla_len < sizeof *attribute || attribute->nla_len > header->nlmsg_len - at) return NULL;
    if (attribute->nla_type == NLMSGERR_ATTR_MSG) {
      *length = strnlen((const char *)(attribute + 1), attribute->nla_len - sizeof *attribute);
      return (const char *)(attribute + 1);
    }
    at += NLA_ALIGN(attribute->nla_len);
  }
  return NULL;
}

static void note_failure(struct exchange *exchange, uint32_t index, int error, const char *text, size_t length) {
  if (exchange->failures++ == 0) exchange->error = error;
  netd_bytes_u32(&exchange->failed, index);
  netd_bytes_u32(&exchange->failed, (uint32_t)error);
  netd_bytes_u16(&exchange->failed, (uint16_t)length);
  netd_bytes_add(&exchange->failed, text, length);
}

// One answer; true when it was the last.
static int take_answer(struct exchange *exchange, const struct nlmsghdr *header) {
  uint32_t index = header->nlmsg_seq - exchange->first_sequence;
  size_t text_length = 0;
  if (index >= exchange->count) return 0; // belongs to something we gave up on
  if (header->nlmsg_type == NLMSG_DONE) {
    int error = header->nlmsg_len >= NLMSG_LENGTH(sizeof(int)) ? *(int *)NLMSG_DATA(header) : 0;
    if (error < 0) note_failure(exchange, index, -error, NULL, 0);
    return index == exchange->last;
  }
  if (header->nlmsg_type != NLMSG_ERROR) {
    size_t start = exchange->data.length;
    netd_bytes_add(&exchange->data, header, header->nlmsg_len);
    memset(netd_bytes_reserve(&exchange->data, 4), 0, 4);
    exchange->data.length = start + NLMSG_ALIGN(header->nlmsg_len);
    return 0;
  }
  int error = -((const struct nlmsgerr *)NLMSG_DATA(header))->error;
  const char *text = extended_text(header, &text_length);
  if (error) note_failure(exchange, index, error, text, text_length);
  // A batch that is refused as a whole is answered on its first message only.
  return index == exchange->last || (exchange->is_batch && index == 0 && error);
}

static int collect_answers(struct exchange *exchange, int fd) {
  static uint8_t buffer[65536] __attribute__((aligned(NLMSG_ALIGNTO)));
  for (;;) {
    ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN ? ETIMEDOUT : errno;
    size_t left = (size_t)got;
    for (struct nlmsghdr *header = (struct nlmsghdr *)buffer; NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left))
      if (take_answer(exchange, header)) return 0;
  }
}

static int send_messages(int fd, const uint8_t *messages, size_t length) {
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  ssize_t sent;
  do sent = sendto(fd, messages, length, 0, (struct sockaddr *)&kernel, sizeof kernel);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? errno : 0;
}

// Sockets for packet rules in other namespaces. To close one waits for a grace period of the kernel, 10 ms and more,
// while a change that took something away is still being cleared up; so the last ones stay open. They hold their
// namespace, until it is removed (netd_sockets_forget) or others take their place.
#define KEPT_MAX 64
static struct {
  char where[NETD_TEXT_MAX];
  ino_t namespace; // what was there then: another may have been made in its place
  int fd;
} kept[KEPT_MAX];
static size_t kept_count, kept_next;

static int is_there(const char *where, ino_t namespace) {
  struct stat status;
  return stat(where, &status) == 0 && status.st_ino == namespace;
}

static void drop_kept(size_t at) {
  close(kept[at].fd);
  kept[at] = kept[--kept_count];
}

void netd_sockets_forget(const char *where) {
  for (size_t at = 0; at < kept_count; at++)
    if (strcmp(kept[at].where, where) == 0) drop_kept(at--);
}

// Hands out the kept socket, which is then nobody else's until it is done.
static int take_kept(const char *where) {
  for (size_t at = 0; at < kept_count; at++) {
    if (strcmp(kept[at].where, where) != 0) continue;
    if (is_there(where, kept[at].namespace)) {
      int fd = kept[at].fd;
      kept[at] = kept[--kept_count];
      return fd;
    }
    drop_kept(at--);
  }
  return -1;
}

static int keep(const char *where, int fd) {
  struct stat status;
  if (stat(where, &status) < 0) return 0;
  if (kept_count == KEPT_MAX) drop_kept(kept_next++ % KEPT_MAX);
  snprintf(kept[kept_count].where, sizeof kept[0].where, "%s", where);
  kept[kept_count].namespace = status.st_ino;
  kept[kept_count++].fd = fd;
  return 1;
}

// The sockets of our own namespace are kept for good; of other namespaces those for packet rules, for a while.
int netd_socket_in(const char *where, int protocol) {
  if (where[0] == 0 && protocol < 32) {
    if (home_sockets[protocol] == 0) home_sockets[protocol] = netd_netlink_open(protocol);
    if (home_sockets[protocol] < 0) home_sockets[protocol] = 0;
    return home_sockets[protocol] ? home_sockets[protocol] : -1;
  }
  if (protocol == NETLINK_NETFILTER) {
    int fd = take_kept(where);
    if (fd >= 0) return fd;
  }
  if (netd_enter(where) < 0) return -1;
  int fd = netd_netlink_open(protocol);
  int error = errno;
  netd_come_home();
  errno = error;
  return fd;
}

void netd_socket_done(const char *where, int protocol, int fd, int broken) {
  if (where[0] == 0 && protocol < 32) {
    if (!broken) return; // after a lost answer, what comes later would be taken for another exchange's
    home_sockets[protocol] = 0;
  } else if (protocol == NETLINK_NETFILTER && !broken && keep(where, fd)) {
    return;
  }
  close(fd);
}

int netd_netlink(struct netd_reader *in, struct netd_bytes *out) {
  char where[NETD_TEXT_MAX];
  struct exchange exchange = {0};
  int protocol = netd_read_u16(in);
  netd_read_text(in, where, sizeof where);
  if (in->bad) return netd_fault(out, EINVAL, "netlink");
  size_t length = (size_t)(in->end - in->at);
  uint8_t *messages = malloc(length ? length : 1);
  if (!messages) return netd_fault(out, ENOMEM, "netlink");
  memcpy(messages, in->at, length);
  int error = number_messages(&exchange, messages, length);
  int fd = error ? -1 : netd_socket_in(where, protocol);
  if (!error && fd < 0) error = errno;
  if (!error) error = send_messages(fd, messages, length);
  if (!error) error = collect_answers(&exchange, fd);
  if (fd >= 0) netd_socket_done(where, protocol, fd, error);
  if (error) {
    netd_fault(out, error, where[0] ? where : "netlink");
  } else {
    netd_bytes_u32(out, exchange.failures);
    netd_bytes_add(out, exchange.failed.data, exchange.failed.length);
    netd_bytes_add(out, exchange.data.data, exchange.data.length);
  }
  free(messages);
  free(exchange.failed.data);
  free(exchange.data.data);
  return error; // failed messages are in the result: the caller knows which of them may fail
}

int netd_watch_open(void) {
  int fd = netd_netlink_open(NETLINK_NETFILTER), group = NFNLGRP_NFTABLES;
  if (fd < 0) return -1;
  if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static uint32_t attribute_u32(const struct nlmsghdr *header, int type) {
  size_t at = NLMSG_HDRLEN + sizeof(struct nfgenmsg);
  while (at + sizeof(struct nlattr) <= header->nlmsg_len) {
    const struct nlattr *attribute = (const struct nlattr *)((const uint8_t *)header + at);
    if (attribute->nla_len < sizeof *attribute || attribute->nla_len > header->nlmsg_len - at) return 0;
    if ((attribute->nla_type & NLA_TYPE_MASK) == type && attribute->nla_len >= 8) {
      const uint8_t *value = (const uint8_t *)(attribute + 1);
      return (uint32_t)value[0] << 24 | (uint32_t)value[1] << 16 | (uint32_t)value[2] << 8 | value[3];
    }
    at += NLA_ALIGN(attribute->nla_len);
  }
  return 0;
}

int netd_watch_read(int fd, void (*event)(uint32_t generation, uint32_t pid)) {
  static uint8_t buffer[65536] __attribute__((aligned(NLMSG_ALIGNTO)));
  for (;;) {
    ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return 0;
    if (got < 0 && errno == ENOBUFS) { // notices were lost: say that something changed, and not by us
      event(0, 0);
      continue;
    }
    if (got < 0) return -1;
    size_t left = (size_t)got;
    for (struct nlmsghdr *header = (struct nlmsghdr *)buffer; NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left))
      if (header->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN))
        event(attribute_u32(header, NFTA_GEN_ID), attribute_u32(header, NFTA_GEN_PROC_PID));
  }
}
