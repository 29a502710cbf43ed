// IPv6 in containers: as IPv4, beside it.
import assert from 'node:assert/strict';
import type { Endpoint } from '../../runtime/network/contract.ts';
import type { MachineNetworks } from '../../runtime/network/networks.ts';
import { joinContainer, type LabMachine, NetworkLab, publish } from '../support/network-lab.ts';
import { requireRoot } from '../support/requirements.ts';
import { until } from '../support/until.ts';

const SIX = '::';

async function create(networks: MachineNetworks, name: string, subnet6: string, more: object = {}): Promise<void> {
  const common = { labels: {}, options: {}, internal: false, attachable: false };
  await networks.create({ name, driver: 'bridge', ...common, ipv6: true, pools: [{ subnet: subnet6 }], ...more });
}

const six = ({ address6 = '' }: Endpoint): string => address6;

/** One datagram to ::1 from a socket that takes answers from nobody else. */
const askLoopback = (port: number): string =>
  `const s = require('dgram').createSocket('udp6'); const out = (t) => { console.log(t); process.exit() };
   s.on('message', (m, r) => out(m + ' from ' + r.address)); s.on('error', (e) => out(e.code));
   setTimeout(() => out('TIMEOUT'), 1500); s.connect(${port}, '::1', () => s.send('hello'))`;

