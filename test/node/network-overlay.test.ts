// A network between machines, wired as a swarm wires it but without one: who is where is handed in.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { joinContainer, type NetworkLab } from '../support/network-lab.ts';
import { NETWORK, OverlayLab, type Place } from '../support/overlay-lab.ts';
import { requireRoot } from '../support/requirements.ts';
import { until } from '../support/until.ts';

const VIP = '10.0.9.2';
const OTHER_VIP = '10.0.9.200';
const PLACES: readonly Place[] = [
  { address: '10.0.9.3', on: 0 },
  { address: '10.0.9.4', on: 1 },
  { address: '10.0.9.5', on: 2 },
  { address: '10.0.9.6', on: 0 },
];

/** Who answered `count` connections of one client. */
async function serversOf(lab: NetworkLab, from: string, address: string, count = 1): Promise<string> {
  const script = `const one = () => new Promise((done) => { const c = require('net').connect(80, '${address}');
      c.setTimeout(3000, () => { c.destroy(); done('TIMEOUT'); }); c.on('error', (e) => done(e.code));
      c.once('data', (d) => { c.destroy(); done(String(d).split(' ')[0]); }); });
    Promise.all(Array.from({ length: ${count} }, one)).then((all) => console.log([...new Set(all)].sort().join()));`;
  return await lab.evaluate(from, script);
}

