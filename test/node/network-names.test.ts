import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { Upstream } from '../../runtime/network/contract.ts';
import { frameOf } from '../../runtime/network/dns-stream.ts';
import { CODE, readQuestion, TYPE, writeAnswer, writeQuestion } from '../../runtime/network/dns-wire.ts';
import { joinContainer, NetworkLab } from '../support/network-lab.ts';
import { requireRoot } from '../support/requirements.ts';

const asked = (name: string, more: object = {}) => ({
  name,
  driver: 'bridge',
  labels: {},
  options: {},
  internal: false,
  attachable: false,
  ...more,
});

/** A resolver outside that knows every name as 203.0.113.7, and counts. */
async function outsideResolver(): Promise<AsyncDisposable & { readonly upstream: Upstream; readonly asked: string[] }> {
  const socket = createSocket('udp4');
  const asked: string[] = [];
  socket.on('message', (message, from) => {
    const question = readQuestion(message);
    if (!question || 'code' in question) return;
    asked.push(question.name);
    const data = Buffer.from([203, 0, 113, 7]);
    const records = question.type === TYPE.a ? [{ type: TYPE.a, data, ttlSeconds: 60 }] : [];
    socket.send(writeAnswer(message, question, { code: CODE.ok, records }, 512), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  return {
    upstream: { address: '127.0.0.1', port },
    asked,
    [Symbol.asyncDispose]: async () => void socket.close(),
  };
}

describe('names in networks that users make', function () {
  this.timeout(60_000);
  before(function () {
    requireRoot(this);
  });

  it('lead to containers by name, alias and short id, there and back, and nowhere else', async () => {
    await using outside = await outsideResolver();
    await using lab = await NetworkLab.open();
    const networks = await (await lab.machine()).networks({ upstreams: async () => [outside.upstream] });
    await networks.create(asked('red'));
    await networks.create(asked('blue'));
    const web = await joinContainer(networks, { network: 'red', containerName: 'web', aliases: ['www'] });
    const client = await joinContainer(networks, { network: 'red', containerName: 'client' });
    const stranger = await joinContainer(networks, { network: 'blue', containerName: 'stranger' });
    const at = client.sandboxPath;
    for (const name of ['web', 'WWW', web.containerId.slice(0, 12), 'web.red'])
      assert.equal(await lab.resolve(at, name), `["${web.address}"]`, name);
    assert.equal(await lab.resolve(at, 'web', 'AAAA'), 'ENODATA');
    const backward = `${web.address.split('.').reverse().join('.')}.in-addr.arpa`;
    assert.equal(await lab.resolve(at, backward, 'PTR'), '["web.red"]');
    assert.equal(await lab.resolve(stranger.sandboxPath, 'web'), '["203.0.113.7"]');
    await networks.leave(web);
    assert.equal(await lab.resolve(at, 'web'), '["203.0.113.7"]');
    assert.deepEqual(outside.asked, ['web', 'web']);
  });

  it('of an internal network never leave the machine (CVE-2024-29018)', async () => {
    await using outside = await outsideResolver();
    await using lab = await NetworkLab.open();
    const networks = await (await lab.machine()).networks({ upstreams: async () => [outside.upstream] });
    await networks.create(asked('inner', { internal: true }));
    const web = await joinContainer(networks, { network: 'inner', containerName: 'web' });
    const at = (await joinContainer(networks, { network: 'inner' })).sandboxPath;
    assert.equal(await lab.resolve(at, 'web'), `["${web.address}"]`);
    assert.equal(await lab.resolve(at, 'secret.example.com'), 'ESERVFAIL');
    assert.deepEqual(outside.asked, []);
  });

  it('are those of all networks a container is in, as they come and go', async () => {
    await using outside = await outsideResolver();
    await using lab = await NetworkLab.open();
    const networks = await (await lab.machine()).networks({ upstreams: async () => [outside.upstream] });
    await networks.create(asked('red'));
    await networks.create(asked('blue'));
    const plain = await joinContainer(networks);
    const { sandboxPath } = plain;
    const web = await joinContainer(networks, { network: 'red', containerName: 'web' });
    const links = [{ to: 'web', alias: 'database' }];
    const inRed = await joinContainer(networks, { network: 'red', sandboxPath, links });
    assert.equal(await lab.resolve(sandboxPath, 'database'), `["${web.address}"]`);
    assert.equal(await lab.resolve(web.sandboxPath, 'database'), '["203.0.113.7"]');
    const db = await joinContainer(networks, { network: 'blue', containerName: 'db' });
    assert.equal(await lab.resolve(sandboxPath, 'db'), '["203.0.113.7"]');
    await joinContainer(networks, { network: 'blue', sandboxPath });
    assert.equal(await lab.resolve(sandboxPath, 'db'), `["${db.address}"]`);
    await networks.leave(inRed, { keepSandbox: true });
    assert.equal(await lab.resolve(sandboxPath, 'web'), '["203.0.113.7"]');
  });

  it('of services are put by others, and answered as long as they say', async () => {
    await using lab = await NetworkLab.open();
    const networks = await (await lab.machine()).networks({ upstreams: async () => [] });
    const { id } = await networks.create(asked('red'));
    const { sandboxPath } = await joinContainer(networks, { network: 'red' });
    const tasks = ['10.9.0.3', '10.9.0.4', '10.9.0.5'];
    const ports = [{ service: 'http', protocol: 'tcp', port: 8080 }] as const;
    networks.names.setNames(id, 'swarm', 7, [
      { name: 'api', addresses: ['10.9.0.2'], reverse: true, ttlSeconds: 10, ports },
      { name: 'tasks.api', addresses: tasks, reverse: false, ttlSeconds: 0 },
    ]);
    assert.equal(await lab.resolve(sandboxPath, 'api'), '["10.9.0.2"]');
    const seen = JSON.parse(await lab.resolve(sandboxPath, 'tasks.api')) as string[];
    assert.deepEqual([...seen].sort(), tasks);
    const [service] = JSON.parse(await lab.resolve(sandboxPath, '_http._tcp.api', 'SRV')) as object[];
    assert.deepEqual(service, { name: 'api', port: 8080, priority: 0, weight: 0 });
    networks.names.changeNames(id, 'swarm', 8, { put: [], removed: ['tasks.api'] });
    assert.equal(await lab.resolve(sandboxPath, 'tasks.api'), 'ESERVFAIL');
  });

  it('leave port 53 to the image, and answer over TCP as well', async () => {
    await using lab = await NetworkLab.open();
    const networks = await (await lab.machine()).networks({ upstreams: async () => [] });
    await networks.create(asked('red'));
    const { sandboxPath, address } = await joinContainer(networks, { network: 'red', containerName: 'me' });
    await lab.serveDatagrams(sandboxPath, 53, 'image');
    assert.equal(await lab.resolve(sandboxPath, 'me'), `["${address}"]`);
    await lab.serve(sandboxPath, 53, 'image');
    const question = frameOf(writeQuestion(7, 'me', TYPE.a)).toString('hex');
    const answer = await lab.evaluate(
      sandboxPath,
      `const c = require('net').connect(53, '127.0.0.11', () => c.write(Buffer.from('${question}', 'hex')));
       c.on('data', (d) => { console.log(d.subarray(-4).join('.')); process.exit(); })`,
    );
    assert.equal(answer, address);
    assert.match(await lab.ask(sandboxPath, '127.0.0.1', 53), /^image /);
  });

  it('are answered again after the daemon came back', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    let networks = await machine.networks({ upstreams: async () => [] });
    await networks.create(asked('red'));
    const web = await joinContainer(networks, { network: 'red', containerName: 'web' });
    const client = await joinContainer(networks, { network: 'red' });
    await networks.shutdown({ keep: true });
    networks = await machine.networks({ upstreams: async () => [] });
    await networks.adopt([web, client]);
    assert.equal(await lab.resolve(client.sandboxPath, 'web'), `["${web.address}"]`);
  });
});
