// The zygote: started once by a daemon, it only accepts and forks. Each connection gets a process of its own, which
// reads the one request and becomes a shim, an unpacker, a reader or a remover of files; so nothing that a peer sends can harm the zygote.
// It runs from a sealed copy of itself in memory: no container can change what later ones are started from
// (CVE-2019-5736), and an upgrade of the file on disk does not matter.
#include "files.h"
#include "remove.h"
#include "seal.h"
#include "shim.h"
#include "syscalls.h"
#include "title.h"
#include "unpack.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define SOCKET_CHECK_MS 5000
#define REQUEST_SECONDS_MAX 10

const char *source_hash = "";

static int listen_on(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char early[sizeof address.sun_path];
  if (strlen(path) >= sizeof address.sun_path) return errno = ENAMETOOLONG, -1;
  if (snprintf(early, sizeof early, "%s.new", path) >= (int)sizeof early) return errno = ENAMETOOLONG, -1;
  strcpy(address.sun_path, early);
  unlink(early);
  umask(0177);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool bad = listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0;
  umask(022);
  // Renamed into place only when it can be connected to.
  if (bad || listen(listener, 256) < 0 || rename(early, path) < 0) return -1;
  return listener;
}

static int send_hello(int connection) {
  uint8_t frame[256];
  struct writer writer;
  write_begin(&writer, frame, sizeof frame, FRAME_HELLO);
  write_u32(&writer, PROTOCOL_MIN);
  write_u32(&writer, PROTOCOL_MAX);
  write_u32(&writer, 0);
  write_string(&writer, source_hash);
  return write_fully(connection, frame, write_finish(&writer));
}

static void answer(int connection, enum frame_type type, uint32_t request, const struct fault *fault) {
  uint8_t frame[1024];
  struct writer writer;
  write_begin(&writer, frame, sizeof frame, type);
  write_u32(&writer, request);
  if (fault != NULL) {
    write_u32(&writer, fault->kind);
    write_u32(&writer, (uint32_t)fault->error);
    write_string(&writer, fault->text);
  }
  write_fully(connection, frame, write_finish(&writer));
}

// A whole frame in a mapping of its own, or NULL.
static uint8_t *read_frame(int connection, size_t *length) {
  uint8_t head[4];
  if (read_fully(connection, head, sizeof head) < 0) return NULL;
  *length = 4 + (size_t)load_u32(head);
  if (*length < FRAME_HEADER || *length > FRAME_BYTES_MAX) return NULL;
  uint8_t *frame = mmap(NULL, *length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (frame == MAP_FAILED) return NULL;
  memcpy(frame, head, sizeof head);
  return read_fully(connection, frame + 4, *length - 4) < 0 ? NULL : frame;
}

static int check_hello(const uint8_t *frame, size_t length, struct fault *fault) {
  struct reader reader = {frame + FRAME_HEADER, frame + length, fault};
  if (frame[4] != FRAME_HELLO) return fault_say(fault, FAULT_INVALID, "the first frame must be a hello");
  uint32_t min = read_u32(&reader), max = read_u32(&reader);
  if (min > PROTOCOL_MAX || max < PROTOCOL_MIN)
    return fault_say(fault, FAULT_INVALID, "this zygote speaks protocol %d, not %u to %u", PROTOCOL_MAX, min, max);
  return fault->kind == FAULT_NONE ? 0 : -1;
}

static void serve(int connection, int zygote) {
  struct fault fault = {0};
  struct timeval limit = {.tv_sec = REQUEST_SECONDS_MAX}, forever = {0};
  size_t length = 0;
  setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (send_hello(connection) < 0) return;
  uint8_t *hello = read_frame(connection, &length);
  if (hello == NULL) return;
  if (check_hello(hello, length, &fault) < 0) return answer(connection, FRAME_FAULT, 0, &fault);
  munmap(hello, length);
  uint8_t *frame = read_frame(connection, &length);
  if (frame == NULL || length < FRAME_HEADER + 4) return;
  setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
  struct reader reader = {frame + FRAME_HEADER, frame + length, &fault};
  uint32_t request = read_u32(&reader);
  switch (frame[4]) {
  case FRAME_LAUNCH: title_set("shoal-shim"); shim_main(connection, frame, length);
  case FRAME_UNPACK: title_set("shoal-unpack"); unpack_serve(connection, frame, length);
  case FRAME_FILES: title_set("shoal-files"); files_serve(connection, frame, length);
  case FRAME_REMOVE:
    title_set("shoal-remove");
    remove_named(&reader, &fault);
    return fault.kind == FAULT_NONE ? answer(connection, FRAME_OK, request, NULL) : answer(connection, FRAME_FAULT, request, &fault);
  case FRAME_STOP: kill(zygote, SIGTERM); return answer(connection, FRAME_OK, request, NULL);
  default:
    fault_say(&fault, FAULT_INVALID, "unknown request %u", frame[4]);
    answer(connection, FRAME_FAULT, request, &fault);
  }
}

static void fork_for(int connection, int listener, int zygote) {
  if (fork() == 0) {
    close(listener);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    serve(connection, zygote);
    _exit(0);
  }
  close(connection);
}

// Whether the path still leads to us: a newer zygote may have taken it, or the run directory is gone.
static bool is_ours(const char *path, const struct stat *own) {
  struct stat now;
  return lstat(path, &now) == 0 && now.st_dev == own->st_dev && now.st_ino == own->st_ino;
}

static void loop(int listener, const char *path) {
  struct stat own;
  int self = getpid();
  if (lstat(path, &own) < 0) return;
  for (;;) {
    struct pollfd wait = {.fd = listener, .events = POLLIN};
    int ready = poll(&wait, 1, SOCKET_CHECK_MS);
    if (ready == 0 && !is_ours(path, &own)) return;
    if (ready <= 0) continue;
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (connection >= 0) fork_for(connection, listener, self);
  }
}

static void detach(void) {
  setsid();
  if (chdir("/") < 0) _exit(1);
  signal(SIGCHLD, SIG_IGN); // children are reaped by the kernel
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  signal(SIGTERM, SIG_DFL);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  prctl(PR_SET_NAME, "shoal-zygote", 0, 0, 0);
}

// The starter reads "ready" or a complaint; afterwards nothing is left that could break when it dies.
static void report_ready(void) {
  if (write_fully(1, "ready\n", 6) < 0) _exit(1);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int i = 0; i < 3; i++) dup2(null, i);
  if (null > 2) close(null);
}

// zygote SOCKET SOURCE-HASH
int zygote_main(int argc, char **argv) {
  if (argc != 4) return fprintf(stderr, "usage: shoal-native zygote SOCKET SOURCE-HASH\n"), 2;
  if (seal(argv) < 0) return fprintf(stderr, "sealing a copy of the helper: %s\n", error_words(errno)), 1;
  source_hash = argv[3];
  const char *path = strdup(argv[2]);
  source_hash = strdup(source_hash);
  int listener = listen_on(path);
  if (listener < 0) return fprintf(stderr, "listening on %s: %s\n", path, error_words(errno)), 1;
  detach();
  report_ready();
  sys_close_range(3, (unsigned)listener - 1, 0);
  sys_close_range((unsigned)listener + 1, ~0u, 0);
  loop(listener, path);
  return 0;
}
