import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { joinContainer, NetworkLab, publish } from '../support/network-lab.ts';
import { requireRoot } from '../support/requirements.ts';

describe('endpoints on the default bridge', function () {
  this.timeout(60_000);
  before(function () {
    requireRoot(this);
  });

  it('gives a container an address, a route and a neighbour', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const networks = await machine.networks();
    const [a, b] = [await joinContainer(networks), await joinContainer(networks)];
    assert.equal(a.address, '172.17.0.2');
    assert.equal(a.macAddress, '02:42:ac:11:00:02');
    await lab.serve(b.sandboxPath, 80, 'b');
    assert.equal(await lab.ask(a.sandboxPath, b.address, 80), `b ${a.address}`);
  });

  it('lets containers out under the address of the machine', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const endpoint = await joinContainer(networks);
    await lab.serve(outside.namespace, 80, 'outside');
    assert.equal(await lab.ask(endpoint.sandboxPath, outside.address, 80), `outside ${machine.address}`);
  });

  it('publishes a port to outside, to the machine itself and to containers', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const web = await joinContainer(networks, { publish: [publish(8080, 80)] });
    const other = await joinContainer(networks);
    await lab.serve(web.sandboxPath, 80, 'web');
    assert.equal(await lab.ask(outside.namespace, machine.address, 8080), `web ${outside.address}`);
    assert.equal(await lab.ask(machine.namespace, '127.0.0.1', 8080), `web ${web.gateway}`);
    assert.match(await lab.ask(machine.namespace, machine.address, 8080), /^web /);
    assert.match(await lab.ask(other.sandboxPath, machine.address, 8080), /^web /);
    assert.match(await lab.ask(web.sandboxPath, machine.address, 8080), /^web /);
    assert.match(await lab.ask(other.sandboxPath, web.gateway, 8080), /^web /);
  });

  it('moby#44973, #31100, #34098: says that a network is full when the bridge has no more ports', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const networks = await machine.networks();
    const bridge = networks.get('bridge').options['com.docker.network.bridge.name'] ?? '';
    const last = await joinContainer(networks);
    const lines = Array.from(
      { length: 1022 },
      (_, index) => `link add a${index} master ${bridge} type veth peer b${index}`,
    );
    const batch = join(lab.execRoot(machine), 'batch');
    await writeFile(batch, lines.join('\n'));
    await machine.run('ip', '-batch', batch);
    await assert.rejects(joinContainer(networks), {
      code: 'exhausted',
      message: 'network bridge is full: a bridge takes 1023 containers on one machine',
    });
    await networks.leave(last);
  });
});
