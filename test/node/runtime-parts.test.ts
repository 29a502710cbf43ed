// What belongs to containers, for real: exec, health, limits, volumes, networks, and that nothing stays behind.
import { strict as assert } from 'node:assert';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerMount } from '../../runtime/container/contract.ts';
import { LIMITS } from '../container/support.ts';
import { requireRoot } from '../support/requirements.ts';
import { eventually, RuntimeLab } from '../support/runtime-lab.ts';

const mount = (
  type: ContainerMount['type'],
  source: string,
  target: string,
  change: Partial<ContainerMount> = {},
): ContainerMount => ({
  type,
  source,
  target,
  readOnly: false,
  propagation: '',
  tmpfsOptions: '',
  noCopy: false,
  createSource: false,
  ...change,
});

describe('a running container', () => {
  let lab: RuntimeLab;
  let opened = false;
  before(async function () {
    requireRoot(this);
    lab = await RuntimeLab.open();
    opened = true;
  });
  after(async () => {
    if (opened) await lab[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    if (opened) await lab.removeAll();
  });

  it('runs further commands, with their own exit codes', async () => {
    const id = await lab.sleeper({ env: ['A=1'], user: 'user' });
    const seen = await lab.exec(id, ['sh', '-c', 'echo $A $B; id -u; exit 5'], { env: ['B=2'] });
    assert.deepEqual(seen, { output: '1 2\n1000\n', exitCode: 5 });
    assert.equal((await lab.exec(id, ['id', '-u'], { user: '0' })).output, '0\n');
    const missing = await lab.exec(id, ['nope']);
    assert.equal(missing.exitCode, 127);
    assert.match(missing.output, /^OCI runtime exec failed: .*executable file not found/);
    assert.equal((await lab.exec(id, ['sh', '-c', 'kill -9 $$'])).exitCode, 137);
    const big = await lab.exec(id, ['sh', '-c', 'head -c 400000 /dev/zero | tr "\\0" x']);
    assert.equal(big.output.length, 400_000);
  });

  it('is healthy while its probe passes, and unhealthy after', async () => {
    const healthCheck = {
      test: ['CMD-SHELL', 'test -f /tmp/ok || { echo no; exit 1; }'],
      intervalMs: 60,
      timeoutMs: 2000,
      startPeriodMs: 0,
      startIntervalMs: 0,
      retries: 2,
    };
    const id = await lab.create({ command: ['sh', '-c', 'touch /tmp/ok; sleep 1000'], init: true, healthCheck });
    await lab.runtime.containers.start(id);
    const status = () => lab.runtime.containers.get(id).health?.status;
    assert.equal(status(), 'starting');
    await eventually(() => status() === 'healthy');
    await lab.exec(id, ['rm', '/tmp/ok']);
    await eventually(() => status() === 'unhealthy');
    assert.equal(lab.runtime.containers.get(id).health?.log.at(-1)?.output, 'no\n');
    const changes = lab.actions(id).filter((action) => action.startsWith('health_status'));
    assert.deepEqual(changes, ['health_status: healthy', 'health_status: unhealthy']);
  });

  it('is unhealthy when its probe hangs', async () => {
    const healthCheck = {
      test: ['CMD', 'sleep', '100'],
      intervalMs: 30,
      timeoutMs: 100,
      startPeriodMs: 0,
      startIntervalMs: 0,
      retries: 1,
    };
    const id = await lab.sleeper({ healthCheck });
    await eventually(() => lab.runtime.containers.get(id).health?.status === 'unhealthy');
    await eventually(async () => !(await lab.runtime.containers.top(id, '')).processes.flat().includes('sleep 100'));
  });

  it('has its limits in the cgroup files, and new ones after an update', async () => {
    const id = await lab.sleeper({
      limits: { ...LIMITS, memoryBytes: 32 << 20, nanoCpus: 5e8, pids: 50, cpuShares: 512, cpusetCpus: '0' },
    });
    const read = (name: string): string => {
      const path = lab
        .cgroups()
        .map((folder) => join(folder, name))
        .find((file) => exists(file));
      return path === undefined ? '' : readFileSync(path, 'utf8').trim();
    };
    const value = (v1: string, v2: string): string => read(v1) || read(v2);
    assert.equal(value('memory.limit_in_bytes', 'memory.max'), String(32 << 20));
    assert.equal(read('pids.max'), '50');
    assert.equal(read('cpu.cfs_quota_us') || read('cpu.max').split(' ')[0], '50000');
    assert.equal(read('cpuset.cpus'), '0');
    await lab.runtime.containers.update(id, {
      limits: { memoryBytes: 64 << 20, memorySwapBytes: 128 << 20, pids: 70 },
    });
    assert.equal(value('memory.limit_in_bytes', 'memory.max'), String(64 << 20));
    assert.equal(read('pids.max'), '70');
    const stats = await lab.runtime.containers.stats(id);
    assert.equal(stats.memoryLimitBytes, 64 << 20);
    assert.equal(stats.pidsLimit, 70);
    assert.ok(stats.memoryUsageBytes > 0 && stats.cpuTotalNs > 0 && stats.pids >= 2);
    assert.ok(stats.network);
  });

  it('that takes more memory than it may is killed, and says so', async () => {
    const { id, exitCode } = await lab.sh('head -c 200m /dev/zero | tail', {
      limits: { ...LIMITS, memoryBytes: 16 << 20, memorySwapBytes: 16 << 20 },
    });
    assert.notEqual(exitCode, 0);
    assert.equal(lab.runtime.containers.get(id).oomKilled, true);
    assert.ok(lab.actions(id).includes('oom'));
  });

  it('can not fork beyond its bound', async () => {
    const { output } = await lab.sh('for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1 & done 2>&1; wait', {
      limits: { ...LIMITS, pids: 4 },
    });
    assert.match(output, /can't fork/);
  });

  it('fills a new volume from the image, keeps it, and shares it', async () => {
    const first = await lab.sh('cat /data/from-image; echo more > /data/mine', {
      mounts: [mount('volume', 'vol1', '/data')],
    });
    assert.equal(first.output, 'image');
    const second = await lab.sh('cat /x/mine; touch /x/y 2>&1', {
      mounts: [mount('volume', 'vol1', '/x', { readOnly: true })],
    });
    assert.match(second.output, /^more\ntouch: \/x\/y: Read-only file system/);
    await lab.removeAll();
    await lab.runtime.volumes.remove('vol1', { force: false });
  });

  it('mounts folders and files of the machine', async () => {
    const folder = join(lab.root, 'bind');
    mkdirSync(folder);
    writeFileSync(join(folder, 'f'), 'host');
    const { output } = await lab.sh('cat /b/f /one; echo x > /b/new; touch /ro/x 2>&1', {
      mounts: [
        mount('bind', folder, '/b'),
        mount('bind', folder, '/ro', { readOnly: true }),
        mount('bind', join(folder, 'f'), '/one'),
      ],
    });
    assert.match(output, /^hosthosttouch: \/ro\/x: Read-only file system/);
    assert.equal(readFileSync(join(folder, 'new'), 'utf8'), 'x\n');
  });

  it('reaches its gateway and its neighbour, publishes a port, and shares its network', async () => {
    const publish = [{ protocol: 'tcp', containerPort: 80, hostAddress: '', hostPort: 18_080 }] as const;
    const server = await lab.create({
      command: ['sh', '-c', 'while :; do echo hello | nc -l -p 80; done'],
      publish,
      init: true,
    });
    await lab.runtime.containers.start(server);
    const { endpoint } = lab.runtime.containers.get(server);
    const client = await lab.sh(
      `ping -c1 -W2 ${endpoint?.gateway} >/dev/null && echo up; nc -w2 ${endpoint?.address} 80 </dev/null`,
    );
    assert.match(client.output, /^up\nhello\n/);
    const shared = await lab.sh('nc -w2 127.0.0.1 80 </dev/null; hostname', { network: `container:${server}` });
    assert.equal(shared.output, `hello\n${server.slice(0, 12)}\n`);
    assert.match(await lab.machine.run('busybox', 'nc', '-w', '2', lab.machine.address, '18080'), /hello/);
    const second = await lab.create({ command: ['true'], publish });
    await assert.rejects(lab.runtime.containers.start(second), /port is already allocated/);
  });

  it('without a network has a loopback only', async () => {
    const { output } = await lab.sh('ls /sys/class/net; ip -o addr show lo | grep -c 127.0.0.1', { network: 'none' });
    assert.equal(output, 'lo\n1\n');
  });

  it('shares process ids and shows them', async () => {
    const id = await lab.sleeper();
    const { output } = await lab.sh('ps | grep -c "[s]leep 1000"', { pidMode: `container:${id}` });
    assert.match(output, /^[12]\n/);
    const { titles, processes } = await lab.runtime.containers.top(id, '');
    assert.equal(titles.at(-1), 'CMD');
    assert.ok(processes.some((row) => row.at(-1) === 'sleep 1000'));
  });

  it('leaves nothing, a hundred times', async () => {
    const ids = new Set<string>();
    const worker = async (): Promise<void> => {
      for (let round = 0; round < 25; round += 1) ids.add((await lab.run(['true'], { autoRemove: true })).id);
    };
    await Promise.all([worker(), worker(), worker(), worker()]);
    assert.equal(ids.size, 100);
    assert.deepEqual(lab.runtime.containers.list(), []);
    await eventually(() => lab.cgroups().length === 0); // the last ones are cleared after they were reported as gone
  });
});

function exists(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
}
