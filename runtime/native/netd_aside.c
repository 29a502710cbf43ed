// The second process of netd: the same steps, done aside. Requests: u32 id, u16 operation, body. Answers: u32 id,
// u32 errno, bytes. When one of the two processes dies the other ends: the daemon starts both anew.
#include "netd.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_MAX 65536
#define ID_LENGTH 4
#define HEADER_LENGTH (ID_LENGTH + 2)

static int aside_fd = -1;

static void do_request(int fd, const uint8_t *request, size_t length) {
  uint16_t operation;
  memcpy(&operation, request + ID_LENGTH, sizeof operation);
  struct netd_reader in = {request + HEADER_LENGTH, request + length, 0};
  struct netd_bytes result = {0}, answer = {0};
  netd_step *step = netd_step_of(operation);
  uint32_t error = (uint32_t)(step ? step(&in, &result) : netd_fault(&result, EPROTO, "unknown step"));
  netd_bytes_add(&answer, request, ID_LENGTH);
  netd_bytes_u32(&answer, error);
  netd_bytes_add(&answer, result.data, result.length);
  if (send(fd, answer.data, answer.length, MSG_NOSIGNAL) < 0) _exit(0);
  free(result.data);
  free(answer.data);
}

static void serve(int fd) {
  static uint8_t request[MESSAGE_MAX];
  prctl(PR_SET_NAME, "shoal-netd-2nd");
  close(0); // the daemon's: it must see the end of the first process
  close(1);
  if (netd_home_open() < 0) _exit(1);
  for (;;) {
    ssize_t got = recv(fd, request, sizeof request, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < HEADER_LENGTH) _exit(0);
    do_request(fd, request, (size_t)got);
  }
}

int netd_aside_start(void) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return -1;
  pid_t pid = fork();
  if (pid < 0) return -1;
  if (pid == 0) {
    close(ends[0]);
    serve(ends[1]);
  }
  close(ends[1]);
  aside_fd = ends[0];
  return aside_fd;
}

void netd_aside_receive(netd_answer *answer) {
  static uint8_t message[MESSAGE_MAX];
  for (;;) {
    ssize_t got = recv(aside_fd, message, sizeof message, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got < 2 * ID_LENGTH) {
      fprintf(stderr, "netd: the second process ended\n");
      exit(1);
    }
    uint32_t id, error;
    memcpy(&id, message, sizeof id);
    memcpy(&error, message + ID_LENGTH, sizeof error);
    answer(id, error, message + 2 * ID_LENGTH, (size_t)got - 2 * ID_LENGTH);
  }
}

// Takes answers while there is no room: otherwise each process could wait for the other.
void netd_aside_send(uint32_t id, uint16_t operation, const uint8_t *body, size_t length, netd_answer *answer) {
  struct netd_bytes message = {0};
  netd_bytes_u32(&message, id);
  netd_bytes_u16(&message, operation);
  netd_bytes_add(&message, body, length);
  while (send(aside_fd, message.data, message.length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno == EMSGSIZE || message.length > MESSAGE_MAX) {
      answer(id, EMSGSIZE, NULL, 0);
      break;
    }
    if (errno != EAGAIN && errno != EINTR) {
      perror("netd: ask the second process");
      exit(1);
    }
    struct pollfd room = {.fd = aside_fd, .events = POLLIN | POLLOUT};
    if (poll(&room, 1, -1) > 0 && room.revents & POLLIN) netd_aside_receive(answer);
  }
  free(message.data);
}
