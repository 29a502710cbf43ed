// Applies a tar stream below a folder, in a process of its own that was chrooted into it. Names that climb or are
// absolute are refused; links are followed inside the root only; nothing from the archive is ever executed or loaded.
#include "unpack.h"
#include "paths.h"
#include "remove.h"
#include "syscalls.h"
#include "tar.h"
#include "user.h"
#include "wire.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define LATER_BYTES_MAX (64u << 20)
#define ENTRIES_MAX 20000000ull

// Folders get their times last: what is put into them changes them.
struct later {
  int64_t seconds;
  int32_t nanoseconds;
  uint32_t length;
  char path[];
};

struct unpacker {
  struct unpack_options options;
  struct identity owner;
  int root;
  int parent; // folder of the last entry, with its path: consecutive entries mostly share it
  char parent_path[TAR_PATH_MAX];
  uint8_t *later;
  size_t later_length, later_capacity;
  struct tar_reader tar;
  struct tar_entry entry;
  struct fault *fault;
};

// Strips "./" and doubled slashes in place; 1: fine, 0: it is the root itself, -1: refused.
static int clean(struct unpacker *unpacker, char *path) {
  char *to = path;
  if (*path == '/') return fault_say(unpacker->fault, FAULT_INVALID, "the archive has an absolute name: %.200s", path);
  for (const char *at = path; *at != 0;) {
    size_t length = strcspn(at, "/");
    if (length == 2 && at[0] == '.' && at[1] == '.')
      return fault_say(unpacker->fault, FAULT_INVALID, "the archive has a name that climbs out: %.200s", path);
    if (length > NAME_MAX) return fault_say(unpacker->fault, FAULT_INVALID, "the archive has a name of %zu bytes", length);
    if (length > 0 && !(length == 1 && at[0] == '.')) {
      if (to != path) *to++ = '/';
      memmove(to, at, length);
      to += length;
    }
    at += length;
    at += strspn(at, "/");
  }
  *to = 0;
  return to == path ? 0 : 1;
}

// Names of the archive begin where it was asked to be unpacked.
static int put_below(const struct unpacker *unpacker, char *path) {
  const char *below = unpacker->options.below;
  size_t before = below == NULL ? 0 : strlen(below), length = strlen(path);
  if (before == 0) return 0;
  if (before + length + 2 > TAR_PATH_MAX) return fault_say(unpacker->fault, FAULT_INVALID, "the path of %.200s is too long", path);
  memmove(path + before + 1, path, length + 1);
  memcpy(path, below, before);
  path[before] = '/';
  return 0;
}

static void forget_parent(struct unpacker *unpacker) {
  if (unpacker->parent >= 0) close(unpacker->parent);
  unpacker->parent = -1;
}

// A link or a file where the archive wants a folder is the archive's fault.
static int names_wrong_folder(struct fault *fault) {
  if (fault->error == ELOOP || fault->error == ENOTDIR || fault->error == EEXIST) fault->kind = FAULT_INVALID;
  return -1;
}

// Enters the folder of `path`, making what is missing with mode 0755; points `*name` to the last part.
static int enter_parent(struct unpacker *unpacker, char *path, char **name) {
  char *slash = strrchr(path, '/');
  *name = slash == NULL ? path : slash + 1;
  size_t length = slash == NULL ? 0 : (size_t)(slash - path);
  bool same = unpacker->parent >= 0 && strlen(unpacker->parent_path) == length &&
              memcmp(unpacker->parent_path, path, length) == 0;
  if (same) return 0;
  forget_parent(unpacker);
  memcpy(unpacker->parent_path, path, length);
  unpacker->parent_path[length] = 0;
  const char *folder = length == 0 ? "/" : unpacker->parent_path;
  unpacker->parent = open_in_root(unpacker->root, folder, O_PATH | O_DIRECTORY);
  if (unpacker->parent < 0) unpacker->parent = make_in_root(unpacker->root, folder, true, unpacker->fault);
  if (unpacker->parent < 0) return names_wrong_folder(unpacker->fault);
  return fchdir(unpacker->parent) < 0 ? fault_set(unpacker->fault, "enter %s", folder) : 0;
}

