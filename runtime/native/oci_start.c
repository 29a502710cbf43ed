// start gives the word; delete ends what is left and takes it away.
#include "oci.h"
#include "remove.h"
#include "sync.h"
#include "syscalls.h"
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static int connect_to(const struct oci_container *container, struct fault *fault) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/start", container->folder);
  int line = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (line >= 0 && connect(line, (struct sockaddr *)&address, sizeof address) == 0) return line;
  fault_set(fault, "reach the container's first process");
  if (line >= 0) close(line);
  return -1;
}

// The line is closed by a successful exec.
static int give_the_word(int line, struct fault *fault) {
  struct sync_message message = {.kind = SYNC_GO};
  int passed, got = sync_send(line, &message, -1) < 0 ? -1 : sync_receive(line, &message, &passed);
  if (got < 0) return fault_set(fault, "start the container");
  if (got == 1 && message.kind == SYNC_FAULT) *fault = message.fault;
  return got == 0 ? 0 : -1;
}

int oci_start(struct oci_container *container, struct fault *fault) {
  enum oci_status status = oci_status_of(container);
  if (status == OCI_STOPPED) return fault_say(fault, FAULT_CONFLICT, "cannot start a container that has stopped");
  if (status != OCI_CREATED)
    return fault_say(fault, FAULT_CONFLICT, "cannot start an already running container");
  int line = connect_to(container, fault);
  if (line < 0) return -1;
  int result = give_the_word(line, fault);
  close(line);
  unlinkat(container->folder, "start", 0);
  return result < 0 ? -1 : oci_run_hooks(container, "poststart", "running", fault);
}

int oci_delete(struct oci_container *container, bool force, struct fault *fault) {
  enum oci_status status = oci_status_of(container);
  if (status != OCI_STOPPED && status != OCI_CREATED && !force)
    return fault_say(fault, FAULT_CONFLICT, "cannot delete container %s that is not stopped: %s", container->id,
                     oci_status_name(status));
  struct cgroups cgroups;
  struct fault ignored = {0};
  if (status != OCI_STOPPED) kill(container->pid, SIGKILL);
  if (oci_open_groups(&container->request, &cgroups, &ignored) == 0) cgroups_kill(&cgroups);
  if (oci_remove_groups(&container->request, fault) < 0) return -1;
  if (remove_tree(AT_FDCWD, container->path) < 0) return fault_set(fault, "remove %s", container->path);
  return oci_run_hooks(container, "poststop", "stopped", fault);
}

// As runc: what a terminal or a supervisor sends goes on to the command.
int oci_wait(int pid) {
  static const int forwarded[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT};
  sigset_t set;
  int status;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++) sigaddset(&set, forwarded[i]);
  sigprocmask(SIG_BLOCK, &set, NULL);
  for (;;) {
    pid_t got = waitpid(pid, &status, WNOHANG);
    if (got == pid) return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (got < 0 && errno != EINTR) return 255;
    int number = sigwaitinfo(&set, NULL);
    if (number > 0 && number != SIGCHLD) kill(pid, number);
  }
}
