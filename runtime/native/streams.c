// The bytes between processes and clients: output to the log and to whoever is attached, input from them.
#include "shim.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

static uint8_t chunk[FRAME_HEADER + 1 + CHUNK_BYTES];

static int index_of(const struct process *process) { return (int)(process - shim.processes); }

static bool is_attached(const struct client *client, const struct process *process) {
  return client->role == C_STREAM && client->process == index_of(process) && !client->closing;
}

// An attached client still has output to take: the process waits for it, within STALL_MS.
bool output_is_held(const struct process *process) {
  for (int i = 0; i < CLIENTS_MAX; i++)
    if (is_attached(&shim.clients[i], process) && shim.clients[i].pending_to > shim.clients[i].pending_from) return true;
  return false;
}

static void deliver(struct process *process, bool is_err, size_t length) {
  if (index_of(process) == 0)
    json_log_write(&shim.log, is_err ? LOG_STDERR : LOG_STDOUT, (const char *)chunk + FRAME_HEADER + 1, length);
  store_u32(chunk, (uint32_t)(length + 2));
  chunk[4] = FRAME_OUTPUT;
  chunk[5] = is_err ? 2 : 1;
  for (int i = 0; i < CLIENTS_MAX; i++) {
    struct client *client = &shim.clients[i];
    if (is_attached(client, process) && (is_err ? client->err : client->out))
      client_send(client, chunk, length + FRAME_HEADER + 1);
  }
}

static void close_stream(struct process *process, bool is_err) {
  int *fd = is_err ? &process->err : &process->out;
  if (process->in == *fd) process->in = -1; // a terminal's master
  close(*fd);
  *fd = -1;
}

void process_output(struct process *process, bool is_err) {
  int fd = is_err ? process->err : process->out;
  ssize_t got = read(fd, chunk + FRAME_HEADER + 1, CHUNK_BYTES);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return close_stream(process, is_err); // a terminal ends with EIO
  deliver(process, is_err, (size_t)got);
}

void process_close_input(struct process *process) {
  if (process->in < 0 || process->terminal) return;
  close(process->in);
  process->in = -1;
}

void process_close_streams(struct process *process) {
  if (process->out >= 0) close_stream(process, false);
  if (process->err >= 0) close_stream(process, true);
  if (process->in >= 0) close(process->in);
  process->in = -1;
}

// The last word to an attached client.
void stream_end(struct client *client) {
  uint8_t frame[FRAME_HEADER];
  store_u32(frame, 1);
  frame[4] = FRAME_END;
  client_send(client, frame, sizeof frame);
  if (client->role == C_FREE) return;
  client->closing = true;
  if (client->pending_from == client->pending_to) client_close(client);
}

// All output was read: the log gets its last line, clients their end.
void process_finish_output(struct process *process) {
  if (index_of(process) == 0) json_log_flush(&shim.log);
  for (int i = 0; i < CLIENTS_MAX; i++)
    if (is_attached(&shim.clients[i], process)) stream_end(&shim.clients[i]);
}
