// What clients ask of a shim, one function for each kind of frame.
#include "note.h"
#include "shim.h"
#include "terminal.h"
#include "sync.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static int index_of(const struct client *client) { return (int)(client - shim.clients); }

static int hello(struct client *client, struct reader *reader) {
  uint32_t min = read_u32(reader), max = read_u32(reader), features = read_count(reader, 5);
  while (features-- > 0) read_string(reader);
  read_string(reader);
  if (read_finish(reader) < 0) return -1;
  if (min > PROTOCOL_MAX || max < PROTOCOL_MIN)
    return fault_say(reader->fault, FAULT_INVALID, "this shim speaks protocol %d, not %u to %u", PROTOCOL_MAX, min, max);
  client->role = C_CONTROL;
  client_send_status(client, 0);
  return 0;
}

static int start(struct client *client, uint32_t request, struct reader *reader) {
  struct process *first = &shim.processes[0];
  struct sync_message message = {.kind = SYNC_GO};
  if (first->state != P_PREPARED) return fault_say(reader->fault, FAULT_CONFLICT, "the container has already been started");
  if (note_take(reader, shim.state) < 0) return -1;
  if (sync_send(first->sync, &message, -1) < 0) return fault_set(reader->fault, "let the command run");
  first->state = P_STARTING;
  first->client = index_of(client);
  first->request = request;
  return 0;
}

static struct process *live(const char *id, struct fault *fault) {
  struct process *process = process_find(id);
  if (process != NULL && process->pid > 0 && !process->reaped) return process;
  fault_say(fault, FAULT_NOT_FOUND, "the process is not running");
  return NULL;
}

static int send_signal(struct reader *reader) {
  const char *id = read_string(reader);
  uint32_t number = read_u32(reader);
  if (read_finish(reader) < 0) return -1;
  if (number > 64) return fault_say(reader->fault, FAULT_INVALID, "there is no signal %u", number);
  struct process *process = live(id, reader->fault);
  if (process == NULL) return -1;
  // Safe by number: the process is ours and has not been reaped.
  return kill(process->pid, (int)number) < 0 ? fault_set(reader->fault, "send signal %u", number) : 0;
}

static int resize(struct reader *reader) {
  const char *id = read_string(reader);
  uint16_t rows = read_u16(reader), columns = read_u16(reader);
  if (read_finish(reader) < 0) return -1;
  struct process *process = live(id, reader->fault);
  if (process == NULL) return -1;
  if (!process->terminal || process->out < 0) return fault_say(reader->fault, FAULT_INVALID, "the process has no terminal");
  return terminal_resize(process->out, rows, columns) < 0 ? fault_set(reader->fault, "resize the terminal") : 0;
}

static int attach(struct client *client, uint32_t request, struct reader *reader) {
  const char *id = read_string(reader);
  uint8_t flags = read_u8(reader);
  if (read_finish(reader) < 0) return -1;
  struct process *process = process_find(id);
  if (process == NULL) return fault_say(reader->fault, FAULT_NOT_FOUND, "the process is not running");
  client->role = C_STREAM;
  client->process = (int)(process - shim.processes);
  client->in = flags & 1;
  client->out = flags & 2;
  client->err = flags & 4;
  client_send_ok(client, request);
  if (client->role == C_STREAM && process->state == P_EXITED && process->out < 0 && process->err < 0) stream_end(client);
  return 0;
}

static int end_all(void) {
  struct process *first = &shim.processes[0];
  shim.leaving = true;
  if (!first->reaped) kill(first->pid, SIGKILL);
  cgroups_kill(&shim.cgroups);
  return 0;
}

static int acknowledge(struct reader *reader) {
  if (!shim.processes[0].told) return fault_say(reader->fault, FAULT_CONFLICT, "the container is still running");
  if (note_take(reader, shim.state) < 0) return -1;
  shim.acknowledged = true;
  return 0;
}

// 1: the whole frame went to the process or nobody reads it any more; 0: the rest has to wait.
static int take_input(struct client *client, const uint8_t *bytes, size_t length) {
  struct process *process = &shim.processes[client->process];
  client->blocked = false;
  while (client->in && process->in >= 0 && client->consumed < length) {
    ssize_t put = write(process->in, bytes + client->consumed, length - client->consumed);
    if (put < 0 && errno == EAGAIN) {
      client->blocked = true;
      return 0;
    }
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      process_close_input(process);
      break;
    }
    client->consumed += (size_t)put;
  }
  client->consumed = 0;
  return 1;
}

static int handle_stream(struct client *client, uint8_t type, const uint8_t *frame, size_t length) {
  if (type == FRAME_STDIN) return take_input(client, frame + FRAME_HEADER, length - FRAME_HEADER);
  if (type == FRAME_STDIN_CLOSE && client->in) process_close_input(&shim.processes[client->process]);
  else if (type != FRAME_STDIN_CLOSE) client_close(client);
  return 1;
}

// Those that answer by themselves, now or later, are done in the first half; the rest get a plain OK.
static int handle_request(struct client *client, uint8_t type, uint32_t request, struct reader *reader) {
  switch (type) {
  case FRAME_START: return start(client, request, reader);
  case FRAME_ATTACH: return attach(client, request, reader);
  case FRAME_EXEC: return exec_begin(reader, client, request, reader->fault);
  case FRAME_SIGNAL: if (send_signal(reader) < 0) return -1; break;
  case FRAME_RESIZE: if (resize(reader) < 0) return -1; break;
  case FRAME_KILL: if (read_finish(reader) < 0 || end_all() < 0) return -1; break;
  case FRAME_ACKNOWLEDGE: if (acknowledge(reader) < 0) return -1; break;
  default: return fault_say(reader->fault, FAULT_INVALID, "unknown request %u", type);
  }
  client_send_ok(client, request);
  return 0;
}

// 1: the frame is done with; 0: it has to be offered again.
int handle_frame(struct client *client, const uint8_t *frame, size_t length) {
  struct fault fault = {0};
  struct reader reader = {frame + FRAME_HEADER, frame + length, &fault};
  uint8_t type = frame[4];
  if (client->closing) return 1;
  if (client->role == C_STREAM) return handle_stream(client, type, frame, length);
  uint32_t request = type == FRAME_HELLO ? 0 : read_u32(&reader);
  int result;
  if (type == FRAME_HELLO) result = client->role == C_NEW ? hello(client, &reader) : -1;
  else if (client->role == C_NEW) result = fault_say(&fault, FAULT_INVALID, "the first frame must be a hello");
  else result = handle_request(client, type, request, &reader);
  if (result == 0) return 1;
  fault_say(&fault, FAULT_INVALID, "unexpected frame %u", type);
  client_send_fault(client, request, &fault);
  if (client->role == C_NEW) client_close(client);
  return 1;
}