describe('IPv6 in containers', function () {
  this.timeout(60_000);
  before(function () {
    requireRoot(this);
  });

  it('reaches neighbours and the outside at once, under the machine’s address', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    await create(networks, 'red', 'fd00:1::/64');
    const [a, b] = [
      await joinContainer(networks, { network: 'red' }),
      await joinContainer(networks, { network: 'red' }),
    ];
    assert.deepEqual([a.address6, a.prefixLength6, a.gateway6], ['fd00:1::2', 64, 'fd00:1::1']);
    assert.deepEqual([six(b), b.macAddress], ['fd00:1::3', `02:42:${hexOf(b.address)}`]);
    const inside = await machine.run('nsenter', `--net=${a.sandboxPath}`, 'ip', '-6', 'address', 'show', 'dev', 'eth0');
    assert.doesNotMatch(inside, /tentative|dynamic/);
    await lab.serve(b.sandboxPath, 80, 'b', SIX);
    await lab.serve(outside.namespace, 80, 'outside', SIX);
    assert.equal(await lab.ask(a.sandboxPath, six(b), 80), `b ${six(a)}`);
    assert.equal(await lab.ask(a.sandboxPath, outside.address6, 80), `outside ${machine.address6}`);
    assert.equal(await lab.ask(machine.namespace, six(b), 80), 'b fd00:1::1');
  });

  it('publishes ports on the machine’s IPv6 addresses: the client keeps its own, also the neighbour and itself', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    await create(networks, 'red', 'fd00:1::/64');
    await create(networks, 'blue', 'fd00:2::/64');
    const web = await joinContainer(networks, { network: 'red', publish: [publish(8080, 80)] });
    const [near, far] = [
      await joinContainer(networks, { network: 'red' }),
      await joinContainer(networks, { network: 'blue' }),
    ];
    await lab.serve(web.sandboxPath, 80, 'web', SIX);
    assert.equal(await lab.ask(outside.namespace, machine.address6, 8080), `web ${outside.address6}`);
    assert.match(await lab.ask(outside.namespace, machine.address, 8080), /^web /);
    for (const from of [web, near, far]) {
      assert.match(await lab.ask(from.sandboxPath, machine.address6, 8080), /^web fd00:1::1$/);
    }
    assert.match(await lab.ask(machine.namespace, machine.address6, 8080), /^web /);
  });

  it('moby#53091, #24379, #28492: a published port answers on ::1 and on the node’s address, by TCP and UDP', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const networks = await machine.networks();
    await create(networks, 'aside', 'fd00:7::/64'); // whose address the machine takes for its own clients
    await create(networks, 'red', 'fd00:1::/64');
    const ports = [
      publish(8080, 80),
      publish(5300, 53, { protocol: 'udp' }),
      publish(9090, 80, { hostAddress: '::1' }),
    ];
    const web = await joinContainer(networks, { network: 'red', publish: ports });
    await lab.script(
      web.sandboxPath,
      `require('net').createServer((c) => c.on('error', () => {}).end('x'.repeat(3_000_000))).listen(80, '::', () => {
         const s = require('dgram').createSocket('udp6'); s.on('message', (m, r) => s.send('dns', r.port, r.address));
         s.bind(53, () => console.log('ready')); })`,
    );
    const length = await lab.evaluate(
      machine.namespace,
      `let n = 0; require('net').connect(8080, '::1').on('data', (d) => { n += d.length; }).on('close', () => console.log(n)).on('error', (e) => console.log(e.code)).setTimeout(3000, () => process.exit())`,
    );
    assert.equal(length, '3000000');
    assert.equal(await lab.evaluate(machine.namespace, askLoopback(5300)), 'dns from ::1');
    assert.match(await lab.ask(machine.namespace, '::1', 9090), /^xxx/);
    assert.equal(await lab.ask(machine.namespace, machine.address6, 9090), 'ECONNREFUSED');
    await lab.serve(machine.namespace, 7070, 'own', '::1');
    assert.equal(await lab.ask(machine.namespace, '::1', 7070), 'own ::1');
    await networks.leave(web);
    assert.equal(await lab.ask(machine.namespace, '::1', 8080), 'ECONNREFUSED');
  });

  it('binds to the one address that was asked for, and refuses one of a family that the container has not', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    await create(networks, 'red', 'fd00:1::/64');
    const all = [publish(8080, 80, { hostAddress: '::' }), publish(8081, 80, { hostAddress: '0.0.0.0' })];
    const web = await joinContainer(networks, { network: 'red', publish: all });
    await lab.serve(web.sandboxPath, 80, 'web', SIX);
    assert.match(await lab.ask(outside.namespace, machine.address6, 8080), /^web /);
    assert.equal(await lab.ask(outside.namespace, machine.address, 8080), 'ECONNREFUSED');
    assert.match(await lab.ask(outside.namespace, machine.address, 8081), /^web /);
    assert.equal(await lab.ask(outside.namespace, machine.address6, 8081), 'ECONNREFUSED');
    await assert.rejects(joinContainer(networks, { publish: [publish(1, 80, { hostAddress: '::' })] }), {
      code: 'invalid',
      message: /published on ::: the container has no IPv6 address/,
    });
    const again = { network: 'red', publish: [publish(8080, 80, { hostAddress: '::1' })] };
    await assert.rejects(joinContainer(networks, again), {
      message: /Bind for \[::1\]:8080 failed: port is already allocated/,
    });
    await lab.serve(machine.namespace, 6060, 'own', SIX);
    await assert.rejects(joinContainer(networks, { network: 'red', publish: [publish(6060, 80)] }), {
      message: /failed to bind host port 0\.0\.0\.0:6060\/tcp: address already in use/,
    });
    const chosen = await joinContainer(networks, { network: 'red', publish: [publish(0, 80)] });
    await lab.serve(chosen.sandboxPath, 80, 'chosen', SIX);
    const port = chosen.published[0]?.hostPort ?? 0;
    assert.match(await lab.ask(outside.namespace, machine.address6, port), /^chosen /);
    assert.match(await lab.ask(outside.namespace, machine.address, port), /^chosen /);
  });

  it('answers clients whose address is their link’s only, and leaves alone what else they ask', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    await create(networks, 'red', 'fd00:1::/64');
    const web = await joinContainer(networks, {
      network: 'red',
      publish: [
        publish(8080, 80),
        publish(5353, 53, { protocol: 'udp' }),
        publish(8081, 80, { hostAddress: machine.address6 }),
      ],
    });
    await lab.serve(web.sandboxPath, 80, 'web', SIX);
    await lab.serveDatagrams(web.sandboxPath, 53, 'dns', 'udp6');
    await lab.serve(machine.namespace, 9090, 'machine', SIX);
    const linkLocal = async (from: LabMachine): Promise<string> => {
      const shown = () => from.run('ip', '-6', '-o', 'address', 'show', 'dev', 'uplink', 'scope', 'link');
      await until(
        'its own address',
        async () => (await shown()).includes('fe80') && !(await shown()).includes('tentative'),
      );
      return /fe80::[0-9a-f:]+/.exec(await shown())?.[0] ?? '';
    };
    const [there, own] = [await linkLocal(machine), await linkLocal(outside)];
    const asked = `${there}%uplink`;
    // Nothing but such an address: it can not choose another one for the machine's address either.
    await outside.run('ip', '-6', 'address', 'del', `${outside.address6}/64`, 'dev', 'uplink');
    await outside.run('ip', '-6', 'route', 'add', `${machine.address6}/128`, 'dev', 'uplink');
    assert.equal((await networks.audit()).failures.length, 0); // addresses may have come late
    const isAnswered = async (): Promise<void> => {
      assert.equal(await lab.ask(outside.namespace, asked, 8080), 'web fd00:1::1');
      assert.equal(await lab.ask(outside.namespace, machine.address6, 8080), 'web fd00:1::1');
      assert.equal(await lab.ask(outside.namespace, machine.address6, 8081), 'web fd00:1::1');
      assert.equal(await lab.askDatagram(outside.namespace, asked, 5353, 4001), 'dns fd00:1::1');
      assert.match(await lab.ask(outside.namespace, asked, 9090), new RegExp(`^machine ${own}`));
    };
    await isAnswered();
    assert.deepEqual((await networks.report()).differences, []);
    await machine.run(
      'sh',
      '-c',
      'ip -6 route show | grep ^7e80 | while read -r to rest; do ip -6 route del "$to"; done',
    );
    const lost = 'the route to IPv6 clients on the link uplink itself was gone';
    assert.ok((await networks.report()).differences.some(({ sentence }) => sentence === lost));
    assert.ok((await networks.audit()).repairs.includes(lost));
    await isAnswered();
    await networks.destroy();
    assert.doesNotMatch(await machine.run('ip', '-6', 'route', 'show', 'table', 'all'), /7e80/);
  });

  it('keeps networks apart as IPv4 does: other networks, outsiders with a route, internal ones', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    await create(networks, 'red', 'fd00:1::/64');
    await create(networks, 'blue', 'fd00:2::/64');
    await create(networks, 'inner', 'fd00:3::/64', { internal: true });
    const join = (network: string): Promise<Endpoint> => joinContainer(networks, { network });
    const [red, blue, inner, inner2] = [
      await join('red'),
      await join('blue'),
      await join('inner'),
      await join('inner'),
    ];
    for (const endpoint of [red, inner2]) await lab.serve(endpoint.sandboxPath, 80, endpoint.networkName, SIX);
    await lab.serve(outside.namespace, 80, 'outside', SIX);
    assert.equal(await lab.ask(blue.sandboxPath, six(red), 80), 'TIMEOUT');
    await outside.run('ip', 'route', 'add', 'fd00:1::/64', 'via', machine.address6);
    assert.equal(await lab.ask(outside.namespace, six(red), 80), 'TIMEOUT');
    assert.equal(await lab.ask(inner.sandboxPath, outside.address6, 80), 'ENETUNREACH');
    assert.equal(await lab.ask(inner.sandboxPath, six(red), 80), 'ENETUNREACH');
    assert.match(await lab.ask(inner.sandboxPath, six(inner2), 80), /^inner /);
    assert.equal(inner.gateway6, '');
    // Without IPv6 a container has none, not even a link-local address.
    const plain = await join('bridge');
    const shown = await machine.run(
      'nsenter',
      `--net=${plain.sandboxPath}`,
      'ip',
      '-6',
      'address',
      'show',
      'dev',
      'eth0',
    );
    assert.equal(shown, '');
  });

  it('answers AAAA and backwards, and moves the default route with the networks', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    await create(networks, 'red', 'fd00:1::/64');
    await create(networks, 'blue', 'fd00:2::/64');
    const db = await joinContainer(networks, { network: 'red', containerName: 'db' });
    const web = await joinContainer(networks, { network: 'red', containerName: 'web' });
    assert.equal(await lab.resolve(web.sandboxPath, 'db', 'AAAA'), JSON.stringify([six(db)]));
    const backwards = `${'2.0.0.0'}${'.0'.repeat(20)}.1.0.0.0.0.0.d.f.ip6.arpa`;
    assert.equal(await lab.resolve(web.sandboxPath, backwards, 'PTR'), JSON.stringify(['db.red']));
    await lab.serve(outside.namespace, 80, 'outside', SIX);
    const shared = { containerName: 'web', sandboxPath: web.sandboxPath };
    const second = await joinContainer(networks, { ...shared, network: 'blue' });
    const route = (): Promise<string> =>
      machine.run('nsenter', `--net=${web.sandboxPath}`, 'ip', '-6', 'route', 'show', 'default');
    assert.match(await route(), /via fd00:2::1 dev eth1/); // the first by name
    await networks.leave(second, { keepSandbox: true });
    assert.match(await route(), /via fd00:1::1 dev eth0/);
    assert.match(await lab.ask(web.sandboxPath, outside.address6, 80), /^outside /);
  });

  it('gives addresses as asked, refuses what is taken, and says when a network is full', async () => {
    await using lab = await NetworkLab.open();
    const networks = await (await lab.machine()).networks();
    await create(networks, 'red', 'fd00:1::/64');
    await assert.rejects(create(networks, 'other', 'fd00:1:0:0:8::/80'), {
      message: /fd00:1:0:0:8::\/80 overlaps with fd00:1::\/64 of network red/,
    });
    await assert.rejects(create(networks, 'other', 'fd00:9::1/64'), { message: /the network address is fd00:9::\/64/ });
    await assert.rejects(
      create(networks, 'slim', 'fd00:9::/64', { options: { 'com.docker.network.driver.mtu': '1000' } }),
      { message: /needs an MTU of 1280/ },
    );
    const first = await joinContainer(networks, { network: 'red', address6: 'fd00:1::99' });
    assert.equal(six(first), 'fd00:1::99');
    await assert.rejects(joinContainer(networks, { network: 'red', address6: 'fd00:1::99' }), { code: 'conflict' });
    await assert.rejects(joinContainer(networks, { network: 'red', address6: 'fd00:2::9' }), {
      message: /network red has fd00:1::\/64/,
    });
    await assert.rejects(joinContainer(networks, { network: 'bridge', address6: 'fd00:1::7' }), { code: 'invalid' });
    await create(networks, 'tiny', 'fd00:4::/126');
    const only = [
      await joinContainer(networks, { network: 'tiny' }),
      await joinContainer(networks, { network: 'tiny' }),
    ];
    assert.deepEqual(only.map(six), ['fd00:4::2', 'fd00:4::3']);
    await assert.rejects(joinContainer(networks, { network: 'tiny' }), {
      code: 'exhausted',
      message: /no available IPv6 .*network tiny \(fd00:4::\/126\) is full/,
    });
    const chosen = await networks.create({
      name: 'auto',
      driver: 'bridge',
      labels: {},
      options: {},
      internal: false,
      attachable: false,
      ipv6: true,
    });
    assert.match(chosen.pools?.[1]?.subnet ?? '', /^fd[0-9a-f]{2}:[0-9a-f:]+\/64$/);
    assert.equal(chosen.ipv6, true);
  });

  it('is found again by the next daemon, audited and repaired', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    let networks = await machine.networks();
    await create(networks, 'red', 'fd00:1::/64');
    const web = await joinContainer(networks, { network: 'red', publish: [publish(8080, 80)] });
    await lab.serve(web.sandboxPath, 80, 'web', SIX);
    await networks.shutdown({ keep: true });
    networks = await machine.networks();
    await networks.adopt([web]);
    assert.deepEqual((await networks.report()).differences, []);
    const ask = (): Promise<string> => lab.ask(outside.namespace, machine.address6, 8080);
    assert.match(await ask(), /^web /);
    assert.equal(six(await joinContainer(networks, { network: 'red' })), 'fd00:1::3');
    await assert.rejects(
      joinContainer(networks, { network: 'red', publish: [publish(8080, 80, { hostAddress: '::1' })] }),
      { code: 'conflict' },
    );
    await damage(machine, networks);
    assert.match(await ask(), /^web /);
    assert.equal((await networks.report()).repaired['bridge'], 1);
  });

  it('ends connections by IPv6 to a container that left, and moves datagrams to the next', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    await create(networks, 'red', 'fd00:1::/64');
    const options = { network: 'red', publish: [publish(5300, 53, { protocol: 'udp' })] };
    const server = `const s = require('dgram').createSocket('udp6'); s.on('message', (m, r) => s.send(process.argv[1], r.port, r.address)); s.bind(53, () => console.log('ready'))`;
    const ask = `const s = require('dgram').createSocket('udp6'); const out = (t) => { console.log(t); process.exit() }; s.on('message', (m) => out(String(m))); s.on('error', (e) => out(e.code)); setTimeout(() => out('TIMEOUT'), 700); s.bind(4444, () => s.send('q', 5300, '${machine.address6}'))`;
    // Nobody else's connection ends with it.
    const bystander = await joinContainer(networks, { network: 'red', publish: [publish(8080, 80)] });
    await lab.serve(bystander.sandboxPath, 80, 'web', SIX);
    const talk = `require('net').connect(8080, '${machine.address6}').once('data', () => console.log('connected'))`;
    await lab.script(outside.namespace, talk);
    const first = await joinContainer(networks, options);
    await lab.script(first.sandboxPath, server.replace('process.argv[1]', "'first'"));
    assert.equal(await lab.evaluate(outside.namespace, ask), 'first');
    await networks.leave(first);
    assert.notEqual(await lab.evaluate(outside.namespace, ask), 'first');
    const tracked = await machine.run('conntrack', '-L', '-f', 'ipv6', '-p', 'tcp', '--dport', '8080');
    assert.match(tracked, /ESTABLISHED/, 'who left was another one');
    const second = await joinContainer(networks, options);
    await lab.script(second.sandboxPath, server.replace('process.argv[1]', "'second'"));
    assert.equal(await lab.evaluate(outside.namespace, ask), 'second');
  });

  it('puts the machine’s settings back, and lets it listen to its routers meanwhile', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const read = async (name: string): Promise<string> =>
      (await machine.run('cat', `/proc/sys/net/ipv6/conf/${name}`)).trim();
    const before = [await read('all/forwarding'), await read('uplink/accept_ra')];
    assert.deepEqual(before, ['0', '1']);
    const networks = await machine.networks();
    await create(networks, 'red', 'fd00:1::/64');
    assert.deepEqual([await read('all/forwarding'), await read('uplink/accept_ra')], ['1', '2']);
    await networks.destroy();
    assert.deepEqual([await read('all/forwarding'), await read('uplink/accept_ra')], before);
  });
});

const hexOf = (address: string): string =>
  address
    .split('.')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join(':');

/** Somebody takes the bridge's address away, and an element of the published ports. Both come back by themselves. */
async function damage(machine: LabMachine, networks: MachineNetworks): Promise<void> {
  const rules = await machine.run('nft', 'list', 'ruleset');
  const table = /table inet (shoal_[0-9a-f]+)/.exec(rules)?.[1] ?? '';
  const bridge = /"(br-[0-9a-f]+)" ip6 saddr/.exec(rules)?.[1] ?? '';
  await machine.run('ip', 'address', 'del', 'fd00:1::1/64', 'dev', bridge);
  const isBack = async (): Promise<boolean> =>
    (await machine.run('ip', '-6', 'address', 'show', 'dev', bridge)).includes('fd00:1::1/64') &&
    (await networks.report()).repaired['bridge'] === 1;
  await until('the bridge has its address again', isBack, { withinMs: 2_000 });
  await machine.run('nft', 'flush', 'map', 'inet', table, 'published6');
  const isWhole = async (): Promise<boolean> => (await networks.report()).differences.length === 0;
  await until('the ports are published again', isWhole, { withinMs: 2_000 });
}
