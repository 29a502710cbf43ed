// What a process sees inside a container, on Docker Engine and on Shoal: prints each difference with its reason, and
// fails for one that has none. Run as `node dist/test/compat/inside.js`; needs root and Debian's docker.io.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type BenchEngine, BUSYBOX_IMAGE, client, importBusybox, startDocker, startShoal } from '../bench/engines.ts';

/** Options of `docker run`, so that limits show as well. */
const OPTIONS: Readonly<Record<string, readonly string[]>> = {
  'by default': [],
  limited: ['--memory', '64m', '--cpus', '0.5', '--pids-limit', '50', '--ulimit', 'nofile=100:200'],
  'with fewer rights': [
    '--user',
    '1000:1000',
    '--cap-drop',
    'ALL',
    '--security-opt',
    'no-new-privileges',
    '--read-only',
  ],
};

/** Each prints lines; what differs from run to run is cut out. Sections are separated by a line of "## name". */
const PROBES: Readonly<Record<string, string>> = {
  identity: 'id; pwd; umask; echo $$; hostname | wc -c',
  status: "grep -E '^(Cap|Seccomp:|NoNewPrivs|Uid|Gid|Groups|SigBlk|SigIgn)' /proc/self/status",
  limits: 'cat /proc/self/limits',
  environment: "env | sed -E 's/^HOSTNAME=.*/HOSTNAME=/' | sort",
  'oom score': 'cat /proc/self/oom_score_adj',
  devices: "for d in /dev/* /dev/pts/ptmx; do stat -c '%n %A %t:%T %u:%g' $d; readlink $d; done",
  'device access':
    'for d in "b 254 0" "c 1 1" "c 1 3" "c 10 200" "c 10 229"; do mknod /dev/probe $d 2>/dev/null; (: < /dev/probe) 2>/dev/null; echo "$d $?"; rm -f /dev/probe; done',
  mounts:
    "awk '$3 !~ /overlay/ { print $2, $3, $4 }' /proc/mounts | sed -E 's/(size|nr_inodes|inode64|gid|ptmxmode)=?[0-9a-z]*,?//g; s/,$//' | sort",
  'masked paths':
    'for p in /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/sched_debug /proc/interrupts /proc/scsi /proc/acpi /proc/asound /sys/firmware /sys/devices/virtual/powercap; do [ -e $p ] && echo "$p $(head -c 1 $p 2>/dev/null | wc -c) $(ls -A $p 2>/dev/null | grep -v ^/ | wc -l)"; done',
  'read-only paths':
    'for p in /proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger /sys /sys/fs/cgroup; do [ -e $p ] && { touch $p/x 2>/dev/null || (: >> $p) 2>/dev/null; echo "$p $?"; }; done',
  'kernel settings':
    'for p in net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range net/ipv4/ip_forward kernel/shmmax kernel/msgmax fs/mqueue/msg_max; do echo "$p $(cat /proc/sys/$p 2>/dev/null)"; done',
  'own files': "ls -la / | awk 'NR > 1 { print $1, $3, $4, $NF }' | sort -k4; ls /etc; wc -l < /etc/hosts",
  'root file system': 'awk \'$2 == "/" { print $3, substr($4, 1, 2) }\' /proc/mounts',
};

/** A difference that is meant: where it shows, on whose side, and why. */
const REASONS: readonly { probe: string; line: RegExp; reason: string }[] = [
  {
    probe: 'mounts',
    line: /^[-+] \/(proc\/(acpi|asound|scsi|keys|latency_stats|timer_list|sched_debug)|sys\/firmware) tmpfs/,
    reason: 'a mask is an entry of an empty tmpfs of its own, never /dev/null, which could be swapped (CVE-2025-31133)',
  },
  {
    probe: 'mounts',
    line: /^\+ \/proc\/interrupts tmpfs/,
    reason: 'masked, as Docker Engine does since 28: it tells of other tenants by timing',
  },
  { probe: 'masked paths', line: /\/proc\/interrupts/, reason: 'masked, as Docker Engine does since 28' },
  {
    probe: 'mounts',
    line: /\/sys\/fs\/cgroup/,
    reason: 'only the controllers that hold limits are used and shown, and the folder above them is read-only, too',
  },
  {
    probe: 'read-only paths',
    line: /\/sys\/fs\/cgroup/,
    reason: 'the folder above the controllers is read-only, too',
  },
  {
    probe: 'device access',
    line: /c 10 200/,
    reason: 'the tunnel device is no default any more: runc took it out in 1.2, and this Engine has an older one',
  },
  {
    probe: 'limits of its cgroup',
    line: /devices\.list/,
    reason: 'device rules are a program on the unified group, which this list does not show; see "device access"',
  },
];

