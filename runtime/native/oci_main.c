// shoal-runtime: the OCI runtime's command line, over the same code as the daemon's helper. For engines that drive a runtime
// by it (containerd, Docker Engine's --add-runtime) and for test suites.
#include "oci.h"
#include "seal.h"
#include "security.h"
#include "syscalls.h"
#include <dirent.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define PIDS_MAX 32768

int oci_main(int argc, char **argv);

static const char USAGE[] =
    "usage: shoal-runtime [--root DIR] [--log FILE] [--log-format text|json] COMMAND\n"
    "  create [--bundle DIR] [--pid-file FILE] [--console-socket SOCKET] [--preserve-fds N] ID\n"
    "  run    [--detach] and the options of create, ID\n"
    "  start ID\n"
    "  state ID\n"
    "  exec   [--process FILE] [--detach] [--tty] [--cwd DIR] [--user UID[:GID]] [--env NAME=VALUE] [--pid-file FILE]\n"
    "         [--console-socket SOCKET] [--preserve-fds N] ID [COMMAND…]\n"
    "  kill [--all] ID [SIGNAL]\n"
    "  delete [--force] ID\n"
    "  pause ID | resume ID | ps --format json ID | update --resources FILE ID | list | features\n";

void oci_warn(const struct oci_options *options, const char *text);

static void log_line(const struct oci_options *options, const char *level, const char *text) {
  FILE *out = options->log != NULL ? fopen(options->log, "ae") : NULL;
  char now[32];
  time_t seconds = time(NULL);
  struct tm parts;
  strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &parts));
  if (out != NULL && options->log_as_json) {
    fprintf(out, "{\"level\":\"%s\",\"msg\":", level);
    json_write_text(out, text);
    fprintf(out, ",\"time\":\"%s\"}\n", now);
  } else if (out != NULL) fprintf(out, "time=\"%s\" level=%s msg=\"%s\"\n", now, level, text);
  if (out != NULL) fclose(out);
}

void oci_warn(const struct oci_options *options, const char *text) {
  if (text[0] != 0) log_line(options, "warning", text);
}

static int complain(const struct oci_options *options, const struct fault *fault) {
  log_line(options, "error", fault->text);
  fprintf(stderr, "shoal-runtime: %s\n", fault->text);
  return 1;
}

static const struct {
  const char *name;
  int number;
} SIGNALS[] = {{"ABRT", SIGABRT}, {"ALRM", SIGALRM}, {"BUS", SIGBUS},     {"CHLD", SIGCHLD},     {"CONT", SIGCONT},
               {"FPE", SIGFPE},   {"HUP", SIGHUP},   {"ILL", SIGILL},     {"INT", SIGINT},       {"IO", SIGIO},
               {"KILL", SIGKILL}, {"PIPE", SIGPIPE}, {"PROF", SIGPROF},   {"PWR", SIGPWR},       {"QUIT", SIGQUIT},
               {"SEGV", SIGSEGV}, {"STOP", SIGSTOP}, {"SYS", SIGSYS},     {"TERM", SIGTERM},     {"TRAP", SIGTRAP},
               {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},   {"URG", SIGURG},       {"USR1", SIGUSR1},
               {"USR2", SIGUSR2}, {"VTALRM", SIGVTALRM}, {"WINCH", SIGWINCH}, {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}};

static int signal_number(const char *text, struct fault *fault) {
  char *end;
  long number = strtol(text, &end, 10);
  if (*text != 0 && *end == 0 && number > 0 && number <= 64) return (int)number;
  if (strncasecmp(text, "SIG", 3) == 0) text += 3;
  for (size_t i = 0; i < sizeof SIGNALS / sizeof *SIGNALS; i++)
    if (strcasecmp(SIGNALS[i].name, text) == 0) return SIGNALS[i].number;
  return fault_say(fault, FAULT_INVALID, "unknown signal \"%s\"", text);
}

