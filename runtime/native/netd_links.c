// Notices of links and addresses of our own namespace that went away or changed. Which of them matter is the
// daemon's to know: a link that it still counts on has been taken by somebody else.
#include "netd.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

int netd_links_open(void) {
  int groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR};
  int fd = netd_netlink_open(NETLINK_ROUTE);
  if (fd < 0) return -1;
  for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
    if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof groups[i]) == 0) continue;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

static void read_link(const struct nlmsghdr *header, struct netd_link_event *event) {
  const struct ifinfomsg *info = NLMSG_DATA(header);
  int left = (int)header->nlmsg_len - (int)NLMSG_LENGTH(sizeof *info);
  event->index = (uint32_t)info->ifi_index;
  event->flags = info->ifi_flags;
  for (const struct rtattr *at = IFLA_RTA(info); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
    size_t length = RTA_PAYLOAD(at);
    if (at->rta_type == IFLA_IFNAME) memcpy(event->name, RTA_DATA(at), length < IFNAMSIZ ? length : IFNAMSIZ - 1);
    if (at->rta_type == IFLA_MASTER && length >= 4) memcpy(&event->master, RTA_DATA(at), 4);
  }
}

static void take(const struct nlmsghdr *header, void (*tell)(const struct netd_link_event *)) {
  struct netd_link_event event = {.type = header->nlmsg_type};
  if (header->nlmsg_type == RTM_DELLINK || header->nlmsg_type == RTM_NEWLINK) {
    const struct ifinfomsg *info = NLMSG_DATA(header);
    if (info->ifi_family != AF_UNSPEC) return; // a bridge tells of its ports once more
    read_link(header, &event);
    // What is up and has its place is no news; that is what most of our own changes look like.
    if (header->nlmsg_type == RTM_NEWLINK && event.flags & IFF_UP && event.master) return;
  } else if (header->nlmsg_type == RTM_DELADDR) {
    event.index = ((const struct ifaddrmsg *)NLMSG_DATA(header))->ifa_index;
  } else {
    return;
  }
  tell(&event);
}

int netd_links_read(int fd, void (*tell)(const struct netd_link_event *)) {
  static uint8_t buffer[65536] __attribute__((aligned(NLMSG_ALIGNTO)));
  for (;;) {
    ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return 0;
    if (got < 0 && errno == ENOBUFS) { // notices were lost: type 0 says that anything may have changed
      struct netd_link_event lost = {0};
      tell(&lost);
      continue;
    }
    if (got < 0) return -1;
    size_t left = (size_t)got;
    for (struct nlmsghdr *header = (struct nlmsghdr *)buffer; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left))
      take(header, tell);
  }
}
