import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError } from '../../base/errors.ts';
import { type Log, silentLog } from '../../base/log.ts';
import type { MachineNetworks } from '../../runtime/network/networks.ts';
import type { NetworksOptions } from '../../runtime/network/networks-options.ts';
import { joinContainer, type LabMachine, NetworkLab, publish } from '../support/network-lab.ts';
import { requireRoot } from '../support/requirements.ts';
import { until } from '../support/until.ts';

/** What a machine's namespace holds that a daemon could leave behind. */
async function traces(machine: LabMachine): Promise<Record<string, string>> {
  const links = JSON.parse(await machine.run('ip', '-j', 'link')) as { ifname: string }[];
  return {
    links: links.map((link) => link.ifname).join(' '),
    routes: routesOf(await machine.run('ip', 'route', 'show', 'table', 'all')),
    rules: await machine.run('nft', 'list', 'ruleset'),
    forward: await machine.run('cat', '/proc/sys/net/ipv4/ip_forward'),
    loopback: await machine.run('cat', '/proc/sys/net/ipv4/conf/all/route_localnet'),
    sockets: await machine.run('ss', '-lntuH'),
  };
}

/** Without what changes by itself: links without a carrier, and link-local addresses, which wait for a second opinion. */
const routesOf = (text: string): string =>
  text
    .replaceAll(' linkdown', '')
    .split('\n')
    .filter((line) => !line.includes('fe80:'))
    .join('\n');

/** Also those that have ended and that nobody has waited for. */
async function childPids(name: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    if (stat.includes(`(${name})`) && stat.split(') ')[1]?.split(' ')[1] === String(process.pid))
      found.push(Number(pid));
  }
  return found;
}

const netdPids = (): Promise<number[]> => childPids('shoal-netd');