static int send_to_all(const struct oci_container *container, int number, struct fault *fault) {
  static int pids[PIDS_MAX];
  int count = oci_list_processes(&container->request, pids, PIDS_MAX, fault);
  for (int i = 0; i < count; i++)
    if (kill(pids[i], number) < 0 && errno != ESRCH) fault_set(fault, "signal process %d", pids[i]);
  return count < 0 || fault->kind != FAULT_NONE ? -1 : 0;
}

// By a descriptor of the process, so that a number that came to be another's meanwhile is not hit.
static int send_to_first(const struct oci_container *container, int number, struct fault *fault) {
  int first = sys_pidfd_open(container->pid);
  if (first < 0 || oci_status_of(container) == OCI_STOPPED) return fault_say(fault, FAULT_CONFLICT, "container not running");
  int result = (int)syscall(SYS_pidfd_send_signal, first, number, NULL, 0);
  close(first);
  return result < 0 ? fault_set(fault, "signal the container") : 0;
}

static int kill_command(struct oci_container *container, const struct oci_options *options, struct fault *fault) {
  int number = signal_number(options->rest_count > 0 ? options->rest[0] : "TERM", fault);
  if (number < 0) return -1;
  return options->all ? send_to_all(container, number, fault) : send_to_first(container, number, fault);
}

static int pause_command(struct oci_container *container, bool frozen, struct fault *fault) {
  enum oci_status status = oci_status_of(container);
  if (frozen && status != OCI_RUNNING && status != OCI_CREATED)
    return fault_say(fault, FAULT_CONFLICT, "container not running or created: %s", oci_status_name(status));
  if (!frozen && status != OCI_PAUSED) return fault_say(fault, FAULT_CONFLICT, "container not paused");
  return oci_freeze(&container->request, frozen, fault);
}

static int ps_command(struct oci_container *container, struct fault *fault) {
  static int pids[PIDS_MAX];
  int count = oci_list_processes(&container->request, pids, PIDS_MAX, fault);
  if (count < 0) return -1;
  printf("[");
  for (int i = 0; i < count; i++) printf("%s%d", i ? "," : "", pids[i]);
  printf("]\n");
  return 0;
}

static int update_command(struct oci_container *container, const struct oci_options *options, struct fault *fault) {
  struct arena arena = {0};
  const char *name = options->resources == NULL ? "" : strcmp(options->resources, "-") == 0 ? "/dev/stdin" : options->resources;
  if (*name == 0) return fault_say(fault, FAULT_INVALID, "update needs --resources");
  const struct json *resources = json_read(AT_FDCWD, name, &arena, fault);
  if (resources == NULL || oci_read_resources(resources, false, &container->arena, &container->request, fault) < 0) return -1;
  for (uint32_t i = 0; i < container->request.group_count; i++) {
    const struct group_plan *group = &container->request.groups[i];
    int folder = open(group->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = folder < 0 ? fault_set(fault, "open cgroup %s", group->path) : cgroup_write_limits(group, folder, fault);
    if (folder >= 0) close(folder);
    if (result < 0) return -1;
  }
  return 0;
}

static int list_command(const struct oci_options *options, struct fault *fault) {
  DIR *entries = opendir(options->root);
  bool first = true;
  if (entries == NULL && errno != ENOENT) return fault_set(fault, "open %s", options->root);
  printf("[");
  for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
    struct oci_container container = {0};
    struct oci_options one = *options;
    struct fault ignored = {0}; // made or deleted meanwhile
    one.id = entry->d_name;
    if (entry->d_name[0] == '.' || oci_load(&container, &one, &ignored) < 0) continue;
    if (!first) printf(",");
    first = false;
    oci_write_state(stdout, &container, oci_status_name(oci_status_of(&container)));
  }
  if (entries != NULL) closedir(entries);
  printf("]\n");
  return 0;
}

