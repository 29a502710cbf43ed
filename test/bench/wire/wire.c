// The load of the network bench: one process, no threads, prints what it measured as JSON.
//   wire greet PORT                       each connection gets one byte
//   wire sink PORT                        each connection is read to its end
//   wire connects ADDRESS PORT MS         connections one after the other, each until its first byte
//   wire stream ADDRESS PORT MS           one connection, as many bytes as it takes
//   wire names ADDRESS PORT NAME MS WINDOW   questions for the A records of NAME, WINDOW of them under way
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX 1000000
#define WINDOW_MAX 256

static double samples[SAMPLES_MAX];
static char block[256 * 1024];

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double now_us(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec * 1e6 + (double)at.tv_nsec / 1e3;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static void report(int count, double took_us) {
  int kept = count < SAMPLES_MAX ? count : SAMPLES_MAX;
  if (kept == 0) {
    fprintf(stderr, "nothing was answered\n");
    exit(1);
  }
  qsort(samples, (size_t)kept, sizeof *samples, by_size);
  printf("{\"perSecond\":%.0f,\"p50us\":%.1f,\"p99us\":%.1f}\n", count / took_us * 1e6, samples[kept / 2],
         samples[(int)(kept * 0.99)]);
}

static struct sockaddr_in place(const char *address, const char *port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
  if (inet_pton(AF_INET, address, &to.sin_addr) != 1) die(address);
  return to;
}

static int listener(const char *port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  struct sockaddr_in at = place("0.0.0.0", port);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 1024) < 0) die("listen");
  puts("ready");
  fflush(stdout);
  return fd;
}

static int connected(const struct sockaddr_in *to) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (const struct sockaddr *)to, sizeof *to) < 0) die("connect");
  return fd;
}

static void greet(const char *port) {
  int fd = listener(port);
  for (;;) {
    int client = accept(fd, NULL, NULL);
    if (client < 0) continue;
    if (write(client, "x", 1) != 1) perror("greet");
    close(client);
  }
}

static void sink(const char *port) {
  int fd = listener(port);
  for (;;) {
    int client = accept(fd, NULL, NULL);
    if (client < 0) continue;
    while (read(client, block, sizeof block) > 0) continue;
    close(client);
  }
}

static void connects(const char *address, const char *port, double for_us) {
  struct sockaddr_in to = place(address, port);
  struct linger reset = {.l_onoff = 1, .l_linger = 0}; // ports are free again at once
  double start = now_us(), end = start + for_us, at = start;
  int count = 0;
  while (at < end) {
    char byte;
    int fd = connected(&to);
    if (read(fd, &byte, 1) != 1) die("first byte");
    double done = now_us();
    if (count < SAMPLES_MAX) samples[count] = done - at;
    count += 1;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    at = now_us();
  }
  report(count, at - start);
}

static void stream(const char *address, const char *port, double for_us) {
  struct sockaddr_in to = place(address, port);
  int fd = connected(&to);
  double start = now_us(), at = start, sent = 0;
  while (at < start + for_us) {
    ssize_t wrote = write(fd, block, sizeof block);
    if (wrote < 0) die("write");
    sent += (double)wrote;
    at = now_us();
  }
  printf("{\"gigabits\":%.3f}\n", sent * 8 / (at - start) / 1e3);
}

static int question(unsigned char *out, const char *name) {
  static const unsigned char head[12] = {0, 0, 1, 0, 0, 1};
  int length = sizeof head;
  memcpy(out, head, sizeof head);
  while (*name) {
    size_t label = strcspn(name, ".");
    out[length++] = (unsigned char)label;
    memcpy(out + length, name, label);
    length += (int)label;
    name += label + (name[label] == '.');
  }
  memcpy(out + length, "\0\0\1\0\1", 5);
  return length + 5;
}

static void ask(int fd, unsigned char *query, int length, int id, double *asked) {
  query[0] = (unsigned char)(id >> 8);
  query[1] = (unsigned char)id;
  asked[id] = now_us();
  if (send(fd, query, (size_t)length, 0) != length) die("ask");
}

static void names(const char *address, const char *port, const char *name, double for_us, int window) {
  struct sockaddr_in to = place(address, port);
  struct timeval patience = {.tv_sec = 2};
  unsigned char query[512], answer[1500];
  double asked[WINDOW_MAX] = {0};
  int fd = socket(AF_INET, SOCK_DGRAM, 0), length = question(query, name), count = 0;
  if (window < 1 || window > WINDOW_MAX || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die("names");
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  double start = now_us(), at = start;
  for (int id = 0; id < window; id++) ask(fd, query, length, id, asked);
  while (at < start + for_us) {
    ssize_t got = recv(fd, answer, sizeof answer, 0);
    if (got < 0) die("no answer");
    int id = answer[0] << 8 | answer[1];
    // A name that is found: no error, at least one answer.
    if (got < 12 || id >= window || (answer[3] & 15) != 0 || answer[7] == 0) {
      fprintf(stderr, "a wrong answer\n");
      exit(1);
    }
    at = now_us();
    if (count < SAMPLES_MAX) samples[count] = at - asked[id];
    count += 1;
    ask(fd, query, length, id, asked);
  }
  report(count, at - start);
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  if (argc == 3 && strcmp(mode, "greet") == 0) greet(argv[2]);
  else if (argc == 3 && strcmp(mode, "sink") == 0) sink(argv[2]);
  else if (argc == 5 && strcmp(mode, "connects") == 0) connects(argv[2], argv[3], atof(argv[4]) * 1e3);
  else if (argc == 5 && strcmp(mode, "stream") == 0) stream(argv[2], argv[3], atof(argv[4]) * 1e3);
  else if (argc == 7 && strcmp(mode, "names") == 0) names(argv[2], argv[3], argv[4], atof(argv[5]) * 1e3, atoi(argv[6]));
  else {
    fprintf(stderr, "wire: see the head of its source\n");
    return 2;
  }
  return 0;
}
