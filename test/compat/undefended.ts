// `npm run compat attacks`: builds of the C helper with one defence taken out each. A test that tries a past escape must
// succeed with the build as it is and fail with the defence gone: otherwise it proves nothing.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

type Edit = readonly [file: string, before: string, after: string];

interface Undefended {
  readonly without: string;
  readonly edits: readonly Edit[];
  /** Each has to fail: a file of test/node and a part of the test's title. */
  readonly attacks: readonly (readonly [file: string, title: string])[];
}

const ROOT = resolve(import.meta.dirname, '../../..');
const TEST_MS = 120_000;

const UNDEFENDED: readonly Undefended[] = [
  {
    without: 'paths that stay below the root (CVE-2021-30465, CVE-2024-45310)',
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
    ],
  },
  {
    without: 'masked paths (CVE-2025-31133)',
    edits: [
      ['masks.c', 'if (mask(rootfs, paths->items[i], fault) < 0) return -1;', '(void)mask, (void)rootfs, (void)fault;'],
    ],
    attacks: [
      ['attacks', 'masked paths stay masked'],
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
    attacks: [['attacks', 'leaked descriptor as working directory']],
  },
  {
    without: 'the filter of system calls (CVE-2022-0492, CVE-2022-0185)',
    edits: [['become.c', 'if (seccomp_load(&ready->seccomp, fault) < 0) return -1;', '']],
    attacks: [
      ['attacks', 'cgroup release agent'],
      ['native-security', 'has the filter in every process, exec included'],
    ],
  },
  {
    without: 'bounds of user and group ids (CVE-2024-40635)',
    edits: [['user.c', 'return errno == 0 && *id <= ID_MAX ? 1 : -1;', 'return 1;']],
    attacks: [['attacks', 'ids stay in range']],
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
    attacks: [['attacks', 'inheritable capabilities are empty']],
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
    attacks: [['attacks', 'volume part: a subpath that leads out']],
  },
  {
    without: 'sockets that only root may use (CVE-2020-15257)',
    edits: [['zygote.c', 'umask(0177);', 'umask(0);']],
    attacks: [['native-security', 'keeps the sockets and directories of the helper to root']],
  },
  {
    without: 'real folders under the kernel’s file systems (CVE-2019-19921)',
    edits: [
      [
        'mounts.c',
        'at = straight ? open_in_root_straight(rootfs->root, target, O_PATH) : open_in_root(rootfs->root, target, O_PATH);',
        'at = open_in_root(rootfs->root, target, O_PATH), (void)straight;',
      ],
    ],
    attacks: [['native-security', 'refuses an image whose /proc is a link']],
  },
  {
    without: 'the primary group among the groups (CVE-2022-36109)',
    edits: [['user.c', 'if (add_group(identity, identity->gid, fault) < 0) return -1;', '']],
    attacks: [['attacks', 'the primary group is always among them']],
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
];

/** The number of attacks that do not tell a build with the defence from one without. */
export function runUndefended(only: string): number {
  const chosen = UNDEFENDED.filter(({ without }) => without.includes(only));
  let idle = 0;
  const sound = new Checkout([]);
  for (const [file, title] of chosen.flatMap(({ attacks }) => attacks)) {
    const passes = sound.passes(file, title);
    if (!passes) idle += 1;
    console.log(`${passes ? 'held   ' : 'BROKEN '} ${file}: ${title}, with every defence`);
  }
  sound.remove();
  for (const { without, edits, attacks } of chosen) {
    const checkout = new Checkout(edits);
    for (const [file, title] of attacks) {
      const passes = checkout.passes(file, title);
      if (passes) idle += 1;
      console.log(`${passes ? 'UNSEEN ' : 'through'} ${file}: ${title}, without ${without}`);
    }
    checkout.remove();
  }
  console.log(idle === 0 ? `${chosen.length} defences, each needed` : `${idle} tests say nothing about their defence`);
  return idle;
}

/** A copy of the compiled project whose helper is compiled from changed sources. */
class Checkout {
  readonly #folder = mkdtempSync(join(tmpdir(), 'shoal-undefended-'));

  constructor(edits: readonly Edit[]) {
    const leaveOut = new Set([join(ROOT, 'dist/native')]);
    cpSync(join(ROOT, 'dist'), join(this.#folder, 'dist'), { recursive: true, filter: (path) => !leaveOut.has(path) });
    cpSync(join(ROOT, 'runtime/native'), join(this.#folder, 'runtime/native'), { recursive: true });
    for (const name of ['package.json', 'proto', 'node_modules', 'test'])
      symlinkSync(join(ROOT, name), join(this.#folder, name));
    for (const edit of edits) this.#plant(edit);
  }

  #plant([name, before, after]: Edit): void {
    const path = join(this.#folder, 'runtime/native', name);
    const source = readFileSync(path, 'utf8');
    const places = source.split(before).length - 1;
    if (places !== 1) throw new Error(`the defence in ${name} is there ${places} times: ${before}`);
    writeFileSync(
      path,
      source.replace(before, () => after),
    );
  }

  passes(file: string, title: string): boolean {
    const cache = join(this.#folder, 'dist/native');
    mkdirSync(cache, { recursive: true });
    const path = join(this.#folder, `dist/test/node/${file}.test.js`);
    const args = [
      join(ROOT, 'node_modules/mocha/bin/mocha.js'),
      '--no-package',
      '--timeout',
      '30000',
      '--reporter',
      'json',
      '--fgrep',
      title,
      path,
    ];
    const env = { ...process.env, SHOAL_TEST_CACHE: cache };
    const { stdout } = spawnSync(process.execPath, args, {
      env,
      encoding: 'utf8',
      timeout: TEST_MS,
      maxBuffer: 64 << 20,
    });
    const { stats } = JSON.parse(stdout.slice(stdout.indexOf('{\n'))) as {
      stats: { passes: number; failures: number; tests: number };
    };
    if (stats.passes + stats.failures === 0)
      throw new Error(`${file} has no test that runs here with ${title} in its title`);
    return stats.failures === 0;
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
