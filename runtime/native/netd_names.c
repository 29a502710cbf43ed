// Sockets for the resolver at 127.0.0.11, opened inside containers' namespaces and handed to the thread that answers.
// One per daemon. Lines `ID PATH` come in on descriptor 0; for each the channel that Node made for its children
// (NODE_CHANNEL_FD) carries Node's own message for handles, first the datagram socket, then the listening one; or
// {"id":ID,"error":"…"}. The sockets live on in Node only: this process keeps none.
#include "netd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define RESOLVER_ADDRESS 0x7f00000b // 127.0.0.11
#define BACKLOG 64
#define LINE_MAX_LENGTH 512
#define RECEIVE_BUFFER (1 << 20)

static int channel_fd = -1;

static void send_text(const char *text, int fd) {
  union {
    char space[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control = {0};
  struct iovec data = {.iov_base = (void *)text, .iov_len = strlen(text)};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
  if (fd >= 0) {
    message.msg_control = control.space;
    message.msg_controllen = sizeof control.space;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  ssize_t sent;
  do sent = sendmsg(channel_fd, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent != (ssize_t)strlen(text)) exit(0); // the daemon went away
}

static void send_handle(unsigned id, const char *type, int fd) {
  struct sockaddr_in name = {0};
  socklen_t length = sizeof name;
  char text[256];
  getsockname(fd, (struct sockaddr *)&name, &length);
  snprintf(text, sizeof text, "{\"cmd\":\"NODE_HANDLE\",\"type\":\"%s\",\"msg\":{\"id\":%u,\"port\":%u}}\n", type, id,
           ntohs(name.sin_port));
  send_text(text, fd);
}

static void send_error(unsigned id, int error, const char *step) {
  char text[256];
  snprintf(text, sizeof text, "{\"id\":%u,\"error\":\"%s: %s\"}\n", id, step, strerror(error));
  send_text(text, -1);
}

// Any free port: 53 stays free for what the image itself may want to bind there.
static int open_socket(int type) {
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(RESOLVER_ADDRESS)};
  int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), size = RECEIVE_BUFFER;
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  if (bind(fd, (struct sockaddr *)&name, sizeof name) == 0 && (type == SOCK_DGRAM || listen(fd, BACKLOG) == 0)) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static void open_in(unsigned id, const char *path) {
  if (netd_enter(path) < 0) {
    send_error(id, errno, "enter the namespace");
    return;
  }
  int datagrams = open_socket(SOCK_DGRAM), streams = datagrams < 0 ? -1 : open_socket(SOCK_STREAM);
  int error = errno;
  netd_come_home();
  if (streams >= 0) {
    send_handle(id, "dgram.Native", datagrams);
    send_handle(id, "net.Server", streams);
    close(streams);
  } else {
    send_error(id, error, "open the resolver's sockets");
  }
  if (datagrams >= 0) close(datagrams);
}

static void take_line(const char *line) {
  char *path;
  unsigned long id = strtoul(line, &path, 10);
  if (*path != ' ' || path[1] == 0) exit(2); // a daemon that does not speak our protocol
  open_in((unsigned)id, path + 1);
}

static void read_lines(void) {
  static char text[16 * LINE_MAX_LENGTH];
  static size_t length;
  ssize_t got = read(0, text + length, sizeof text - length);
  if (got < 0 && errno == EINTR) return;
  if (got <= 0) exit(0);
  length += (size_t)got;
  char *line = text, *end;
  while ((end = memchr(line, '\n', length - (size_t)(line - text)))) {
    *end = 0;
    take_line(line);
    line = end + 1;
  }
  length -= (size_t)(line - text);
  memmove(text, line, length);
  if (length == sizeof text) exit(2);
}

// Node acknowledges each handle; there is nothing to do about it.
static void read_channel(void) {
  char ignored[4096];
  ssize_t got = recv(channel_fd, ignored, sizeof ignored, MSG_DONTWAIT);
  if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) exit(0);
}

int netd_names_main(void) {
  const char *channel = getenv("NODE_CHANNEL_FD");
  prctl(PR_SET_NAME, "shoal-names");
  signal(SIGINT, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  channel_fd = channel ? atoi(channel) : -1;
  if (channel_fd < 0 || netd_home_open() < 0) {
    fprintf(stderr, "netd-names: needs Node's channel and a network namespace\n");
    return 2;
  }
  for (;;) {
    struct pollfd fds[] = {{0, POLLIN, 0}, {channel_fd, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return 1;
    if (fds[0].revents) read_lines();
    if (fds[1].revents) read_channel();
  }
}