static void print_names(const char *key, const char *(*name)(unsigned)) {
  printf("\"%s\":[", key);
  for (unsigned i = 0; name(i) != NULL; i++) printf("%s\"%s\"", i ? "," : "", name(i));
  printf("]");
}

static int features_command(void) {
  printf("{\"ociVersionMin\":\"1.0.0\",\"ociVersionMax\":\"" OCI_VERSION "\",\"hooks\":[\"prestart\",\"createRuntime\","
         "\"createContainer\",\"startContainer\",\"poststart\",\"poststop\"],");
  print_names("mountOptions", oci_mount_option);
  printf(",\"linux\":{\"namespaces\":[\"cgroup\",\"ipc\",\"mount\",\"network\",\"pid\",\"user\",\"uts\"],");
  print_names("capabilities", capability_name);
  printf(",\"cgroup\":{\"v1\":true,\"v2\":true,\"systemd\":false,\"systemdUser\":false},\"seccomp\":");
  oci_write_seccomp_features(stdout);
  printf(",\"apparmor\":{\"enabled\":true},\"selinux\":{\"enabled\":false}}}\n");
  return 0;
}

static int run_command(struct oci_container *container, const struct oci_options *options, int *code, struct fault *fault) {
  if (oci_create(container, options, fault) < 0) return -1;
  if (oci_start(container, fault) < 0) {
    struct fault ignored = {0};
    oci_delete(container, true, &ignored);
    return -1;
  }
  if (options->detach) return 0;
  *code = oci_wait(container->pid);
  return oci_delete(container, true, fault);
}

enum option_key { O_ROOT = 256, O_LOG, O_LOG_FORMAT, O_CONSOLE, O_PRESERVE, O_CWD, O_FORMAT, O_APPARMOR, O_IGNORED, O_KEYRING, O_SYSTEMD, O_VERSION };
static const struct option GLOBAL[] = {{"root", 1, NULL, O_ROOT},
                                       {"log", 1, NULL, O_LOG},
                                       {"log-format", 1, NULL, O_LOG_FORMAT},
                                       {"systemd-cgroup", 0, NULL, O_SYSTEMD},
                                       {"debug", 0, NULL, O_IGNORED},
                                       {"rootless", 1, NULL, O_IGNORED},
                                       {"version", 0, NULL, O_VERSION},
                                       {0}};
static const struct option LOCAL[] = {{"bundle", 1, NULL, 'b'},      {"pid-file", 1, NULL, 'P'},      {"console-socket", 1, NULL, O_CONSOLE},
                                      {"preserve-fds", 1, NULL, O_PRESERVE}, {"process", 1, NULL, 'p'}, {"detach", 0, NULL, 'd'},
                                      {"tty", 0, NULL, 't'},         {"cwd", 1, NULL, O_CWD},         {"user", 1, NULL, 'u'},
                                      {"env", 1, NULL, 'e'},         {"all", 0, NULL, 'a'},           {"force", 0, NULL, 'f'},
                                      {"format", 1, NULL, O_FORMAT}, {"apparmor", 1, NULL, O_APPARMOR}, {"resources", 1, NULL, 'r'},     {"no-new-keyring", 0, NULL, O_KEYRING},
                                      {"no-subreaper", 0, NULL, O_IGNORED}, {0}};

