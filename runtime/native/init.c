// PID 1 of `--init` containers. It has the command's own user, capabilities and filter.
#include "init.h"
#include "fault.h"
#include "syscalls.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

// Faults of our own and job control are ours; all else belongs to the command.
static const int KEPT[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU};

static void fill_mask(sigset_t *mask) {
  sigfillset(mask);
  for (unsigned i = 0; i < sizeof KEPT / sizeof *KEPT; i++) sigdelset(mask, KEPT[i]);
}

static void reap(pid_t command) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
    if (pid == command) _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

static void run(pid_t command, const sigset_t *mask) {
  siginfo_t info;
  signal(SIGTTIN, SIG_IGN);
  signal(SIGTTOU, SIG_IGN);
  for (;;) {
    int number = sigwaitinfo(mask, &info);
    if (number < 0 && errno != EINTR) _exit(70);
    if (number == SIGCHLD) reap(command);
    else if (number > 0) kill(command, number);
  }
}

int init_fork(void) {
  sigset_t mask, none;
  fill_mask(&mask);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &mask, NULL);
  pid_t command = fork();
  if (command < 0) return -1;
  if (command == 0) {
    setpgid(0, 0);
    signal(SIGTTOU, SIG_IGN);
    tcsetpgrp(0, getpid());
    signal(SIGTTOU, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    return 0;
  }
  sys_close_range(3, ~0u, 0);
  prctl(PR_SET_NAME, "shoal-init", 0, 0, 0);
  run(command, &mask);
  return -1;
}

// docker-init -- COMMAND …: as a program of the container's own, where another runtime starts it.
int init_main(int argc, char **argv) {
  if (argc < 3) return fprintf(stderr, "usage: docker-init -- COMMAND …\n"), 2;
  if (init_fork() < 0) return perror("docker-init: fork"), 1;
  execvp(argv[2], argv + 2);
  fprintf(stderr, "docker-init: exec \"%s\": %s\n", argv[2], error_words(errno));
  return errno == EACCES ? 126 : 127;
}