interface View {
  readonly lines: ReadonlyMap<string, readonly string[]>;
}

async function look(engine: BenchEngine, options: readonly string[]): Promise<View> {
  const socket = engine.sockets[0] as string;
  const script = Object.entries(PROBES)
    .map(([name, probe]) => `echo "## ${name}"; ${probe}`)
    .join('\n');
  const words = [
    '/bin/busybox',
    'sh',
    '-c',
    `PATH=/bin:$PATH; for a in $(busybox --list); do alias $a="busybox $a"; done; ${script}`,
  ];
  const { stdout } = await client(socket, 'run', '--rm', ...options, BUSYBOX_IMAGE, ...words);
  const lines = new Map<string, string[]>();
  let current: string[] = [];
  for (const line of stdout.split('\n')) {
    if (line.startsWith('## ')) lines.set(line.slice(3), (current = []));
    else current.push(line.trim());
  }
  const id = (await client(socket, 'run', '-d', ...options, BUSYBOX_IMAGE, '/bin/busybox', 'sleep', '60')).stdout;
  try {
    const pid = Number((await client(socket, 'inspect', '-f', '{{.State.Pid}}', id)).stdout);
    lines.set('namespaces of its own', namespaces(pid));
    lines.set('limits of its cgroup', cgroupLimits(pid));
  } finally {
    await client(socket, 'rm', '-f', id);
  }
  return { lines };
}

function namespaces(pid: number): string[] {
  return readdirSync(`/proc/${pid}/ns`)
    .filter((kind) => inode(pid, kind) !== inode(process.pid, kind))
    .toSorted();
}

const inode = (pid: number, kind: string): string => readlinkSync(`/proc/${pid}/ns/${kind}`);

const LIMIT_FILES: Readonly<Record<string, readonly string[]>> = {
  memory: ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes', 'memory.swappiness'],
  cpu: ['cpu.cfs_quota_us', 'cpu.cfs_period_us', 'cpu.shares'],
  pids: ['pids.max'],
  devices: ['devices.list'],
};

function cgroupLimits(pid: number): string[] {
  return readFileSync(`/proc/${pid}/cgroup`, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, controllers = '', path = ''] = line.split(':');
      const files = controllers.split(',').flatMap((name) => LIMIT_FILES[name] ?? []);
      return files.map(
        (file) =>
          `${file}: ${readOr(join('/sys/fs/cgroup', controllers, path, file))
            .split('\n')
            .toSorted()
            .join(' ')}`,
      );
    });
}

function readOr(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '(absent)'; // the machine has the controller without this file
  }
}

function compare(title: string, docker: View, shoal: View): number {
  let unexplained = 0;
  let same = 0;
  for (const [probe, theirs] of docker.lines) {
    const ours = shoal.lines.get(probe) ?? [];
    same += theirs.filter((line) => ours.includes(line)).length;
    const differences = [
      ...theirs.filter((line) => !ours.includes(line)).map((line) => `- ${line}`),
      ...ours.filter((line) => !theirs.includes(line)).map((line) => `+ ${line}`),
    ];
    for (const difference of differences) {
      const reason = REASONS.find((entry) => entry.probe === probe && entry.line.test(difference))?.reason;
      if (reason === undefined) unexplained += 1;
      console.log(`  ${probe}: ${difference}\n      ${reason ?? 'NO REASON'}`);
    }
  }
  console.log(`${title}: ${same} lines are equal, ${unexplained} differ without a reason\n`);
  return unexplained;
}

async function main(): Promise<void> {
  await using docker = await startDocker(1);
  await using shoal = await startShoal(1);
  for (const engine of [docker, shoal]) await importBusybox(engine);
  console.log(`Docker Engine ${await docker.version()} (-) and Shoal ${await shoal.version()} (+)\n`);
  let unexplained = 0;
  for (const [title, options] of Object.entries(OPTIONS)) {
    unexplained += compare(title, await look(docker, options), await look(shoal, options));
  }
  process.exitCode = unexplained === 0 ? 0 : 1;
}

await main();
