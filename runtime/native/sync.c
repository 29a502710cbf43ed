// One message is one packet; descriptors travel beside it.
#include "sync.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int sync_pair(int ends[2], struct fault *fault) {
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return fault_set(fault, "make a socket pair");
  return 0;
}

int sync_send(int fd, const struct sync_message *message, int passed) {
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {.iov_base = (void *)message, .iov_len = sizeof *message};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
  if (passed >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    struct cmsghdr *item = CMSG_FIRSTHDR(&header);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(item), &passed, sizeof passed);
  }
  return sendmsg(fd, &header, MSG_NOSIGNAL) == (ssize_t)sizeof *message ? 0 : -1;
}

int sync_receive(int fd, struct sync_message *message, int *passed) {
  char control[CMSG_SPACE(sizeof(int))];
  struct iovec part = {.iov_base = message, .iov_len = sizeof *message};
  struct msghdr header = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t got;
  // A peer that left without reading its last message is told as a reset, once, before what it sent itself.
  do got = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
  while (got < 0 && (errno == EINTR || errno == ECONNRESET));
  *passed = -1;
  if (got == 0) return 0;
  if (got != (ssize_t)sizeof *message) return -1;
  struct cmsghdr *item = CMSG_FIRSTHDR(&header);
  if (item != NULL && item->cmsg_type == SCM_RIGHTS && item->cmsg_len == CMSG_LEN(sizeof(int)))
    memcpy(passed, CMSG_DATA(item), sizeof *passed);
  return 1;
}

void sync_send_fault(int fd, const struct fault *fault) {
  struct sync_message message = {.kind = SYNC_FAULT, .value = 0, .fault = *fault};
  sync_send(fd, &message, -1);
}
