// One shim per container: parent of its PID 1, holder of its stdio, log and exit status. It forks from the zygote,
// has no libraries, allocates nothing once PID 1 is prepared, and lives until its daemon has stored the exit record.
#pragma once
#include "cgroup.h"
#include "exit_record.h"
#include "json_log.h"
#include "request.h"
#include <poll.h>

#define CLIENTS_MAX 64
#define PROCESSES_MAX 65 // PID 1 and 64 execs at a time
#define CLIENT_IN_BYTES (CHUNK_BYTES + 64)
#define CLIENT_OUT_BYTES (CHUNK_BYTES + 4096)
#define SHIM_OOM_SCORE (-999)
#define STALL_MS 30000      // an attached client that takes nothing for so long is dropped
#define DRAIN_MS 2000       // the exit is told at the latest so long after it, even if output is still held open
#define ACKNOWLEDGE_MS 20   // the exit record is made durable unless a daemon took it within this time
#define STATE_CHECK_MS 1000 // an exited shim looks so often whether its state directory is still there

enum process_state { P_FREE, P_PREPARED, P_STARTING, P_RUNNING, P_EXITED };

struct process {
  enum process_state state;
  char id[72]; // exec id; "" for PID 1
  int pid;     // 0 while an exec's is unknown
  int sync;    // to the process until its exec has succeeded
  int client;  // who waits for the answer to start or exec, -1: nobody
  uint32_t request;
  bool terminal;
  int in, out, err; // ours, non-blocking; -1: closed. With a terminal `in` and `out` are its master
  bool reaped, told;
  struct exit_record record;
  uint64_t drain_until_ms;
};

enum client_role { C_FREE, C_NEW, C_CONTROL, C_STREAM };

struct client {
  enum client_role role;
  int fd;
  int process;        // of a stream
  bool out, err, in;  // what a stream carries
  bool closing;       // gone as soon as everything is written
  bool blocked;       // its stdin frame waits for the process to read
  uint64_t stalled_since_ms;
  uint8_t *input, *large; // `large`: a mapping for a frame that does not fit into input_bytes
  size_t input_length, input_capacity, consumed;
  size_t pending_from, pending_to;
  uint8_t *pending; // CLIENT_OUT_BYTES
};

#define RUNTIME_ARGS_MAX 16

// Another OCI runtime, kept for execs and the end. `path` is empty where the container is our own.
struct other_runtime {
  char path[256], words[1024]; // `words`: what `args` point into
  int arg_count;
  const char *args[RUNTIME_ARGS_MAX];
  bool is_hybrid; // controllers on version 1, beside a cgroup2 that such runtimes do not join
  int driver;     // the process that made PID 1 and is to start it
};

struct shim {
  char id[72], run[256], state[512];
  struct other_runtime runtime;
  int listener, signals;
  int pidfd; // of PID 1: what execs join
  uint64_t start_ticks;
  bool shared_pid_namespace;
  bool leaving; // asked to end: goes once the container is gone
  bool acknowledged;
  uint64_t sync_record_at_ms, state_check_at_ms;
  char warnings[1024];
  struct cgroups cgroups;
  struct json_log log;
  struct process processes[PROCESSES_MAX]; // the first is PID 1
  struct client clients[CLIENTS_MAX];
};

extern struct shim shim;
extern const char *source_hash;

// launch.c: reads the request's container into being. 0, or -1 with nothing left behind.
int shim_launch(struct reader *reader, struct fault *fault);
struct stdio;
int make_stdio(struct process *process, struct stdio *stdio, bool open_stdin, struct fault *fault);
void close_stdio(const struct stdio *stdio);
bool set_oom_score(int pid, int adjustment);
uint64_t start_ticks_of(int pid);
int clone_into(const struct cgroups *cgroups, uint64_t flags, int *pidfd);
// shim.c
void shim_main(int connection, const uint8_t *frame, size_t length) __attribute__((noreturn));
// clients.c
struct client *client_add(int fd);
void client_close(struct client *client);
void client_send(struct client *client, const uint8_t *frame, size_t length);
void client_send_hello(struct client *client);
void client_send_status(struct client *client, uint32_t request);
void client_send_ok(struct client *client, uint32_t request);
void client_send_fault(struct client *client, uint32_t request, const struct fault *fault);
void client_readable(struct client *client);
void client_writable(struct client *client);
void client_resume(struct client *client); // the process may take more input
void broadcast(const uint8_t *frame, size_t length);
// control.c
int handle_frame(struct client *client, const uint8_t *frame, size_t length);
// streams.c
void process_output(struct process *process, bool is_err);
void process_finish_output(struct process *process);
bool output_is_held(const struct process *process);
void process_close_streams(struct process *process);
void process_close_input(struct process *process);
void stream_end(struct client *client);
// processes.c
struct process *process_find(const char *id);
struct process *process_add(const char *id);
void process_sync(struct process *process);
void process_tell_exit(struct process *process);
void processes_reap(void);
// exec.c
int exec_begin(struct reader *reader, struct client *client, uint32_t request, struct fault *fault);