describe('the life of a machine and its networks', function () {
  this.timeout(60_000);
  before(function () {
    requireRoot(this);
  });

  it('leaves the machine as it was when the node is deleted', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    await machine.run('nft', 'add', 'table', 'inet', 'foreign');
    const before = await traces(machine);
    const networks = await machine.networks();
    await networks.create({
      name: 'own',
      driver: 'bridge',
      labels: {},
      options: {},
      internal: false,
      attachable: false,
    });
    for (let count = 0; count < 5; count++) await joinContainer(networks, { publish: [publish(0, 80)] });
    await joinContainer(networks, { network: 'own' });
    await joinContainer(networks, { network: 'none' });
    await networks.applyIngress(1, [
      { protocol: 'tcp', publishedPort: 8080, local: [], remote: [{ address: '192.0.2.9', port: 8080 }] },
    ]);
    assert.notDeepEqual(await traces(machine), before);
    await networks.destroy();
    assert.deepEqual(await traces(machine), before);
    assert.ok(!existsSync(join(lab.execRoot(machine), 'netns')));
    assert.ok(!(await readFile('/proc/mounts', 'utf8')).includes(lab.execRoot(machine)));
  });

  it('gives everything back when containers leave, but for the bridge', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const networks = await machine.networks({ poolSize: 0 });
    await networks.adopt([]);
    const before = await traces(machine);
    const endpoints = await Promise.all(
      Array.from({ length: 20 }, () => joinContainer(networks, { publish: [publish(0, 80)] })),
    );
    await Promise.all(endpoints.map((endpoint) => networks.leave(endpoint)));
    await Promise.all(endpoints.map((endpoint) => networks.leave(endpoint)));
    await until('links gone', async () => (await traces(machine))['links'] === before['links']);
    assert.deepEqual(await traces(machine), before);
    assert.deepEqual(await readdir(join(lab.execRoot(machine), 'netns')), []);
  });

  it('takes up containers, ports and services after the daemon was away', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const first = await machine.networks();
    await first.create({ name: 'own', driver: 'bridge', labels: {}, options: {}, internal: false, attachable: false });
    const web = await joinContainer(first, { publish: [publish(8080, 80)] });
    const task = await joinContainer(first, { network: 'own' });
    const stopped = await joinContainer(first);
    await lab.serve(web.sandboxPath, 80, 'web');
    await lab.serve(task.sandboxPath, 80, 'task');
    const ingress = [
      { protocol: 'tcp', publishedPort: 9090, local: [{ taskId: 't', address: task.address, port: 80 }], remote: [] },
    ] as const;
    await first.applyIngress(7, ingress);
    const ask = async (): Promise<string[]> => [
      await lab.ask(outside.namespace, machine.address, 8080),
      await lab.ask(outside.namespace, machine.address, 9090),
    ];
    const answers = [`web ${outside.address}`, `task ${outside.address}`];
    assert.deepEqual(await ask(), answers);
    const networkIds = first.list().map((network) => network.id);
    await first.shutdown({ keep: true });
    assert.deepEqual(await ask(), answers);

    const second = await machine.networks();
    assert.deepEqual(await ask(), answers);
    assert.deepEqual(
      second.list().map((network) => network.id),
      networkIds,
    );
    await second.adopt([web, task]);
    assert.deepEqual(await ask(), answers);
    assert.ok(!existsSync(stopped.sandboxPath));
    await assert.rejects(joinContainer(second, { publish: [publish(8080, 80)] }), /already allocated/);
    assert.notEqual((await joinContainer(second)).address, web.address);
    assert.deepEqual((await second.audit()).repairs, []);
    // The manager's next word counts, whatever its index: it may be another swarm.
    await second.applyIngress(1, []);
    assert.equal((await ask())[1], 'ECONNREFUSED');
    await second.leave(web);
    assert.equal((await ask())[0], 'ECONNREFUSED');
  });

  it('keeps the default network through restarts, and moves it when the options say so', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const first = await machine.networks();
    const { id, subnet } = first.get('bridge');
    await first.shutdown({ keep: true });
    const second = await machine.networks({ bridge: {} });
    assert.deepEqual([second.get('bridge').id, second.get('bridge').subnet], [id, subnet]);
    await second.shutdown({ keep: true });
    const third = await machine.networks({ bridge: { name: 'mybridge', subnet: '10.99.0.0/24' } });
    assert.deepEqual([third.get('bridge').id, third.get('bridge').subnet], [id, '10.99.0.0/24']);
    const links = (await traces(machine))['links']?.split(' ');
    assert.deepEqual(
      links?.filter((name) => !name.startsWith('sv')),
      ['lo', 'uplink', 'mybridge'],
    );
    assert.equal((await joinContainer(third)).address, '10.99.0.2');
  });

  it('leaves no helper behind when it can not start', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const attempts: Partial<NetworksOptions>[] = [
      { netd: { command: '/absent/netd', args: [] } },
      { netd: { command: '/bin/true', args: [] } },
      { bridge: { name: 'uplink' } },
      { bridge: { subnet: '10.0.0.1/8' } },
      { execRoot: join(lab.execRoot(machine), 'long'.repeat(50)) },
    ];
    for (const options of attempts) {
      await assert.rejects(machine.networks(options), CodedError, JSON.stringify(options));
      await until('no netd', async () => (await netdPids()).length === 0);
    }
    await machine.networks();
  });

  it('leaves nothing of the resolvers’ helper behind, not even a zombie', async () => {
    const before = await childPids('shoal-names');
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    for (let daemon = 0; daemon < 3; daemon++) {
      const networks = await machine.networks();
      const known = networks.list().some(({ name }) => name === 'own');
      if (!known) {
        const plain = { driver: 'bridge', labels: {}, options: {}, internal: false, attachable: false };
        await networks.create({ name: 'own', ...plain });
      }
      await joinContainer(networks, { network: 'own' });
      assert.equal((await childPids('shoal-names')).length, before.length + 1);
      await networks.shutdown({ keep: true });
      assert.deepEqual(await childPids('shoal-names'), before);
    }
  });

  it('goes on when netd is killed, and holds the ports again', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const web = await joinContainer(networks, { publish: [publish(8080, 80)] });
    await lab.serve(web.sandboxPath, 80, 'web');
    const [pid] = await netdPids();
    assert.ok(pid);
    process.kill(pid, 'SIGKILL');
    assert.equal(await lab.ask(outside.namespace, machine.address, 8080), `web ${outside.address}`);
    await until('a new netd', async () => (await netdPids()).some((other) => other !== pid));
    await until('join again', () =>
      joinContainer(networks).then(
        () => true,
        () => false,
      ),
    );
    await until('ports held again', async () => (await networks.audit()).failures.length === 0);
    const bind = `const s = require('net').createServer(); s.on('error', (e) => console.log(e.code)); s.listen(8080, '0.0.0.0', () => { console.log('bound'); s.close(); })`;
    await until('the port held', async () => (await machine.run(process.execPath, '-e', bind)).trim() === 'EADDRINUSE');
    await networks.leave(web);
    assert.equal(await lab.ask(outside.namespace, machine.address, 8080), 'ECONNREFUSED');
  });

  it('puts right what somebody else broke, and says what it was', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const warnings: string[] = [];
    const warn: Log['warn'] = (_, fields) => void warnings.push(...((fields?.['repairs'] ?? []) as string[]));
    const networks = await machine.networks({ log: { ...silentLog, warn } });
    const web = await joinContainer(networks, { publish: [publish(8080, 80)] });
    await lab.serve(web.sandboxPath, 80, 'web');
    assert.deepEqual(await networks.audit(), { repairs: [], failures: [] });
    const first = await networks.report();
    assert.deepEqual([first.differences, first.repaired], [[], {}]);
    const bridge = networks.get('bridge').options['com.docker.network.bridge.name'] ?? '';
    const breakages: [command: string[], expected: RegExp][] = [
      [['ip', 'link', 'set', bridge, 'down'], /^bridge .* was down$/],
      [['ip', 'address', 'flush', 'dev', bridge], /had lost its address 172\.17\.0\.1$/],
      [['ip', 'link', 'set', web.hostInterfaceName, 'nomaster'], /was off its bridge$/],
      [['ip', 'link', 'delete', web.hostInterfaceName], /^link .* was gone$/],
      [['ip', 'link', 'delete', bridge], /^bridge .* was gone$/],
    ];
    for (const [[command = '', ...args], expected] of breakages) {
      warnings.length = 0;
      await machine.run(command, ...args);
      // The kernel tells us: nobody waits for the next round of the audit.
      await until(args.join(' '), () => warnings.some((line) => expected.test(line)), { withinMs: 1_000 });
      await until('all is as it should be', async () => (await networks.report()).differences.length === 0);
      assert.equal(await lab.ask(outside.namespace, machine.address, 8080), `web ${outside.address}`, args.join(' '));
    }
    const { repaired } = await networks.report();
    assert.ok((repaired['bridge'] ?? 0) >= 3 && (repaired['link'] ?? 0) >= 2, JSON.stringify(repaired));
  });

  it('has its packet rules back at once when somebody flushes all of them', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const web = await joinContainer(networks, { publish: [publish(8080, 80)] });
    await networks.applyIngress(1, [
      { protocol: 'tcp', publishedPort: 9090, local: [{ taskId: 't', address: web.address, port: 80 }], remote: [] },
    ]);
    await lab.serve(web.sandboxPath, 80, 'web');
    const whole = await machine.run('nft', 'list', 'ruleset');
    const table = /table inet (shoal_\w+)/.exec(whole)?.[1] ?? '';
    for (const command of [
      ['flush', 'ruleset'],
      ['flush', 'chain', 'inet', table, 'forward'],
      ['delete', 'element', 'inet', table, 'published', '{ tcp . 8080 }'],
      ['flush', 'chain', 'inet', table, 'ingress_tcp_9090'],
    ]) {
      await machine.run('nft', ...command);
      await until(command.join(' '), async () => (await machine.run('nft', 'list', 'ruleset')) === whole);
    }
    assert.match(await lab.ask(outside.namespace, machine.address, 8080), /^web /);
    assert.match(await lab.ask(outside.namespace, machine.address, 9090), /^web /);
  });

  it('shares a namespace with another daemon without touching it', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const root = lab.execRoot(machine);
    const both: MachineNetworks[] = [
      await machine.networks(),
      await machine.networks({ dataRoot: join(root, '..', 'data2'), execRoot: join(root, '..', 'run2') }),
    ];
    const [first, second] = both;
    assert.ok(first && second);
    assert.equal(second.get('bridge').subnet, '172.18.0.0/16');
    const a = await joinContainer(first, { publish: [publish(8080, 80)] });
    const b = await joinContainer(second, { publish: [publish(9090, 80)] });
    await assert.rejects(joinContainer(second, { publish: [publish(8080, 80)] }), /address already in use/);
    await lab.serve(a.sandboxPath, 80, 'a');
    await lab.serve(b.sandboxPath, 80, 'b');
    assert.match(await lab.ask(outside.namespace, machine.address, 8080), /^a /);
    assert.match(await lab.ask(outside.namespace, machine.address, 9090), /^b /);
    assert.equal(await lab.ask(a.sandboxPath, b.address, 80), 'TIMEOUT');
    assert.match(await lab.ask(a.sandboxPath, machine.address, 9090), /^b /);
    await first.destroy();
    assert.match(await lab.ask(outside.namespace, machine.address, 9090), /^b /);
    assert.equal((await machine.run('cat', '/proc/sys/net/ipv4/ip_forward')).trim(), '1');
    assert.deepEqual((await second.audit()).repairs, []);
  });
});
