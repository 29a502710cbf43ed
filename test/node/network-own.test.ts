import assert from 'node:assert/strict';
import { joinContainer, NetworkLab, publish } from '../support/network-lab.ts';
import { requireRoot, requireTool } from '../support/requirements.ts';
import { until } from '../support/until.ts';

const asked = (name: string, more: object = {}) => ({
  name,
  driver: 'bridge',
  labels: {},
  options: {},
  internal: false,
  attachable: false,
  ...more,
});

describe('networks that users make', function () {
  this.timeout(60_000);
  before(function () {
    requireRoot(this);
  });

  it('are apart from each other, and reach each other through published ports only', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const networks = await machine.networks();
    const info = await networks.create(asked('red'));
    assert.equal(info.subnet, '172.18.0.0/16');
    assert.equal((await networks.create(asked('blue'))).subnet, '172.19.0.0/16');
    const red = await joinContainer(networks, { network: 'red', publish: [publish(8080, 80)] });
    const blue = await joinContainer(networks, { network: 'blue' });
    const plain = await joinContainer(networks);
    await lab.serve(red.sandboxPath, 80, 'red');
    assert.equal(await lab.ask(blue.sandboxPath, red.address, 80), 'TIMEOUT');
    assert.equal(await lab.ask(plain.sandboxPath, red.address, 80), 'TIMEOUT');
    assert.match(await lab.ask(blue.sandboxPath, machine.address, 8080), /^red /);
  });

  it('have the subnet, gateway and address that were asked for', async () => {
    await using lab = await NetworkLab.open();
    const networks = await (await lab.machine()).networks();
    const info = await networks.create(asked('mine', { subnet: '10.77.0.0/24', gateway: '10.77.0.254' }));
    assert.deepEqual([info.subnet, info.gateway], ['10.77.0.0/24', '10.77.0.254']);
    const endpoint = await joinContainer(networks, {
      network: 'mine',
      address: '10.77.0.9',
      macAddress: '02:00:00:00:00:09',
    });
    assert.deepEqual([endpoint.address, endpoint.macAddress], ['10.77.0.9', '02:00:00:00:00:09']);
    const other = await joinContainer(networks, { network: info.id.slice(0, 8) });
    await lab.serve(endpoint.sandboxPath, 80, 'nine');
    assert.match(await lab.ask(other.sandboxPath, '10.77.0.9', 80), /^nine /);
    await assert.rejects(joinContainer(networks, { network: 'mine', address: '10.77.0.9' }), { code: 'conflict' });
    await assert.rejects(joinContainer(networks, { network: 'mine', address: '10.78.0.9' }), { code: 'invalid' });
    await networks.leave(endpoint);
    const again = await joinContainer(networks, { network: 'mine', address: '10.77.0.9' });
    await lab.serve(again.sandboxPath, 80, 'again');
    // Its MAC address is another one now, of which neighbours are told, twice.
    const answers = async (): Promise<boolean> => /^again /.test(await lab.ask(other.sandboxPath, '10.77.0.9', 80));
    await until('the neighbour knows the new one', answers, { withinMs: 15_000 });
  });

  it('are closed to the outside when internal', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    await networks.create(asked('inner', { internal: true }));
    const [a, b] = [
      await joinContainer(networks, { network: 'inner' }),
      await joinContainer(networks, { network: 'inner' }),
    ];
    await lab.serve(b.sandboxPath, 80, 'b');
    await lab.serve(outside.namespace, 80, 'outside');
    assert.match(await lab.ask(a.sandboxPath, b.address, 80), /^b /);
    assert.equal(await lab.ask(a.sandboxPath, outside.address, 80), 'ENETUNREACH');
    await assert.rejects(joinContainer(networks, { network: 'inner', publish: [publish(8080, 80)] }), {
      code: 'invalid',
    });
  });

  it('are entered and left by no route when internal, also after a firewall’s reload (CVE-2025-54410)', async function () {
    requireTool(this, '/usr/sbin/iptables');
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const { subnet } = await networks.create(asked('inner', { internal: true }));
    const inner = await joinContainer(networks, { network: 'inner' });
    const plain = await joinContainer(networks, { publish: [publish(8080, 80)] });
    await lab.serve(inner.sandboxPath, 80, 'inner');
    await lab.serve(plain.sandboxPath, 80, 'plain');
    await lab.serve(outside.namespace, 80, 'outside');
    const gateway = `${inner.address.slice(0, inner.address.lastIndexOf('.'))}.1`; // the bridge has it, though nobody is told
    await lab.inside(inner.sandboxPath, 'ip', 'route', 'add', 'default', 'via', gateway);
    await outside.run('ip', 'route', 'add', subnet ?? '', 'via', machine.address);
    const reload = 'iptables -F; iptables -t nat -F; nft add table inet firewalld; nft delete table inet firewalld';
    for (const command of ['true', reload]) {
      await machine.run('sh', '-ec', command);
      assert.match(await lab.ask(outside.namespace, machine.address, 8080), /^plain /, command); // the way is there
      assert.equal(await lab.ask(outside.namespace, inner.address, 80), 'TIMEOUT', command);
      assert.equal(await lab.ask(inner.sandboxPath, outside.address, 80), 'TIMEOUT', command);
    }
  });

  it('obey the options that Docker has for them', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    await machine.run('sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=0'); // as where br_netfilter is not loaded
    const networks = await machine.networks();
    const option = (name: string): string => `com.docker.network.${name}`;
    await networks.create(
      asked('strict', {
        options: {
          [option('bridge.enable_icc')]: 'false',
          [option('bridge.enable_ip_masquerade')]: 'false',
          [option('bridge.host_binding_ipv4')]: '127.0.0.1',
          [option('driver.mtu')]: '1300',
        },
      }),
    );
    const [a, b] = [
      await joinContainer(networks, { network: 'strict', publish: [publish(8080, 80)] }),
      await joinContainer(networks, { network: 'strict' }),
    ];
    await lab.serve(a.sandboxPath, 80, 'a');
    await lab.serve(outside.namespace, 80, 'outside');
    await outside.run('ip', 'route', 'add', '172.18.0.0/16', 'via', machine.address);
    assert.equal(await lab.ask(b.sandboxPath, a.address, 80), 'TIMEOUT');
    assert.equal(await lab.ask(b.sandboxPath, outside.address, 80), `outside ${b.address}`);
    assert.match(await lab.ask(machine.namespace, '127.0.0.1', 8080), /^a /);
    assert.equal(await lab.ask(outside.namespace, machine.address, 8080), 'ECONNREFUSED');
    assert.equal(a.published[0]?.hostAddress, '127.0.0.1');
    const link = await machine.run('nsenter', `--net=${a.sandboxPath}`, 'ip', 'link', 'show', 'eth0');
    assert.match(link, /mtu 1300/);
  });

  it('are refused with a reason and without a trace', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const networks = await machine.networks();
    await networks.create(asked('taken', { subnet: '10.77.0.0/24' }));
    const before = [JSON.stringify(networks.list()), await machine.run('ip', '-o', 'link')];
    const refusals: [request: ReturnType<typeof asked>, expected: object][] = [
      [asked('taken'), { code: 'conflict', message: 'network with name taken already exists' }],
      [asked('bridge'), { code: 'forbidden' }],
      [asked('b/d'), { code: 'invalid' }],
      [asked('over', { driver: 'overlay' }), { code: 'not-implemented', message: /swarm/ }],
      [asked('weird', { driver: 'weave' }), { code: 'not-found', message: 'plugin "weave" not found' }],
      [asked('same', { subnet: '10.77.0.128/25' }), { code: 'forbidden', message: /Pool overlaps.*network taken/ }],
      [asked('bits', { subnet: '10.78.0.1/24' }), { code: 'invalid' }],
      [asked('gate', { subnet: '10.78.0.0/24', gateway: '10.79.0.1' }), { code: 'invalid' }],
      [asked('mtu', { options: { 'com.docker.network.driver.mtu': 'big' } }), { code: 'invalid' }],
      [asked('icc', { options: { 'com.docker.network.bridge.enable_icc': 'maybe' } }), { code: 'invalid' }],
      [asked('name', { options: { 'com.docker.network.bridge.name': 'much-too-long-name' } }), { code: 'invalid' }],
      [asked('link', { options: { 'com.docker.network.bridge.name': 'uplink' } }), { code: 'conflict' }],
    ];
    for (const [request, expected] of refusals) {
      await assert.rejects(async () => networks.create(request), expected, request.name);
    }
    assert.deepEqual([JSON.stringify(networks.list()), await machine.run('ip', '-o', 'link')], before);
  });

  it('can be removed when nobody is in them', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const networks = await machine.networks();
    const { id } = await networks.create(asked('short'));
    const endpoint = await joinContainer(networks, { network: 'short' });
    await assert.rejects(networks.remove('short'), { code: 'forbidden', message: /has active endpoints/ });
    await assert.rejects(networks.remove('bridge'), { code: 'forbidden', message: /pre-defined/ });
    await assert.rejects(networks.remove('absent'), { code: 'not-found', message: 'network absent not found' });
    await networks.leave(endpoint);
    await networks.remove('short');
    assert.throws(() => networks.get(id), { code: 'not-found' });
    assert.ok(!(await machine.run('ip', '-o', 'link')).includes(`br-${id.slice(0, 12)}`));
    assert.ok(!(await machine.run('nft', 'list', 'ruleset')).includes(`br-${id.slice(0, 12)}`));
  });

  it('gives a container on `none` a loopback and one on `host` the machine', async () => {
    await using lab = await NetworkLab.open();
    const networks = await (await lab.machine()).networks();
    const none = await joinContainer(networks, { network: 'none' });
    await lab.serve(none.sandboxPath, 80, 'self');
    assert.match(await lab.ask(none.sandboxPath, '127.0.0.1', 80), /^self /);
    assert.equal((await joinContainer(networks, { network: 'host' })).sandboxPath, '');
    for (const endpoint of networks.list().flatMap((network) => network.endpoints)) await networks.leave(endpoint);
    assert.equal(networks.list().flatMap((network) => network.endpoints).length, 0);
  });
});
