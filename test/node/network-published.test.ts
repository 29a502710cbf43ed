import assert from 'node:assert/strict';
import { joinContainer, NetworkLab, publish } from '../support/network-lab.ts';
import { requireRoot } from '../support/requirements.ts';

describe('published ports', function () {
  this.timeout(60_000);
  before(function () {
    requireRoot(this);
  });

  it('refuses a port that another container has, and leaves nothing behind', async () => {
    await using lab = await NetworkLab.open();
    const networks = await (await lab.machine()).networks();
    const first = await joinContainer(networks, { publish: [publish(8080, 80)] });
    const attempt = joinContainer(networks, {
      containerName: 'late',
      publish: [publish(9090, 90), publish(8080, 80)],
    });
    await assert.rejects(attempt, {
      code: 'conflict',
      message:
        /^driver failed programming external connectivity on endpoint late \([0-9a-f]{12}\): Bind for 0\.0\.0\.0:8080 failed: port is already allocated$/,
    });
    assert.equal(networks.get('bridge').endpoints.length, 1);
    await joinContainer(networks, { publish: [publish(9090, 90)] });
    await networks.leave(first);
    await joinContainer(networks, { publish: [publish(8080, 80)] });
  });

  it('refuses a port that a process of the machine has', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const networks = await machine.networks();
    await lab.serve(machine.namespace, 8080, 'own');
    await assert.rejects(joinContainer(networks, { publish: [publish(8080, 80)] }), {
      code: 'conflict',
      message: /failed to bind host port 0\.0\.0\.0:8080\/tcp: address already in use/,
    });
    assert.equal(
      (await joinContainer(networks, { publish: [publish(8080, 80, { protocol: 'udp' })] })).published[0]?.hostPort,
      8080,
    );
  });

  it('refuses an address that the machine has not, and one of IPv6 for a container that has none', async () => {
    await using lab = await NetworkLab.open();
    const networks = await (await lab.machine()).networks();
    const on = (hostAddress: string): Promise<unknown> =>
      joinContainer(networks, { publish: [publish(8080, 80, { hostAddress })] });
    await assert.rejects(on('203.0.113.9'), { message: /bind: Cannot assign requested address/ });
    await assert.rejects(on('::1'), { code: 'invalid', message: /the container has no IPv6 address/ });
    await assert.rejects(on('localhost'), { code: 'invalid' });
    assert.equal(networks.get('bridge').endpoints.length, 0);
  });

  it('chooses different free ports when none is asked for', async () => {
    await using lab = await NetworkLab.open();
    const networks = await (await lab.machine()).networks();
    const endpoint = await joinContainer(networks, {
      publish: [publish(0, 80), publish(0, 81), publish(0, 80, { protocol: 'udp' })],
    });
    const ports = endpoint.published.map((entry) => entry.hostPort);
    assert.ok(ports.every((port) => port >= 32_768 && port < 65_536));
    assert.notEqual(ports[0], ports[1]);
  });

  it('answers only on the address that was asked for', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const local = await joinContainer(networks, { publish: [publish(8080, 80, { hostAddress: '127.0.0.1' })] });
    const wide = await joinContainer(networks, { publish: [publish(8080, 80, { hostAddress: machine.address })] });
    await lab.serve(local.sandboxPath, 80, 'local');
    await lab.serve(wide.sandboxPath, 80, 'wide');
    assert.match(await lab.ask(machine.namespace, '127.0.0.1', 8080), /^local /);
    assert.match(await lab.ask(outside.namespace, machine.address, 8080), /^wide /);
    await networks.leave(wide);
    assert.equal(await lab.ask(outside.namespace, machine.address, 8080), 'ECONNREFUSED');
  });

  it('closes the direct way in: from a machine with a route, and to the loopback of this one', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const web = await joinContainer(networks, { publish: [publish(8080, 80, { hostAddress: '127.0.0.1' })] });
    await lab.serve(web.sandboxPath, 80, 'web');
    await lab.serve(machine.namespace, 99, 'private');
    await outside.run('ip', 'route', 'add', '172.17.0.0/16', 'via', machine.address);
    assert.equal(await lab.ask(outside.namespace, web.address, 80), 'TIMEOUT');
    await outside.run('ip', 'address', 'del', '127.0.0.1/8', 'dev', 'lo');
    await outside.run('sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=1');
    await outside.run('ip', 'route', 'add', '127.0.0.0/8', 'via', machine.address);
    assert.equal(await lab.ask(outside.namespace, '127.0.0.1', 8080), 'TIMEOUT');
    assert.equal(await lab.ask(outside.namespace, '127.0.0.1', 99), 'TIMEOUT');
  });

  it('reaches the new owner of a port at once, also with datagrams from a fixed port', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const options = { publish: [publish(5300, 53, { protocol: 'udp' })] };
    const first = await joinContainer(networks, options);
    await lab.serveDatagrams(first.sandboxPath, 53, 'first');
    assert.match(await lab.askDatagram(outside.namespace, machine.address, 5300, 4444), /^first /);
    await networks.leave(first);
    assert.notEqual(await lab.askDatagram(outside.namespace, machine.address, 5300, 4444), 'first');
    const second = await joinContainer(networks, options);
    await lab.serveDatagrams(second.sandboxPath, 53, 'second');
    assert.match(await lab.askDatagram(outside.namespace, machine.address, 5300, 4444), /^second /);
  });

  it('ends connections to a container that left', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const web = await joinContainer(networks, { publish: [publish(8080, 80)] });
    await lab.serve(web.sandboxPath, 80, 'web');
    const client = await lab.script(
      outside.namespace,
      `const c = require('net').connect(8080, '${machine.address}'); c.once('data', () => console.log('open'));
       c.on('error', (e) => { console.log(e.code); process.exit(); }); process.stdin.on('data', () => setInterval(() => c.write('hello'), 50));`,
    );
    await networks.leave(web);
    const said = new Promise<string>((resolve) => client.stdout?.once('data', (text) => resolve(String(text).trim())));
    client.stdin?.write('go');
    assert.match(await said, /ECONNRESET|EPIPE|ECONNREFUSED/);
  });

  it('lets a process have the port again after the container left, also when others left before', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const networks = await machine.networks();
    const [other, web] = [
      await joinContainer(networks),
      await joinContainer(networks, { publish: [publish(8080, 80)] }),
    ];
    await networks.leave(other);
    await networks.leave(web);
    await lab.serve(machine.namespace, 8080, 'own');
    assert.match(await lab.ask(machine.namespace, '127.0.0.1', 8080), /^own /);
  });
});
