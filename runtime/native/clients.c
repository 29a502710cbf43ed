// Connections to the shim. A client that does not take what it is sent is bounded by `pending`; attached ones hold
// their process back meanwhile, others lose their connection.
#include "shim.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

// Apart from the records, so that looking at those does not touch these pages.
static uint8_t inputs[CLIENTS_MAX][CLIENT_IN_BYTES], outputs[CLIENTS_MAX][CLIENT_OUT_BYTES];

static void use_small_input(struct client *client) {
  client->large = NULL;
  client->input = inputs[client - shim.clients];
  client->input_capacity = CLIENT_IN_BYTES;
}

struct client *client_add(int fd) {
  for (int i = 0; i < CLIENTS_MAX; i++) {
    struct client *client = &shim.clients[i];
    if (client->role != C_FREE) continue;
    client->role = C_NEW;
    client->fd = fd;
    client->process = -1;
    client->out = client->err = client->in = client->closing = client->blocked = false;
    client->stalled_since_ms = 0;
    client->pending = outputs[i];
    use_small_input(client);
    client->input_length = client->consumed = client->pending_from = client->pending_to = 0;
    return client;
  }
  return NULL;
}

static void drop_large(struct client *client) {
  if (client->large != NULL) munmap(client->large, client->input_capacity);
  use_small_input(client);
}

void client_close(struct client *client) {
  if (client->role == C_FREE) return;
  drop_large(client);
  close(client->fd);
  client->role = C_FREE;
  for (int i = 0; i < PROCESSES_MAX; i++)
    if (shim.processes[i].client == client - shim.clients) shim.processes[i].client = -1;
}

void client_writable(struct client *client) {
  while (client->pending_from < client->pending_to) {
    ssize_t put = send(client->fd, client->pending + client->pending_from, client->pending_to - client->pending_from,
                       MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (put < 0) return client_close(client);
    client->pending_from += (size_t)put;
    client->stalled_since_ms = monotonic_ms();
  }
  client->pending_from = client->pending_to = 0;
  client->stalled_since_ms = 0;
  if (client->closing) client_close(client);
}

void client_send(struct client *client, const uint8_t *frame, size_t length) {
  if (client->role == C_FREE || client->closing || length == 0) return;
  size_t done = 0;
  if (client->pending_to == client->pending_from) {
    ssize_t put = send(client->fd, frame, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0 && errno != EAGAIN && errno != EINTR) return client_close(client);
    done = put > 0 ? (size_t)put : 0;
    if (done == length) return;
    client->pending_from = client->pending_to = 0;
    client->stalled_since_ms = monotonic_ms();
  }
  if (CLIENT_OUT_BYTES - client->pending_to < length - done) return client_close(client);
  memcpy(client->pending + client->pending_to, frame + done, length - done);
  client->pending_to += length - done;
}

void client_send_hello(struct client *client) {
  uint8_t frame[512];
  struct writer writer;
  write_begin(&writer, frame, sizeof frame, FRAME_HELLO);
  write_u32(&writer, PROTOCOL_MIN);
  write_u32(&writer, PROTOCOL_MAX);
  write_u32(&writer, 0);
  write_string(&writer, source_hash);
  client_send(client, frame, write_finish(&writer));
}

void client_send_ok(struct client *client, uint32_t request) {
  uint8_t frame[16];
  struct writer writer;
  write_begin(&writer, frame, sizeof frame, FRAME_OK);
  write_u32(&writer, request);
  client_send(client, frame, write_finish(&writer));
}

void client_send_fault(struct client *client, uint32_t request, const struct fault *fault) {
  uint8_t frame[1024];
  struct writer writer;
  write_begin(&writer, frame, sizeof frame, FRAME_FAULT);
  write_u32(&writer, request);
  write_u32(&writer, fault->kind);
  write_u32(&writer, (uint32_t)fault->error);
  write_string(&writer, fault->text);
  client_send(client, frame, write_finish(&writer));
}

void client_send_status(struct client *client, uint32_t request) {
  static uint8_t frame[2048];
  const struct process *first = &shim.processes[0];
  struct writer writer;
  write_begin(&writer, frame, sizeof frame, FRAME_STATUS);
  write_u32(&writer, request);
  write_string(&writer, shim.id);
  write_u8(&writer, (uint8_t)(first->told ? P_EXITED : first->state == P_EXITED ? P_RUNNING : first->state));
  write_u32(&writer, (uint32_t)first->pid);
  write_u64(&writer, shim.start_ticks);
  write_u32(&writer, (uint32_t)first->record.exit_code);
  write_u32(&writer, first->record.signal);
  write_u8(&writer, first->record.oom_killed);
  write_u64(&writer, first->record.at_ms);
  write_string(&writer, shim.warnings);
  client_send(client, frame, write_finish(&writer));
}

void broadcast(const uint8_t *frame, size_t length) {
  for (int i = 0; i < CLIENTS_MAX; i++)
    if (shim.clients[i].role == C_CONTROL) client_send(&shim.clients[i], frame, length);
}

// Room for a frame of this size; what was read of it moves along.
static int make_room(struct client *client, size_t bytes) {
  if (bytes <= client->input_capacity) return 0;
  uint8_t *large = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (large == MAP_FAILED) return -1;
  memcpy(large, client->input, client->input_length);
  client->input = client->large = large;
  client->input_capacity = bytes;
  return 0;
}

static void consume(struct client *client, size_t length) {
  client->input_length -= length;
  if (client->large != NULL) {
    // A large mapping was made for exactly one frame: what follows it is still in the socket.
    drop_large(client);
    return;
  }
  memmove(client->input, client->input + length, client->input_length);
}

// Handles the frames that are there; stops at one that has to wait.
static void handle_input(struct client *client) {
  while (client->role != C_FREE && client->input_length >= 4) {
    size_t length = 4 + (size_t)load_u32(client->input);
    if (length < FRAME_HEADER || length > FRAME_BYTES_MAX) return client_close(client);
    if (client->input_length < length) {
      if (make_room(client, length) < 0) client_close(client);
      return;
    }
    if (handle_frame(client, client->input, length) == 0) return; // blocked
    if (client->role != C_FREE) consume(client, length);
  }
}

void client_readable(struct client *client) {
  // A large frame's mapping ends with the frame, so reading never takes more than it.
  size_t room = client->input_capacity - client->input_length;
  if (client->large != NULL) room = 4 + (size_t)load_u32(client->input) - client->input_length;
  ssize_t got = recv(client->fd, client->input + client->input_length, room, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return client_close(client);
  client->input_length += (size_t)got;
  handle_input(client);
}

void client_resume(struct client *client) {
  if (client->blocked) handle_input(client);
}