static void take_option(struct oci_options *options, int key, struct fault *fault) {
  switch (key) {
  case O_ROOT: options->root = optarg; break;
  case O_LOG: options->log = optarg; break;
  case O_LOG_FORMAT: options->log_as_json = strcmp(optarg, "json") == 0; break;
  case O_SYSTEMD: fault_say(fault, FAULT_INVALID, "--systemd-cgroup is not supported; set the engine's cgroup driver to cgroupfs"); break;
  case O_CONSOLE: options->console_socket = optarg; break;
  case O_PRESERVE: options->preserved = (int)strtol(optarg, NULL, 10); break;
  case O_CWD: options->cwd = optarg; break;
  case O_FORMAT: if (strcmp(optarg, "json") != 0) fault_say(fault, FAULT_INVALID, "the only --format is json"); break;
  case O_APPARMOR: options->app_armor = optarg; break;
  case O_IGNORED: case O_KEYRING: break; // every process has a session key ring of its own
  case 'b': options->bundle = optarg; break;
  case 'P': options->pid_file = optarg; break;
  case 'p': options->process = optarg; break;
  case 'u': options->user = optarg; break;
  case 'r': options->resources = optarg; break;
  case 'e': options->env.items[options->env.count++] = optarg; break;
  case 'd': options->detach = true; break;
  case 't': options->terminal = true; break;
  case 'a': options->all = true; break;
  case 'f': options->force = true; break;
  default: fault_say(fault, FAULT_INVALID, "unknown option; %s", USAGE);
  }
}

static int command(const char *name, struct oci_options *options, int *code, struct fault *fault) {
  static struct oci_container container;
  if (strcmp(name, "features") == 0) return features_command();
  if (strcmp(name, "list") == 0) return list_command(options, fault);
  if (options->id == NULL) return fault_say(fault, FAULT_INVALID, "%s needs a container's id", name);
  if (strcmp(name, "create") == 0) return oci_create(&container, options, fault);
  if (strcmp(name, "run") == 0) return run_command(&container, options, code, fault);
  bool deletes = strcmp(name, "delete") == 0;
  if (oci_load(&container, options, fault) < 0) {
    if (deletes && options->force && fault->kind == FAULT_NOT_FOUND) *fault = (struct fault){0};
    return fault->kind == FAULT_NONE ? 0 : -1;
  }
  if (deletes) return oci_delete(&container, options->force, fault);
  if (strcmp(name, "start") == 0) return oci_start(&container, fault);
  if (strcmp(name, "exec") == 0) return oci_exec(&container, options, code, fault);
  if (strcmp(name, "kill") == 0) return kill_command(&container, options, fault);
  if (strcmp(name, "pause") == 0) return pause_command(&container, true, fault);
  if (strcmp(name, "resume") == 0) return pause_command(&container, false, fault);
  if (strcmp(name, "ps") == 0) return ps_command(&container, fault);
  if (strcmp(name, "update") == 0) return update_command(&container, options, fault);
  if (strcmp(name, "state") != 0) return fault_say(fault, FAULT_INVALID, "unknown command '%s'; %s", name, USAGE);
  oci_write_state(stdout, &container, oci_status_name(oci_status_of(&container)));
  return 0;
}

int oci_main(int argc, char **argv) {
  struct oci_options options = {.root = "/run/shoal-runtime"};
  struct fault fault = {0};
  int key, code = 0;
  options.env.items = calloc((size_t)argc + 1, sizeof *options.env.items);
  if (options.env.items == NULL || seal(argv) < 0)
    return fprintf(stderr, "shoal-runtime: sealing a copy of the program: %s\n", error_words(errno)), 1;
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  opterr = 0;
  while ((key = getopt_long(argc, argv, "+", GLOBAL, NULL)) != -1) {
    if (key == O_VERSION) return printf("shoal-runtime\nspec: " OCI_VERSION "\n"), 0;
    take_option(&options, key, &fault);
  }
  if (optind >= argc) return fprintf(stderr, "%s", USAGE), 2;
  const char *name = argv[optind];
  argc -= optind, argv += optind;
  optind = 0; // begins anew, behind the command's name
  while ((key = getopt_long(argc, argv, "+b:dtp:u:e:afr:", LOCAL, NULL)) != -1) take_option(&options, key, &fault);
  if (optind < argc) {
    options.id = argv[optind];
    options.rest = argv + optind + 1;
    options.rest_count = argc - optind - 1;
  }
  if (fault.kind != FAULT_NONE || command(name, &options, &code, &fault) < 0) return complain(&options, &fault);
  return fflush(stdout) == 0 ? code : 1;
}
