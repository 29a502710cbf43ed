/* The demo service: shows which version, task and node answered. Starts in about a millisecond, needs no library.
 *   server            serves HTTP on port 80
 *   server --health   asks the server in the same container; exit status 0 when it answers
 * One thread, one poll loop. On SIGTERM it takes no new connection, answers what is still asked on open ones with
 * "Connection: close" and exits at once when none is left, at the latest after DRAIN_MS. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION "v1"
#endif
#ifndef COLOUR
#define COLOUR "#0b7285"
#endif

enum { PORT = 80, CLIENTS_MAX = 1000, REQUEST_BYTES_MAX = 8192, DRAIN_MS = 1500 };

struct client {
  int fd;
  int length;
  char request[REQUEST_BYTES_MAX];
};

static struct client clients[CLIENTS_MAX];
static int client_count;
static const char *task, *node;

static long now_ms(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000L + at.tv_nsec / 1000000L;
}

static void drop(int index) {
  close(clients[index].fd);
  clients[index] = clients[--client_count];
}

static const char *or_unknown(const char *value) { return value && *value ? value : "unknown"; }

/* Whom the kernel says we talk to: through every node of the cluster that is the client itself. */
static const char *address_of(int fd) {
  static char text[INET6_ADDRSTRLEN];
  struct sockaddr_in6 peer = { 0 };
  socklen_t length = sizeof peer;
  if (getpeername(fd, (struct sockaddr *)&peer, &length) < 0) return "unknown";
  int is4 = peer.sin6_family == AF_INET || IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr);
  const void *address = peer.sin6_family == AF_INET ? (void *)&((struct sockaddr_in *)&peer)->sin_addr
    : is4 ? (void *)&peer.sin6_addr.s6_addr[12] : (void *)&peer.sin6_addr;
  return inet_ntop(is4 ? AF_INET : AF_INET6, address, text, sizeof text) ? text : "unknown";
}

/* Answers one request; 0 when the connection is to be closed. */
static int answer(struct client *client, int closing) {
  char body[2048], head[256];
  int plain = strncmp(client->request, "GET /plain", 10) == 0 || strncmp(client->request, "GET /health", 11) == 0;
  int body_length = plain
    ? snprintf(body, sizeof body, "version=%s task=%s node=%s client=%s\n", VERSION, task, node, address_of(client->fd))
    : snprintf(body, sizeof body,
        "<!doctype html><meta charset=utf-8><title>Shoal %s</title><body style=\"font:1.5em sans-serif;color:#fff;"
        "background:%s;display:grid;place-items:center;height:100vh;margin:0\"><div><h1>%s</h1><p>task %s</p>"
        "<p>node %s</p></div></body>\n", VERSION, COLOUR, VERSION, task, node);
  int keep = !closing && !strcasestr(client->request, "\r\nConnection: close");
  int head_length = snprintf(head, sizeof head,
    "HTTP/1.1 200 OK\r\nContent-Type: text/%s; charset=utf-8\r\nContent-Length: %d\r\nCache-Control: no-store\r\n"
    "X-Version: %s\r\nX-Task: %.60s\r\nConnection: %s\r\n\r\n",
    plain ? "plain" : "html", body_length, VERSION, task, keep ? "keep-alive" : "close");
  char reply[sizeof head + sizeof body];
  memcpy(reply, head, head_length);
  memcpy(reply + head_length, body, body_length);
  ssize_t sent = send(client->fd, reply, head_length + body_length, MSG_NOSIGNAL);
  return sent == head_length + body_length && keep;
}

/* Reads what came and answers every whole request in it; 0 when the connection is over. */
static int serve(struct client *client, int closing) {
  ssize_t got = recv(client->fd, client->request + client->length, REQUEST_BYTES_MAX - 1 - client->length, MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return 0;
  client->length += got;
  client->request[client->length] = 0;
  char *end;
  while ((end = strstr(client->request, "\r\n\r\n"))) {
    if (!answer(client, closing)) {
      shutdown(client->fd, SHUT_WR);
      return 0;
    }
    client->length -= end + 4 - client->request;
    memmove(client->request, end + 4, client->length + 1);
  }
  return client->length < REQUEST_BYTES_MAX - 1;
}

static int listen_on(int port) {
  struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any };
  struct sockaddr_in any4 = { .sin_family = AF_INET, .sin_port = htons(port) };
  int one = 1, fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) < 0) {
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&any4, sizeof any4) < 0) return -1;
  }
  return listen(fd, 1024) < 0 ? -1 : fd;
}

static void accept_all(int listener) {
  while (client_count < CLIENTS_MAX) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) return;
    clients[client_count].fd = fd;
    clients[client_count].length = 0;
    client_count++;
  }
}

static int run(void) {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  sigprocmask(SIG_BLOCK, &stop, NULL);
  int signals = signalfd(-1, &stop, SFD_NONBLOCK), listener = listen_on(PORT);
  if (listener < 0) {
    perror("listening on port 80");
    return 1;
  }
  printf("serving %s\n", VERSION);
  fflush(stdout);
  long deadline = 0; /* set once SIGTERM came */
  for (;;) {
    static struct pollfd polled[CLIENTS_MAX + 2];
    polled[0] = (struct pollfd){ .fd = deadline ? -1 : signals, .events = POLLIN };
    polled[1] = (struct pollfd){ .fd = client_count < CLIENTS_MAX ? listener : -1, .events = POLLIN };
    for (int i = 0; i < client_count; i++) polled[i + 2] = (struct pollfd){ .fd = clients[i].fd, .events = POLLIN };
    int count = client_count;
    long left = deadline ? deadline - now_ms() : -1;
    if (deadline && (left <= 0 || client_count == 0)) return 0;
    if (poll(polled, count + 2, left) < 0 && errno != EINTR) return 1;
    for (int i = count - 1; i >= 0; i--)
      if (polled[i + 2].revents && !serve(&clients[i], deadline != 0)) drop(i);
    if (polled[1].revents) accept_all(listener);
    if (polled[0].revents && !deadline) {
      accept_all(listener); /* those that the kernel has already taken for us */
      close(listener);
      listener = -1;
      deadline = now_ms() + DRAIN_MS;
    }
  }
}

static int health(void) {
  struct sockaddr_in own = { .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  struct timeval second = { .tv_sec = 1 };
  char reply[16] = { 0 };
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
  if (connect(fd, (struct sockaddr *)&own, sizeof own) < 0) return 1;
  if (send(fd, "GET /health HTTP/1.1\r\nConnection: close\r\n\r\n", 43, MSG_NOSIGNAL) < 0) return 1;
  return recv(fd, reply, sizeof reply - 1, MSG_WAITALL) < 12 || strncmp(reply, "HTTP/1.1 200", 12) != 0;
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "--health") == 0) return health();
  task = or_unknown(getenv("TASK"));
  node = or_unknown(getenv("NODE"));
  return run();
}
