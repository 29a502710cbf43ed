// Network, ipc, uts, pid and cgroup namespaces.
#include "namespaces.h"
#include "rootfs.h"
#include "syscalls.h"
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

uint64_t namespace_flags(const struct launch_request *request) {
  uint64_t flags = CLONE_NEWNS;
  if (request->network.kind == NS_NEW) flags |= CLONE_NEWNET;
  if (request->ipc.kind == NS_NEW) flags |= CLONE_NEWIPC;
  if (request->uts.kind == NS_NEW) flags |= CLONE_NEWUTS;
  if (request->pid.kind == NS_NEW) flags |= CLONE_NEWPID;
  return flags;
}

static int open_one(const struct namespace_choice *choice, int *fd, struct fault *fault) {
  *fd = -1;
  if (choice->kind != NS_PATH) return 0;
  *fd = open(choice->path, O_RDONLY | O_CLOEXEC);
  return *fd >= 0 ? 0 : fault_set(fault, "open namespace %s", choice->path);
}

int open_namespaces(const struct launch_request *request, struct birth *birth, int *pid, struct fault *fault) {
  if (open_one(&request->network, &birth->network, fault) < 0) return -1;
  if (open_one(&request->ipc, &birth->ipc, fault) < 0) return -1;
  if (open_one(&request->uts, &birth->uts, fault) < 0) return -1;
  if (open_one(&request->cgroup, &birth->cgroup, fault) < 0) return -1;
  return open_one(&request->pid, pid, fault);
}

int join_namespace(int fd, int type, const char *name, struct fault *fault) {
  if (fd < 0) return 0;
  int result = setns(fd, type);
  if (result < 0) fault_set(fault, "join the %s namespace", name);
  close(fd);
  return result;
}

static int raise_loopback(struct fault *fault) {
  struct ifreq interface = {.ifr_flags = IFF_UP | IFF_RUNNING};
  strcpy(interface.ifr_name, "lo");
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int result = fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &interface);
  if (result < 0) fault_set(fault, "raise the loopback interface");
  if (fd >= 0) close(fd);
  return result;
}

int enter_namespaces(const struct birth *birth, struct fault *fault) {
  const struct launch_request *request = birth->request;
  if (join_namespace(birth->network, CLONE_NEWNET, "network", fault) < 0) return -1;
  if (join_namespace(birth->ipc, CLONE_NEWIPC, "ipc", fault) < 0) return -1;
  if (join_namespace(birth->uts, CLONE_NEWUTS, "uts", fault) < 0) return -1;
  if (request->network.kind == NS_NEW && raise_loopback(fault) < 0) return -1;
  if (request->uts.kind != NS_NEW) return 0;
  if (request->hostname != NULL && sethostname(request->hostname, strlen(request->hostname)) < 0)
    return fault_invalid(fault, "set the host name '%s'", request->hostname);
  if (request->domain_name != NULL && setdomainname(request->domain_name, strlen(request->domain_name)) < 0)
    return fault_invalid(fault, "set the domain name '%s'", request->domain_name);
  return 0;
}

// net.ipv4.ip_forward → sys/net/ipv4/ip_forward; a name that already has slashes keeps its dots.
static int sysctl_path(const char *key, char *path, size_t capacity) {
  int length = snprintf(path, capacity, "sys/%s", key);
  if (length < 0 || (size_t)length >= capacity) return -1;
  if (strchr(key, '/') == NULL)
    for (char *at = path; *at != 0; at++)
      if (*at == '.') *at = '/';
  return 0;
}

static int write_sysctl(int proc, const struct pair *sysctl, struct fault *fault) {
  char path[512];
  if (sysctl_path(sysctl->key, path, sizeof path) < 0)
    return fault_say(fault, FAULT_INVALID, "the sysctl name '%.60s…' is too long", sysctl->key);
  int file = sys_openat2(proc, path, O_WRONLY | O_CLOEXEC, 0, RESOLVE_BENEATH_ | RESOLVE_NO_SYMLINKS_ | RESOLVE_NO_XDEV_);
  if (file < 0) return fault_invalid(fault, "open sysctl %s", sysctl->key);
  ssize_t length = (ssize_t)strlen(sysctl->value);
  int result = write(file, sysctl->value, (size_t)length) == length ? 0 : -1;
  if (result < 0) fault_invalid(fault, "set sysctl %s to '%s'", sysctl->key, sysctl->value);
  close(file);
  return result;
}

// Through a proc file system that nobody else can see, so that no mount of the container redirects it (CVE-2025-52881).
int write_sysctls(const struct launch_request *request, struct fault *fault) {
  if (request->sysctl_count == 0) return 0;
  int proc = new_file_system("proc", "proc", "", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, fault);
  int result = proc < 0 ? -1 : 0;
  for (uint32_t i = 0; i < request->sysctl_count && result == 0; i++)
    result = write_sysctl(proc, &request->sysctls[i], fault);
  if (proc >= 0) close(proc);
  return result;
}