// Makes way for an entry. 1: a folder is already there and stays, 0: free, -1: a fault.
static int make_way(struct unpacker *unpacker, const char *name) {
  struct stat status;
  if (fstatat(AT_FDCWD, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
    return errno == ENOENT ? 0 : fault_set(unpacker->fault, "look at %s", unpacker->entry.path);
  bool is_folder = S_ISDIR(status.st_mode), gets_folder = unpacker->entry.type == TAR_DIRECTORY;
  if (is_folder && gets_folder) return 1;
  if (unpacker->options.keeps_kind && is_folder != gets_folder)
    return fault_say(unpacker->fault, FAULT_INVALID, "cannot overwrite %s \"/%.300s\" with %s",
                     is_folder ? "directory" : "non-directory", unpacker->entry.path, is_folder ? "non-directory" : "directory");
  if (remove_tree(AT_FDCWD, name) < 0) return fault_set(unpacker->fault, "replace %s", unpacker->entry.path);
  if (S_ISDIR(status.st_mode) || S_ISLNK(status.st_mode)) {
    forget_parent(unpacker); // it may have been, held or led to the remembered folder
    char *ignored;
    return enter_parent(unpacker, unpacker->entry.path, &ignored);
  }
  return 0;
}

static int write_file(struct unpacker *unpacker, const char *name) {
  int file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) return fault_set(unpacker->fault, "make %s", unpacker->entry.path);
  const uint8_t *bytes;
  int64_t length;
  while ((length = tar_data(&unpacker->tar, &bytes)) > 0)
    if (write_fully(file, bytes, (size_t)length) < 0) {
      length = fault_set(unpacker->fault, "write %s", unpacker->entry.path);
      break;
    }
  close(file);
  if (length < 0) unlink(name); // half of it would look like the whole
  return length < 0 ? -1 : 0;
}

// A hard link's target is found under the root like any other name; a link at its end is itself the target.
static int make_link(struct unpacker *unpacker, const char *name) {
  char target[TAR_PATH_MAX];
  strcpy(target, unpacker->entry.target[0] == '/' ? unpacker->entry.target + 1 : unpacker->entry.target);
  if (clean(unpacker, target) <= 0) return fault_say(unpacker->fault, FAULT_INVALID, "the archive has a bad hard link");
  if (put_below(unpacker, target) < 0) return -1;
  char *slash = strrchr(target, '/');
  const char *base = slash == NULL ? target : slash + 1;
  if (slash != NULL) *slash = 0;
  int folder = open_in_root(unpacker->root, slash == NULL ? "/" : target, O_PATH | O_DIRECTORY);
  int result = folder < 0 ? -1 : linkat(folder, base, AT_FDCWD, name, 0);
  if (result < 0 && errno == ENOENT)
    fault_say(unpacker->fault, FAULT_NOT_FOUND, "hard link %.200s: its target %.200s is not in this archive",
              unpacker->entry.path, unpacker->entry.target);
  else if (result < 0 && (errno == EPERM || errno == EXDEV || errno == ELOOP || errno == ENOTDIR)) // to a folder, or onto another mount
    fault_invalid(unpacker->fault, "link %s", unpacker->entry.path);
  else if (result < 0) fault_set(unpacker->fault, "link %s", unpacker->entry.path);
  if (folder >= 0) close(folder);
  return result;
}

static int make_node(struct unpacker *unpacker, const char *name) {
  const struct tar_entry *entry = &unpacker->entry;
  int result = 0;
  switch (entry->type) {
  case TAR_FILE: return write_file(unpacker, name);
  case TAR_LINK: return make_link(unpacker, name);
  case TAR_SYMLINK: result = symlink(entry->target, name); break;
  case TAR_DIRECTORY: result = mkdir(name, 0700); break;
  case TAR_FIFO: result = mkfifo(name, 0600); break;
  case TAR_CHARACTER: result = mknod(name, S_IFCHR | 0600, makedev(entry->major, entry->minor)); break;
  case TAR_BLOCK: result = mknod(name, S_IFBLK | 0600, makedev(entry->major, entry->minor)); break;
  }
  return result < 0 ? fault_set(unpacker->fault, "make %s", entry->path) : 0;
}

// An archive must not speak overlay's own language, nor set labels of this machine's security modules.
static bool is_kept(const char *name) {
  if (strncmp(name, "user.", 5) == 0) return strncmp(name, "user.overlay.", 13) != 0;
  return strcmp(name, "security.capability") == 0 || strncmp(name, "system.posix_acl_", 17) == 0;
}

static int set_xattrs(struct unpacker *unpacker, const char *name) {
  for (uint32_t i = 0; i < unpacker->entry.xattr_count; i++) {
    const struct tar_xattr *xattr = &unpacker->entry.xattrs[i];
    if (!is_kept(xattr->name) || lsetxattr(name, xattr->name, xattr->value, xattr->length, 0) == 0) continue;
    if (errno != ENOTSUP && errno != EPERM)
      return fault_set(unpacker->fault, "set %s of %s", xattr->name, unpacker->entry.path);
  }
  return 0;
}

static int set_time(const char *name, int64_t seconds, int32_t nanoseconds) {
  struct timespec times[2] = {{seconds, nanoseconds}, {seconds, nanoseconds}};
  return utimensat(AT_FDCWD, name, times, AT_SYMLINK_NOFOLLOW);
}

static int remember_time(struct unpacker *unpacker) {
  const struct tar_entry *entry = &unpacker->entry;
  size_t length = strlen(entry->path);
  size_t bytes = (sizeof(struct later) + length + 1 + 7) & ~(size_t)7;
  if (unpacker->later_capacity - unpacker->later_length < bytes) {
    size_t capacity = unpacker->later_capacity * 2 + (64 << 10);
    uint8_t *grown = capacity > LATER_BYTES_MAX ? NULL : realloc(unpacker->later, capacity);
    if (grown == NULL) return fault_say(unpacker->fault, FAULT_INVALID, "the archive has too many folders");
    unpacker->later = grown;
    unpacker->later_capacity = capacity;
  }
  struct later *later = (struct later *)(void *)(unpacker->later + unpacker->later_length);
  *later = (struct later){entry->mtime_seconds, entry->mtime_nanoseconds, (uint32_t)bytes};
  memcpy(later->path, entry->path, length + 1);
  unpacker->later_length += bytes;
  return 0;
}

// chown first: it clears set-user-id bits and file capabilities.
static int set_properties(struct unpacker *unpacker, const char *name) {
  const struct tar_entry *entry = &unpacker->entry;
  if (entry->type == TAR_LINK) return 0; // they are its target's
  bool given = unpacker->options.owner != NULL && *unpacker->options.owner != 0;
  uid_t uid = given ? unpacker->owner.uid : entry->uid;
  gid_t gid = given ? unpacker->owner.gid : entry->gid;
  if (lchown(name, uid, gid) < 0) return fault_set(unpacker->fault, "set the owner of %s", entry->path);
  if (entry->type != TAR_SYMLINK && chmod(name, entry->mode) < 0)
    return fault_set(unpacker->fault, "set the mode of %s", entry->path);
  if (set_xattrs(unpacker, name) < 0) return -1;
  if (entry->type == TAR_DIRECTORY) return remember_time(unpacker);
  if (set_time(name, entry->mtime_seconds, entry->mtime_nanoseconds) < 0)
    return fault_set(unpacker->fault, "set the time of %s", entry->path);
  return 0;
}

// Docker's marks of removal, in overlay's terms. 1: it was one, 0: a plain entry, -1: a fault.
static int whiteout(struct unpacker *unpacker, const char *name) {
  struct stat status;
  if (!unpacker->options.layer || strncmp(name, ".wh.", 4) != 0) return 0;
  if (strcmp(name, ".wh..wh..opq") == 0) {
    if (lsetxattr(".", "trusted.overlay.opaque", "y", 1, 0) < 0)
      return fault_set(unpacker->fault, "make %s opaque", unpacker->parent_path);
    return 1;
  }
  const char *removed = name + 4;
  if (strncmp(removed, ".wh.", 4) == 0) return 1; // aufs' own bookkeeping
  if (*removed == 0 || strcmp(removed, ".") == 0 || strcmp(removed, "..") == 0)
    return fault_say(unpacker->fault, FAULT_INVALID, "the archive has a bad whiteout: %.200s", unpacker->entry.path);
  if (fstatat(AT_FDCWD, removed, &status, AT_SYMLINK_NOFOLLOW) == 0) return 1; // this layer has it anew
  if (mknod(removed, S_IFCHR, makedev(0, 0)) < 0) return fault_set(unpacker->fault, "white out %s", unpacker->entry.path);
  return 1;
}

static int apply(struct unpacker *unpacker) {
  char *name;
  int named = clean(unpacker, unpacker->entry.path);
  if (named <= 0) return named; // the root keeps its own properties
  if (put_below(unpacker, unpacker->entry.path) < 0 || enter_parent(unpacker, unpacker->entry.path, &name) < 0) return -1;
  int done = whiteout(unpacker, name);
  if (done != 0) return done < 0 ? -1 : 0;
  int there = make_way(unpacker, name);
  if (there < 0 || (there == 0 && make_node(unpacker, name) < 0)) return -1;
  return set_properties(unpacker, name);
}

static int set_folder_times(struct unpacker *unpacker) {
  for (size_t at = 0; at < unpacker->later_length;) {
    struct later *later = (struct later *)(void *)(unpacker->later + at);
    struct timespec times[2] = {{later->seconds, later->nanoseconds}, {later->seconds, later->nanoseconds}};
    at += later->length;
    int folder = open_in_root(unpacker->root, later->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (folder < 0) continue; // a later entry put something else in its place
    int result = futimens(folder, times);
    if (result < 0) fault_set(unpacker->fault, "set the time of %s", later->path);
    close(folder);
    if (result < 0) return -1;
  }
  return 0;
}

static int apply_all(struct unpacker *unpacker) {
  for (uint64_t count = 0; count < ENTRIES_MAX; count++) {
    int got = tar_next(&unpacker->tar, &unpacker->entry);
    if (got < 0) return -1;
    if (got == 0) return set_folder_times(unpacker);
    if (apply(unpacker) < 0) return -1;
  }
  return fault_say(unpacker->fault, FAULT_INVALID, "the archive has more than %llu entries", ENTRIES_MAX);
}

static int enter_root(const char *directory, int *root, struct fault *fault) {
  if (chdir(directory) < 0) return fault_set(fault, "enter %s", directory);
  if (chroot(".") < 0) return fault_set(fault, "confine to %s", directory);
  *root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return *root < 0 ? fault_set(fault, "open %s", directory) : 0;
}

int unpack_at(int archive, int root, const struct unpack_options *options, struct fault *fault) {
  static struct unpacker unpacker;
  static const struct strings no_groups;
  unpacker = (struct unpacker){.options = *options, .root = root, .parent = -1, .fault = fault};
  bool given = options->owner != NULL && *options->owner != 0;
  if (given && identity_find(options->owner, &no_groups, &unpacker.owner, fault) < 0) return -1;
  umask(0);
  return tar_open(&unpacker.tar, archive, fault) < 0 ? -1 : apply_all(&unpacker);
}

int unpack(int archive, const char *directory, bool layer, struct fault *fault) {
  struct unpack_options options = {.layer = layer};
  int root = -1;
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_NAME, "shoal-unpack", 0, 0, 0);
  if (enter_root(directory, &root, fault) < 0 || unpack_at(archive, root, &options, fault) < 0) return -1;
  return syncfs(root) < 0 ? fault_set(fault, "make %s durable", directory) : 0;
}