describe('a network between nodes', function () {
  this.timeout(60_000);
  before(function () {
    requireRoot(this);
  });

  it('lets every container reach every other one, and a service by its virtual address with the own address', async () => {
    await using swarm = await OverlayLab.open(3);
    const { lab } = swarm;
    await swarm.tell(PLACES, [{ virtualAddress: VIP, targets: ['10.0.9.3', '10.0.9.4', '10.0.9.5'] }]);
    const containers = await Promise.all(PLACES.map(({ address, on }) => swarm.container(on, address)));
    for (const { sandboxPath, address } of containers) await lab.serve(sandboxPath, 80, address);
    const asked = containers.flatMap((from) => containers.map((to) => ({ from, to })));
    for (const { from, to } of asked) {
      assert.equal(await lab.ask(from.sandboxPath, to.address, 80), `${to.address} ${from.address}`);
    }
    for (const from of containers) {
      const answers = await Promise.all(Array.from({ length: 9 }, () => lab.ask(from.sandboxPath, VIP, 80)));
      for (const answer of answers) {
        // A container that reaches itself is answered through the gateway.
        const [server, client] = answer.split(' ');
        assert.equal(client, server === from.address ? NETWORK.gateway : from.address, answer);
      }
    }
    const ping = ['busybox', 'ping', '-c1', '-W1', VIP];
    const echoed = execFileSync('nsenter', [`--net=${containers[0]?.sandboxPath}`, ...ping], { encoding: 'utf8' });
    assert.match(echoed, /1 packets received/);
  });

  it('keeps each client with one task while that is there, by IPv4 and IPv6', async () => {
    await using swarm = await OverlayLab.open(3);
    const { lab } = swarm;
    swarm.more = { subnet6: 'fd00:9::/64' };
    const clients: readonly Place[] = [20, 21, 22, 23, 24, 25].map((last, at) => {
      return { address: `10.0.9.${last}`, on: at % 3 };
    });
    const places = [...PLACES, ...clients];
    const tell = (...targets: readonly string[]) =>
      swarm.tell(places, [{ virtualAddress: VIP, targets, affinity: 'client-address' }]);
    const targets = ['10.0.9.3', '10.0.9.4', '10.0.9.5'];
    await tell(...targets);
    for (const { address, on } of PLACES.slice(0, 3)) {
      const { sandboxPath } = await swarm.container(on, address);
      await lab.serve(sandboxPath, 80, address, '::');
    }
    const from = await Promise.all(clients.map(({ address, on }) => swarm.container(on, address)));
    const serversBy = (virtual: string, count: number) =>
      Promise.all(from.map(({ sandboxPath }) => serversOf(lab, sandboxPath, virtual, count)));
    const kept = await serversBy(VIP, 20);
    assert.ok(
      kept.every((server) => targets.includes(server)),
      `each client has one: ${kept.join(' ')}`,
    );
    assert.ok(new Set(kept).size > 1, `not all clients have the same: ${kept.join(' ')}`);
    const kept6 = await serversBy('fd00:9::2', 20);
    assert.ok(
      kept6.every((server) => targets.includes(server)),
      kept6.join(' '),
    );
    assert.ok(new Set(kept6).size > 1, kept6.join(' '));
    const gone = kept[0] ?? assert.fail();
    await tell(...targets.filter((target) => target !== gone));
    const without = await serversBy(VIP, 20);
    for (const [at, server] of without.entries()) {
      if (kept[at] === gone) assert.ok(server !== gone && targets.includes(server), server);
      else assert.equal(server, kept[at], 'nobody else moves');
    }
    await tell(...targets);
    assert.deepEqual(await serversBy(VIP, 5), kept, 'it returned');
    assert.match(swarm.inside(0, 'nft', 'list', 'ruleset'), /jhash \S.* mod 256 seed 0x5a0a1000 map \{ 0 : 10\./);
    assert.match(swarm.inside(0, 'nft', 'list', 'ruleset'), /jhash \S.* mod 256 seed 0x5a0a1000 map \{ 0 : fd00:/);
    assert.deepEqual(await swarm.networks[0]?.audit(), { repairs: [], failures: [] });
  });

  it('carries large answers whole, with room for its headers', async () => {
    await using swarm = await OverlayLab.open(3);
    const { lab } = swarm;
    await swarm.tell(PLACES, [{ virtualAddress: VIP, targets: ['10.0.9.4'] }]);
    const client = await swarm.container(0, '10.0.9.3');
    const server = await swarm.container(1, '10.0.9.4');
    const link = execFileSync('nsenter', [`--net=${client.sandboxPath}`, 'ip', 'link', 'show', client.interfaceName]);
    assert.match(link.toString(), / mtu 1450 /);
    const bytes = 1_000_000;
    await lab.script(
      server.sandboxPath,
      `require('net').createServer((c) => c.end(Buffer.alloc(${bytes}))).listen(80, () => console.log('ready'))`,
    );
    const counted = await lab.script(
      client.sandboxPath,
      `let sum = 0; const c = require('net').connect(80, '${VIP}'); c.on('data', (d) => { sum += d.length }); c.on('end', () => console.log(sum)); c.setTimeout(5000, () => process.exit(1)); setTimeout(() => {}, 5000)`,
    );
    assert.equal(counted.exitCode, null, 'it printed a number, so the answer came to an end');
  });

  it('sends no new connection to a target that left, keeps those that are there, and resets those to a lost node', async () => {
    await using swarm = await OverlayLab.open(3);
    const { lab } = swarm;
    const service = (...targets: string[]) => [{ virtualAddress: VIP, targets }];
    await swarm.tell(PLACES, service('10.0.9.4'));
    const client = await swarm.container(0, '10.0.9.3');
    for (const at of [1, 2]) {
      const { sandboxPath, address } = await swarm.container(at, `10.0.9.${3 + at}`);
      await lab.serve(sandboxPath, 80, address);
    }
    const open = await lab.script(
      client.sandboxPath,
      `const c = require('net').connect(80, '${VIP}'); c.on('data', (d) => console.log(String(d))); c.on('error', (e) => console.log(e.code)); process.stdin.on('data', (d) => c.write(d))`,
    );
    const heard: string[] = [];
    open.stdout?.on('data', (chunk: Buffer) => heard.push(String(chunk)));
    await swarm.tell(PLACES, service('10.0.9.5'));
    for (let count = 0; count < 5; count += 1) {
      assert.match(await lab.ask(client.sandboxPath, VIP, 80), /^10\.0\.9\.5 /);
    }
    open.stdin?.write('still there');
    await until('the old connection answers', () => heard.join('').includes('10.0.9.4 still there'));
    await swarm.tell(
      PLACES.map((place) => (place.on === 1 ? { ...place, lost: true } : place)),
      service('10.0.9.5'),
    );
    open.stdin?.write('anybody?');
    await until('the client hears that its server is lost', () => heard.join('').includes('ECONNRESET'));
    await swarm.tell(PLACES, service());
    assert.equal(await lab.ask(client.sandboxPath, VIP, 80), 'ECONNREFUSED');
  });

  it('moby#36878: moves datagrams of one client to the target that is left, on another node', async () => {
    await using swarm = await OverlayLab.open(3);
    const { lab } = swarm;
    const service = (...targets: string[]) => [{ virtualAddress: VIP, targets }];
    await swarm.tell(PLACES, service('10.0.9.4'));
    const client = await swarm.container(0, '10.0.9.3');
    for (const at of [1, 2]) {
      const { sandboxPath, address } = await swarm.container(at, `10.0.9.${3 + at}`);
      await lab.serveDatagrams(sandboxPath, 53, address);
    }
    const other = { virtualAddress: OTHER_VIP, targets: ['10.0.9.4', '10.0.9.5'] };
    const ask = (address: string, port: number) => lab.askDatagram(client.sandboxPath, address, 53, port);
    const ports = [6_000, 6_001, 6_002, 6_003];
    assert.match(await ask(VIP, 5_000), /^10\.0\.9\.4 /);
    await swarm.tell(PLACES, [...service('10.0.9.4'), other]);
    const kept = await Promise.all(ports.map((port) => ask(OTHER_VIP, port)));
    await swarm.tell(PLACES, [...service('10.0.9.5'), other]);
    assert.match(await ask(VIP, 5_000), /^10\.0\.9\.5 /);
    assert.deepEqual(await Promise.all(ports.map((port) => ask(OTHER_VIP, port))), kept);
    // Many that go at once are looked for by the address that was asked, and do not take others along either.
    const many = Array.from({ length: 50 }, (_, at) => `10.0.9.${100 + at}`);
    await swarm.tell(PLACES, [...service('10.0.9.5', ...many), other]);
    assert.match(await ask(VIP, 5_000), /^10\.0\.9\.5 /);
    await swarm.tell(PLACES, [...service('10.0.9.4'), other]);
    assert.match(await ask(VIP, 5_000), /^10\.0\.9\.4 /);
    await swarm.tell(PLACES, [...service('10.0.9.4', ...many), other]);
    await swarm.tell(PLACES, [...service('10.0.9.4'), other]);
    assert.match(await ask(VIP, 5_000), /^10\.0\.9\.4 /);
    assert.deepEqual(await Promise.all(ports.map((port) => ask(OTHER_VIP, port))), kept);
  });

  it('moby#33789, #35401: follows an address to another node at once, and back', async () => {
    await using swarm = await OverlayLab.open(3);
    const { lab } = swarm;
    const client = { address: '10.0.9.3', on: 0 };
    await swarm.tell([client]);
    const from = await swarm.container(0, client.address);
    for (const on of [1, 2, 0, 2, 1]) {
      await swarm.tell([client, { address: '10.0.9.4', on }]);
      const moved = await swarm.container(on, '10.0.9.4');
      const server = await lab.serve(moved.sandboxPath, 80, `on${on}`);
      assert.match(await lab.ask(from.sandboxPath, '10.0.9.4', 80), new RegExp(`^on${on} `));
      server.kill('SIGKILL');
      const networks = swarm.networks[on] ?? assert.fail('no such machine');
      await networks.leave(moved);
    }
  });

  it('takes no name from a state that comes late, and misses none afterwards', async () => {
    await using swarm = await OverlayLab.open(1);
    const [networks] = swarm.networks;
    const name = (of: string) => ({ name: of, addresses: [VIP], reverse: false, ttlSeconds: 0 });
    const tell = (index: number, ...names: string[]): Promise<void> | undefined =>
      networks?.overlays.apply(index, { ...swarm.stateFor(0, []), names: names.map(name) });
    await tell(2, 'a', 'b');
    await tell(1);
    await tell(3, 'a', 'b', 'c');
    assert.deepEqual(
      networks?.names
        .namesOf(NETWORK.id)
        .map((record) => record.name)
        .toSorted(),
      ['a', 'b', 'c'],
    );
  });

  it('moby#52661: is put right where somebody else changed it, and says what was wrong', async () => {
    await using swarm = await OverlayLab.open(3);
    const { lab } = swarm;
    await swarm.tell(PLACES, [{ virtualAddress: VIP, targets: ['10.0.9.4'] }]);
    const client = await swarm.container(0, '10.0.9.3');
    const server = await swarm.container(1, '10.0.9.4');
    await lab.serve(server.sandboxPath, 80, 'server');
    const [networks] = swarm.networks;
    assert.deepEqual(await networks?.audit(), { repairs: [], failures: [] });
    swarm.inside(0, 'ip', 'neigh', 'del', '10.0.9.4', 'dev', 'vxlan0');
    swarm.inside(
      0,
      'bridge',
      'fdb',
      'del',
      '02:42:0a:00:09:04',
      'dev',
      'vxlan0',
      'self',
      'dst',
      swarm.machines[1]?.address ?? '',
    );
    swarm.inside(0, 'ip', 'address', 'del', `${VIP}/32`, 'dev', 'br0');
    swarm.inside(0, 'nft', 'flush', 'ruleset');
    const repairs = (await networks?.audit())?.repairs ?? [];
    assert.deepEqual(repairs, [
      'network back lacked 1 neighbours and had 0 too many',
      'network back lacked 1 ways to nodes and had 0 too many',
      'network back lacked 1 virtual addresses and had 0 too many',
      'the packet rules of network back were not as they should be',
    ]);
    assert.match(await lab.ask(client.sandboxPath, VIP, 80), /^server /);
  });

  it('gets its containers’ links and its gateways back, whoever took them away', async () => {
    await using swarm = await OverlayLab.open(2);
    const { lab } = swarm;
    swarm.more = { subnet6: 'fd00:9::/64' };
    const places = [
      { address: '10.0.9.3', on: 0 },
      { address: '10.0.9.4', on: 1 },
    ];
    await swarm.tell(places, [{ virtualAddress: VIP, targets: ['10.0.9.4'] }]);
    const client = await swarm.container(0, '10.0.9.3');
    const server = await swarm.container(1, '10.0.9.4');
    await lab.serve(server.sandboxPath, 80, 'server', '::');
    const networks = swarm.networks[0] ?? assert.fail('networks');
    const { hostInterfaceName } = client;
    const name = `link ${hostInterfaceName} of container ${client.containerId.slice(0, 12)}`;
    const gone = [`${name} was gone`];
    const breakages: [commands: string[], expected: string[]][] = [
      [[`ip link set ${hostInterfaceName} nomaster`], [`${name} was off its bridge`]],
      [[`ip link set ${hostInterfaceName} down`], [`${name} was off its bridge`]],
      [[`ip link delete ${hostInterfaceName}`], gone],
      [
        ['ip address del 10.0.9.1/24 dev br0', 'ip -6 address del fd00:9::1/64 dev br0'],
        ['network back had lost its gateway address 10.0.9.1', 'network back had lost its gateway address fd00:9::1'],
      ],
      [['ip link delete br0'], gone],
      [['ip link delete vxlan0'], []],
    ];
    for (const [commands, expected] of breakages) {
      for (const command of commands) swarm.inside(0, ...command.split(' '));
      const { differences } = await networks.report();
      const sentences = differences.map(({ sentence }) => sentence);
      if (commands[0]?.includes('delete br0') !== true) {
        assert.deepEqual(
          expected.filter((sentence) => !sentences.includes(sentence)),
          [],
          commands.join(),
        );
      }
      assert.ok(sentences.length > 0, commands.join());
      const { repairs, failures } = await networks.audit();
      assert.deepEqual(
        [expected.filter((sentence) => !repairs.includes(sentence)), failures],
        [[], []],
        commands.join(),
      );
      assert.deepEqual((await networks.report()).differences, [], commands.join());
      for (const address of [VIP, 'fd00:9::2', '10.0.9.4']) {
        assert.match(await lab.ask(client.sandboxPath, address, 80), /^server /, `${commands.join()}: ${address}`);
      }
    }
    // The whole namespace out of sight: the kernel takes a moment to give its number free.
    const path = `${lab.execRoot(swarm.machines[0] ?? assert.fail('a machine'))}/overlay/${NETWORK.id}`;
    execFileSync('umount', ['-l', path]);
    const [lost, ...more] = (await networks.report()).differences.map(({ sentence }) => sentence);
    assert.deepEqual([lost, more], ['the sandbox of network back was gone', []]);
    await until('it is made again', async () => (await networks.audit()).failures.length === 0);
    await until('all is right', async () => {
      await networks.audit();
      return (await networks.report()).differences.length === 0;
    });
    assert.match(await lab.ask(client.sandboxPath, VIP, 80), /^server /);
  });

  it('goes on without a daemon, and is taken up by the next one as it is', async () => {
    await using swarm = await OverlayLab.open(3);
    const { lab } = swarm;
    const services = [{ virtualAddress: VIP, targets: ['10.0.9.4'] }];
    await swarm.tell(PLACES, services);
    const client = await swarm.container(0, '10.0.9.3');
    const server = await swarm.container(1, '10.0.9.4');
    await lab.serve(server.sandboxPath, 80, 'server');
    await swarm.networks[0]?.shutdown({ keep: true });
    assert.match(await lab.ask(client.sandboxPath, VIP, 80), /^server /);
    // The kernel says a moment later that a bridge is up.
    const links = () => swarm.inside(0, 'ip', '-o', 'link', 'show').replaceAll(/ state \w+/g, '');
    const before = links();
    const networks = (await swarm.machines[0]?.networks()) ?? assert.fail('no machine');
    await networks.adopt([client]);
    assert.match(await lab.ask(client.sandboxPath, VIP, 80), /^server /);
    await networks.overlays.apply(100, swarm.stateFor(0, PLACES, services));
    assert.equal(links(), before, 'nothing was made anew');
    assert.deepEqual(await networks.audit(), { repairs: [], failures: [] });
    await assert.rejects(networks.overlays.drop(NETWORK.id), { code: 'conflict' });
    await networks.leave(client);
    await networks.overlays.drop(NETWORK.id);
    assert.equal(
      networks.list().find(({ id }) => id === NETWORK.id),
      undefined,
    );
  });

  it('has no way out for a container on it alone where it is internal, not even for a question for a name', async () => {
    const asked: string[] = [];
    const upstream = createSocket('udp4');
    upstream.on('message', (question) => asked.push(question.toString('latin1')));
    await new Promise<void>((resolve) => upstream.bind(0, '127.0.0.1', () => resolve()));
    const upstreams = () => Promise.resolve([{ address: '127.0.0.1', port: upstream.address().port }]);
    await using swarm = await OverlayLab.open(2, { networks: { upstreams } });
    const { lab } = swarm;
    try {
      const names = [{ name: 'web', addresses: [VIP], reverse: true, ttlSeconds: 10 }];
      const services = [{ virtualAddress: VIP, targets: ['10.0.9.4'] }];
      await Promise.all(
        swarm.networks.map(async (networks, at) => {
          const state = swarm.stateFor(at, PLACES.slice(0, 2), services);
          await networks.overlays.apply(1, { ...state, names, network: { ...NETWORK, internal: true } });
        }),
      );
      const [first, second] = await Promise.all(
        swarm.networks.map((networks, at) =>
          joinContainer(networks, { network: NETWORK.id, address: `10.0.9.${3 + at}` }),
        ),
      );
      if (!first || !second) assert.fail('no containers');
      await lab.serve(second.sandboxPath, 80, 'server');
      assert.match(await lab.ask(first.sandboxPath, VIP, 80), /^server 10\.0\.9\.3/);
      assert.equal(await lab.resolve(first.sandboxPath, 'web'), JSON.stringify([VIP]));
      assert.equal(await lab.resolve(first.sandboxPath, 'example.com'), 'ESERVFAIL');
      const links = execFileSync('nsenter', [`--net=${first.sandboxPath}`, 'ip', '-o', 'link', 'show']).toString();
      assert.deepEqual([...links.matchAll(/^\d+: (\w+)/gm)].map(([, name]) => name).sort(), ['eth0', 'lo']);
      for (const address of swarm.machines.map((machine) => machine.address)) {
        assert.equal(await lab.ask(first.sandboxPath, address, 80), 'ENETUNREACH');
      }
      assert.deepEqual(asked, [], 'nobody outside was asked');
    } finally {
      upstream.close();
    }
  });

  it('has several subnets, whose containers reach each other and every virtual address with their own addresses', async () => {
    await using swarm = await OverlayLab.open(2);
    const { lab } = swarm;
    swarm.more = {
      further: [
        { subnet: '10.1.7.0/29', gateway: '10.1.7.6' },
        { subnet: '10.200.0.0/16', gateway: '10.200.0.1' },
      ],
      subnet6: 'fd00:9::/64',
    };
    const places: readonly Place[] = [
      { address: '10.0.9.3', on: 0 },
      { address: '10.1.7.1', on: 1 },
      { address: '10.200.255.3', on: 0 },
      { address: '10.1.7.2', on: 0 },
      { address: '10.200.1.1', on: 1 },
    ];
    const virtual = ['10.0.9.2', '10.1.7.3', '10.200.0.2'];
    await swarm.tell(
      places,
      virtual.map((virtualAddress) => ({ virtualAddress, targets: places.map(({ address }) => address) })),
    );
    const containers = await Promise.all(places.map(({ address, on }) => swarm.container(on, address)));
    assert.deepEqual(
      containers.map(({ prefixLength, address6 }) => [prefixLength, address6]),
      [
        [24, 'fd00:9::a00:903'],
        [29, 'fd00:9::a01:701'],
        [16, 'fd00:9::ac8:ff03'],
        [29, 'fd00:9::a01:702'],
        [16, 'fd00:9::ac8:101'],
      ],
    );
    for (const { sandboxPath, address } of containers) await lab.serve(sandboxPath, 80, address);
    for (const from of containers) {
      for (const to of containers) {
        assert.equal(await lab.ask(from.sandboxPath, to.address, 80), `${to.address} ${from.address}`);
      }
      for (const address of virtual) {
        const answers = await Promise.all(Array.from({ length: 6 }, () => lab.ask(from.sandboxPath, address, 80)));
        for (const answer of answers) {
          const [server, client] = answer.split(' ');
          assert.equal(client, server === from.address ? NETWORK.gateway : from.address, answer);
        }
      }
    }
    const [first] = containers;
    for (const gateway of ['10.0.9.1', '10.1.7.6', '10.200.0.1', 'fd00:9::a00:901']) {
      const ping = ['busybox', 'ping', '-c1', '-W1', gateway];
      const said = execFileSync('nsenter', [`--net=${first?.sandboxPath}`, ...ping], { encoding: 'utf8' });
      assert.match(said, /1 packets received/, gateway);
    }
    // A daemon that begins anew takes it up as it is, and finds nothing wrong.
    await swarm.networks[0]?.shutdown({ keep: true });
    const networks = (await swarm.machines[0]?.networks()) ?? assert.fail('no machine');
    await networks.adopt(containers.filter((_, at) => places[at]?.on === 0));
    const again = swarm.stateFor(
      0,
      places,
      virtual.map((virtualAddress) => ({ virtualAddress, targets: [places[1]?.address ?? ''] })),
    );
    await networks.overlays.apply(100, again);
    assert.deepEqual(await networks.audit(), { repairs: [], failures: [] });
    assert.match(await lab.ask(first?.sandboxPath ?? '', '10.200.0.2', 80), /^10\.1\.7\.1 10\.0\.9\.3/);
  });

  it('has several IPv6 subnets: members of each reach all others, their virtual addresses and gateways', async () => {
    await using swarm = await OverlayLab.open(2);
    const { lab } = swarm;
    swarm.more = {
      further: [
        { subnet: '10.1.7.0/29', gateway: '10.1.7.6' },
        { subnet: '10.200.0.0/16', gateway: '10.200.0.1' },
      ],
      subnet6: 'fd00:9::/64',
      further6: ['fd00:a::/64'],
    };
    const places: readonly Place[] = [
      { address: '10.0.9.3', on: 0 },
      { address: '10.1.7.1', on: 1 },
      { address: '10.200.255.3', on: 0 },
    ];
    const virtual = ['10.0.9.2', '10.1.7.3'];
    const targets = places.map(({ address }) => address);
    const services = virtual.map((virtualAddress) => ({ virtualAddress, targets }));
    await swarm.tell(places, services);
    const containers = await Promise.all(places.map(({ address, on }) => swarm.container(on, address)));
    assert.deepEqual(
      containers.map(({ address6 }) => address6),
      ['fd00:9::3', 'fd00:a::a01:701', 'fd00:a::ac8:ff03'],
    );
    for (const { sandboxPath, address6 = '' } of containers) await lab.serve(sandboxPath, 80, address6, '::');
    for (const from of containers) {
      for (const to of containers) {
        assert.equal(await lab.ask(from.sandboxPath, to.address6 ?? '', 80), `${to.address6} ${from.address6}`);
      }
      for (const address of ['fd00:9::2', 'fd00:a::a01:703']) {
        const answers = await Promise.all(Array.from({ length: 6 }, () => lab.ask(from.sandboxPath, address, 80)));
        for (const answer of answers) {
          const [server, client] = answer.split(' ');
          assert.equal(client, server === from.address6 ? 'fd00:9::1' : from.address6, answer);
        }
      }
      for (const gateway of ['fd00:9::1', 'fd00:a::a01:706']) {
        const ping = ['busybox', 'ping', '-c1', '-W1', gateway];
        const said = execFileSync('nsenter', [`--net=${from.sandboxPath}`, ...ping], { encoding: 'utf8' });
        assert.match(said, /1 packets received/, gateway);
      }
    }
    await swarm.networks[0]?.shutdown({ keep: true });
    const networks = (await swarm.machines[0]?.networks()) ?? assert.fail('no machine');
    await networks.adopt(containers.filter((_, at) => places[at]?.on === 0));
    await networks.overlays.apply(100, swarm.stateFor(0, places, services));
    assert.deepEqual(await networks.audit(), { repairs: [], failures: [] });
  });

  it('has IPv6 beside IPv4: neighbours on other nodes, virtual addresses with the client’s own, and names', async () => {
    await using swarm = await OverlayLab.open(3);
    const { lab } = swarm;
    swarm.more = { subnet6: 'fd00:9::/64' };
    const names = [{ name: 'web', addresses: [VIP], reverse: true, ttlSeconds: 10 }];
    const tell = (index: number, targets: readonly string[]) =>
      Promise.all(
        swarm.networks.map((networks, at) =>
          networks.overlays.apply(index, { ...swarm.stateFor(at, PLACES, [{ virtualAddress: VIP, targets }]), names }),
        ),
      );
    await tell(1, ['10.0.9.3', '10.0.9.4', '10.0.9.5']);
    const containers = await Promise.all(PLACES.map(({ address, on }) => swarm.container(on, address)));
    assert.deepEqual(
      containers.map(({ address6 }) => address6),
      ['fd00:9::3', 'fd00:9::4', 'fd00:9::5', 'fd00:9::6'],
    );
    for (const { sandboxPath, address6 = '' } of containers) await lab.serve(sandboxPath, 80, address6, '::');
    for (const from of containers) {
      for (const to of containers) {
        assert.equal(await lab.ask(from.sandboxPath, to.address6 ?? '', 80), `${to.address6} ${from.address6}`);
      }
      const servers = new Set<string>();
      for (let count = 0; count < 9; count += 1) {
        const [server = '', client] = (await lab.ask(from.sandboxPath, 'fd00:9::2', 80)).split(' ');
        servers.add(server);
        assert.equal(client, server === from.address6 ? 'fd00:9::1' : from.address6);
      }
      assert.ok(
        [...servers].every((server) => /^fd00:9::[345]$/.test(server)),
        [...servers].join(),
      );
      assert.ok(servers.size > 1, 'more than one of them was asked');
      assert.equal(await lab.resolve(from.sandboxPath, 'web', 'AAAA'), '["fd00:9::2"]');
    }
    const [networks] = swarm.networks;
    assert.deepEqual(await networks?.audit(), { repairs: [], failures: [] });
    swarm.inside(0, 'ip', '-6', 'neigh', 'del', 'fd00:9::4', 'dev', 'vxlan0');
    swarm.inside(0, 'ip', '-6', 'address', 'del', 'fd00:9::2/128', 'dev', 'br0');
    assert.deepEqual((await networks?.audit())?.repairs, [
      'network back lacked 1 IPv6 neighbours and had 0 too many',
      'network back lacked 1 virtual IPv6 addresses and had 0 too many',
    ]);
    await tell(2, ['10.0.9.5']);
    for (let count = 0; count < 5; count += 1) {
      assert.match(await lab.ask(containers[0]?.sandboxPath ?? '', 'fd00:9::2', 80), /^fd00:9::5 /);
    }
  });
});
