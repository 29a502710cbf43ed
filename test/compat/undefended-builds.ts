// Builds with a defence taken out each, and the tests of past escapes that have to fail there. Where a defence is in two
// layers, both are taken out: a test of the inner one alone would say nothing.

/** Once in a C file of runtime/native, or in a compiled file below dist. */
export type Edit = readonly [file: string, before: string, after: string];

export interface Undefended {
  readonly without: string;
  readonly edits: readonly Edit[];
  /** Each has to fail: a file of test/node and a part of the test's title. */
  readonly attacks: readonly (readonly [file: string, title: string])[];
}

export const UNDEFENDED: readonly Undefended[] = [
  {
    without: 'paths that stay below the root (CVE-2021-30465, CVE-2024-45310, CVE-2026-41568, CVE-2026-42306)',
    edits: [
      [
        'paths.c',
        'return sys_openat2(root, path, flags | O_CLOEXEC, 0, RESOLVE_IN_ROOT_ | RESOLVE_NO_MAGICLINKS_);',
        'path += strspn(path, "/");\n  return openat(root, *path ? path : ".", flags | O_CLOEXEC);',
      ],
    ],
    attacks: [
      ['native-security', 'does not follow the image’s links out of its root'],
      ['native-race', 'while a shared volume’s folder and a link to the host change places'],
      ['attacks-paths', 'mount destination swapped'],
      ['attacks-paths', 'a link in the image at a working directory'],
      ['attacks-paths', 'docker cp into a stopped container'],
    ],
  },
  {
    without: 'masked paths (CVE-2025-31133)',
    edits: [
      ['masks.c', 'if (mask(rootfs, paths->items[i], fault) < 0) return -1;', '(void)mask, (void)rootfs, (void)fault;'],
    ],
    attacks: [
      ['attacks-paths', 'masked paths stay masked'],
      ['native-security', 'has masked and read-only paths'],
    ],
  },
  {
    without: 'read-only paths',
    edits: [
      ['masks.c', 'if (lock(rootfs, paths->items[i], fault) < 0) return -1;', '(void)lock, (void)rootfs, (void)fault;'],
    ],
    attacks: [['native-security', 'has masked and read-only paths']],
  },
  {
    without: 'closed descriptors and a checked working directory (CVE-2024-21626)',
    edits: [
      ['become.c', 'if (next > from) sys_close_range(from, next == ~0u ? next : next - 1, 0);', ''],
      ['become.c', "if (length < 0 || now[0] != '/')", 'if (length < -1)'],
    ],
    attacks: [['attacks-inside', 'leaked descriptor as working directory']],
  },
  {
    without: 'the filter of system calls (CVE-2022-0492, CVE-2022-0185)',
    edits: [['become.c', 'if (seccomp_load(&ready->seccomp, fault) < 0) return -1;', '']],
    attacks: [
      ['attacks-inside', 'cgroup release agent'],
      ['native-security', 'has the filter in every process, exec included'],
    ],
  },
  {
    without: 'bounds of user and group ids (CVE-2024-40635)',
    edits: [['user.c', 'return errno == 0 && *id <= ID_MAX ? 1 : -1;', 'return 1;']],
    attacks: [['attacks-inside', 'ids stay in range']],
  },
  {
    without: 'empty inheritable capabilities (CVE-2022-24769)',
    edits: [
      [
        'security.c',
        'set->permitted = set->effective = set->bounding;',
        'set->permitted = set->effective = set->inheritable = set->bounding;',
      ],
    ],
    attacks: [['attacks-inside', 'inheritable capabilities are empty']],
  },
  {
    without: 'the kernel’s resolving of a volume’s part (CVE-2017-1002101)',
    edits: [
      [
        'mounts.c',
        'sys_openat2(whole, plan->data, O_PATH | O_CLOEXEC, 0, RESOLVE_BENEATH_ | RESOLVE_NO_MAGICLINKS_)',
        'openat(whole, plan->data, O_PATH | O_CLOEXEC)',
      ],
    ],
    attacks: [['attacks-paths', 'volume part: a subpath that leads out']],
  },
  {
    without: 'sockets that only root may use (CVE-2020-15257)',
    edits: [['zygote.c', 'umask(0177);', 'umask(0);']],
    attacks: [['native-security', 'keeps the sockets and directories of the helper to root']],
  },
  {
    without: 'real folders under the kernel’s file systems (CVE-2019-19921, CVE-2026-41579)',
    edits: [
      [
        'mounts.c',
        'at = straight ? open_in_root_straight(rootfs->root, target, O_PATH) : open_in_root(rootfs->root, target, O_PATH);',
        'at = open_in_root(rootfs->root, target, O_PATH), (void)straight;',
      ],
    ],
    attacks: [
      ['native-security', 'refuses an image whose /proc is a link'],
      ['attacks-paths', 'an image whose /proc is a link'],
      ['attacks-paths', 'an image whose /sys is a link'],
      ['attacks-paths', 'an image whose /dev is a link'],
    ],
  },
  {
    without: 'the primary group among the groups (CVE-2022-36109)',
    edits: [['user.c', 'if (add_group(identity, identity->gid, fault) < 0) return -1;', '']],
    attacks: [['attacks-inside', 'the primary group is always among them']],
  },
  {
    without: 'rules for devices',
    edits: [
      ['cgroup.c', 'if (request->has_device_rules && cgroups->unified >= 0)', 'if (false && cgroups->unified >= 0)'],
    ],
    attacks: [['native-security', 'can not use devices that its rules do not name']],
  },
  {
    without: 'no_new_privs',
    edits: [['become.c', 'if (plan->no_new_privileges && prctl(', 'if (false && prctl(']],
    attacks: [['native-security', 'can not gain privileges when told so']],
  },
  {
    without: 'the sealed copy of the helper (CVE-2019-5736)',
    edits: [['seal.c', 'if (getenv(SEALED) != NULL) return unsetenv(SEALED);', 'if (copy_self != NULL) return 0;']],
    attacks: [['attacks-inside', 'runtime binary overwrite']],
  },
  {
    without: 'masks of our own (CVE-2025-31133)',
    edits: [
      [
        'masks.c',
        'sys_open_tree(rootfs->scratch, directory ? "empty" : "null", OPEN_TREE_CLONE);',
        'directory ? sys_open_tree(rootfs->scratch, "empty", OPEN_TREE_CLONE)\n                       : sys_open_tree(open_in_root(rootfs->root, "dev/null", O_PATH), "", OPEN_TREE_CLONE | AT_EMPTY_PATH);',
      ],
      ['masks.c', '!S_ISCHR(source->st_mode) || source->st_rdev != makedev(1, 3)', 'source->st_rdev == makedev(1, 4)'],
    ],
    attacks: [['attacks-paths', 'masks are no files of a volume']],
  },
  {
    without: 'a console by descriptor (CVE-2025-52565)',
    edits: [
      ['container.c', 'rootfs->dev >= 0 ? console_mount', 'rootfs->root >= 0 ? console_mount'],
      [
        'devices.c',
        'openat(rootfs->dev, "console", O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);',
        'open_in_root(rootfs->root, "dev/console", O_PATH);',
      ],
      [
        'devices.c',
        'openat(rootfs->dev, "console", O_PATH | O_NOFOLLOW | O_CLOEXEC);',
        'open_in_root(rootfs->root, "dev/console", O_PATH);',
      ],
    ],
    attacks: [['attacks-paths', 'a terminal is not mounted where /dev/console of a volume leads']],
  },
  {
    without: 'a proc file system of our own for what is set (CVE-2025-52881)',
    edits: [
      [
        'container.c',
        'if (write_sysctls(request, fault) < 0) return -1;',
        'if (fchdir(rootfs.root) < 0 || write_sysctls(request, fault) < 0) return -1;',
      ],
      [
        'namespaces.c',
        'new_file_system("proc", "proc", "", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, fault);',
        'open("proc", O_PATH | O_CLOEXEC);',
      ],
      ['namespaces.c', 'RESOLVE_BENEATH_ | RESOLVE_NO_SYMLINKS_ | RESOLVE_NO_XDEV_', '0'],
    ],
    attacks: [['attacks-paths', 'a sysctl is not written to what a volume put in its place']],
  },
  {
    without: 'a /proc that the kernel vouches for where a profile is taken (CVE-2025-52881)',
    edits: [
      [
        'app_armor.c',
        'fstatfs(proc, &status) == 0 && status.f_type == PROC_SUPER_MAGIC',
        'fstatfs(proc, &status) == 0 && status.f_type != 0',
      ],
      ['app_armor.c', 'RESOLVE_BENEATH_ | RESOLVE_NO_SYMLINKS_ | RESOLVE_NO_XDEV_', '0'],
    ],
    attacks: [['native-security', 'is given a profile of AppArmor by the kernel']],
  },
  {
    without: 'the container’s root as that of who copies (CVE-2018-15664)',
    edits: [
      [
        'files.c',
        'if (setns(pidfd, CLONE_NEWNS) < 0) return fault_set(&files->fault, "enter the container\'s mounts");',
        'char there[64];\n  snprintf(there, sizeof there, "/proc/%d/root", files->pid);',
      ],
      [
        'files.c',
        'files->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);',
        'files->root = open(there, O_PATH | O_DIRECTORY | O_CLOEXEC);',
      ],
      [
        'files.c',
        'sys_openat2(files->root, files->path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0,\n                          RESOLVE_IN_ROOT_ | RESOLVE_NO_MAGICLINKS_);',
        'openat(files->root, files->path + strspn(files->path, "/"), O_PATH | O_NOFOLLOW | O_CLOEXEC);',
      ],
    ],
    attacks: [['container-files', 'can not be swapped for a link to the host']],
  },
  {
    without: 'a daemon that uncompresses by itself (CVE-2019-14271, CVE-2026-41567)',
    edits: [
      [
        'files.c',
        'if (enter(files) < 0) return -1;\n  int at = open_in_root',
        'if (enter(files) < 0) return -1;\n  if (access("/bin/unpigz", X_OK) == 0 && chroot(".") == 0) system("/bin/unpigz --version");\n  int at = open_in_root',
      ],
    ],
    attacks: [['attacks-images', 'docker cp runs nothing of the container’s']],
  },
  {
    without: 'descriptors closed before an exec’s process exists (CVE-2016-9962)',
    edits: [
      ['entry.c', 'close_others(3 + (unsigned)entry->stdio.preserved, kept, 4);', '(void)kept;'],
      ['shim.c', 'prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);', ''],
      ['zygote.c', 'prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);', ''],
    ],
    attacks: [['native-security', 'keeps the helper’s processes out of reach of a tracing container']],
  },
  {
    without: 'archives confined to their folder (CVE-2018-15664, CVE-2021-32760)',
    edits: [
      ['unpack.c', 'if (chroot(".") < 0) return fault_set(fault, "confine to %s", directory);', ''],
      ['unpack.c', '*root = open("/", O_RDONLY', '*root = open(".", O_RDONLY'],
      [
        'paths.c',
        'return sys_openat2(root, path, flags | O_CLOEXEC, 0, RESOLVE_IN_ROOT_ | RESOLVE_NO_MAGICLINKS_);',
        'path += strspn(path, "/");\n  return openat(root, *path ? path : ".", flags | O_CLOEXEC);',
      ],
    ],
    attacks: [
      ['hostile-tars', 'writes through a linked folder'],
      ['hostile-tars', 'links a file through a link'],
      ['hostile-tars', 'hides through a link'],
    ],
  },
  {
    without: 'refused names that climb (CVE-2014-9356)',
    edits: [
      ['unpack.c', "length == 2 && at[0] == '.' && at[1] == '.'", 'length == 2 && at[0] == 0'],
      ['unpack.c', "if (*path == '/') return", 'if (*path == 0) return'],
    ],
    attacks: [['hostile-tars', 'climbs out by its name']],
  },
  {
    without: 'attributes that an archive may not bring (CVE-2021-32760)',
    edits: [
      [
        'unpack.c',
        'if (strncmp(name, "user.", 5) == 0)',
        'if (name != NULL) return true;\n  if (strncmp(name, "user.", 5) == 0)',
      ],
    ],
    attacks: [['hostile-tars', 'makes a folder opaque by its attribute']],
  },
  {
    without: 'bounds of extended headers (CVE-2017-14992)',
    edits: [
      ['dist/runtime/image/tar-meter.js', 'if (size > EXTENDED_HEADER_MAX)', 'if (false)'],
      [
        'tar.c',
        'if (size > TAR_EXTENSION_BYTES_MAX)',
        'reader->extension = realloc(reader->extension, (size_t)size + 1); // as much as the archive names\n  if (reader->extension == NULL)',
      ],
    ],
    attacks: [['hostile-tars', 'has an extended header of 3 MB']],
  },
  {
    without: 'read-only cgroups (CVE-2023-25809)',
    edits: [
      [
        'mounts.c',
        '.set = attributes_of(plan, true), .propagation = MS_PRIVATE}',
        '.set = attributes_of(plan, false), .propagation = MS_PRIVATE}',
      ],
      [
        'mounts.c',
        'if (tree < 0) return -1;\n  bool straight',
        'if (tree < 0) return -1;\n  if (plan->type == M_CGROUP) sys_mount_setattr(tree, AT_EMPTY_PATH, &(struct mount_attr_){.clear = MOUNT_ATTR_RDONLY});\n  bool straight',
      ],
    ],
    attacks: [['attacks-inside', 'cgroups are shown but not given']],
  },
  {
    without: 'digests that are digests (CVE-2014-9358)',
    edits: [
      [
        'dist/runtime/image/reference.js',
        'export const isDigest = (text) => DIGEST.test(text);',
        'export const isDigest = (text) => DIGEST.test(text) || true;',
      ],
      ['dist/runtime/image/archive-plan.js', 'if (blobName(sha256(bytes)) !== name)', 'if (false)'],
    ],
    attacks: [['attacks-images', 'layer store traversal']],
  },
  {
    without: 'digests that are compared (CVE-2014-9358)',
    edits: [['dist/runtime/image/intake.js', 'if (found.diffId !== diffId)', 'if (false)']],
    attacks: [['attacks-images', 'digest: a layer or config that is not what its digest says']],
  },
  {
    without: 'documents that are one thing (CVE-2021-41190)',
    edits: [
      ['dist/runtime/image/document-kind.js', 'if (isIndex && isImage)', 'if (false)'],
      ['dist/runtime/image/document-kind.js', 'if (first !== undefined && other !== undefined)', 'if (false)'],
      ['dist/runtime/image/document-kind.js', "if (kind === 'image' ? isIndex : isImage)", 'if (false)'],
    ],
    attacks: [['attacks-images', 'a document that is an image and an index at once']],
  },
  {
    without: 'folders that are closed to others (CVE-2021-41091, CVE-2024-25621)',
    edits: [
      ['dist/base/format-file.js', 'mode = 0o710', 'mode = 0o755'],
      [
        'dist/runtime/container/record.js',
        'await mkdir(directory, { mode: 0o710 });',
        'await mkdir(directory, { mode: 0o755 });',
      ],
    ],
    attacks: [['attacks-daemon', 'data folder: another user']],
  },
  {
    without: 'questions that stay on an internal network (CVE-2024-29018)',
    edits: [['dist/runtime/network/name-resolver.js', 'scope.forwards ?', 'true ?']],
    attacks: [['network-names', 'of an internal network never leave the machine']],
  },
  {
    without: 'rules that close internal networks (CVE-2025-54410)',
    edits: [['dist/runtime/network/ruleset-bridges.js', 'names(bridges.filter(({ internal }) => internal))', '[]']],
    attacks: [['network-own', 'are entered and left by no route when internal']],
  },
  {
    without: 'bounds of bodies (CVE-2024-41110, CVE-2026-34040)',
    edits: [['dist/api/request.js', 'if (length > bytesMax)', 'if (false)']],
    attacks: [['attacks-daemon', 'oversize and endless bodies']],
  },
  {
    without: 'signs of life to silent clients (CVE-2025-64329)',
    edits: [['dist/api/attached-stdio.js', 'if (!options.raw)', 'if (false)']],
    attacks: [['attacks-daemon', 'who vanishes from a silent container']],
  },
];
