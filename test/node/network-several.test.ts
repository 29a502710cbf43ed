import assert from 'node:assert/strict';
import { joinContainer, NetworkLab, publish } from '../support/network-lab.ts';
import { requireRoot } from '../support/requirements.ts';
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

describe('a container in several networks', function () {
  this.timeout(60_000);
  before(function () {
    requireRoot(this);
  });

  it('reaches the members of each, and leads outside through one', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    for (const name of ['red', 'blue', 'amber']) await networks.create(asked(name, { internal: name === 'amber' }));
    const first = await joinContainer(networks, { network: 'red' });
    const { sandboxPath } = first;
    const second = await joinContainer(networks, { network: 'blue', sandboxPath, publish: [publish(8080, 80)] });
    const third = await joinContainer(networks, { network: 'amber', sandboxPath });
    assert.deepEqual(
      [first, second, third].map(({ interfaceName }) => interfaceName),
      ['eth0', 'eth1', 'eth2'],
    );
    for (const network of ['red', 'blue', 'amber']) {
      const neighbour = await joinContainer(networks, { network });
      await lab.serve(neighbour.sandboxPath, 80, network);
      assert.match(await lab.ask(sandboxPath, neighbour.address, 80), new RegExp(`^${network} `));
    }
    const route = (): Promise<string> =>
      machine.run('nsenter', `--net=${sandboxPath}`, 'ip', 'route', 'show', 'default');
    assert.equal(
      (await route()).trim(),
      `default via ${second.gateway} dev eth1 proto boot`.replace(' proto boot', ''),
    );
    await lab.serve(sandboxPath, 80, 'self');
    assert.match(await lab.ask(outside.namespace, machine.address, 8080), /^self /);

    await networks.leave(second, { keepSandbox: true });
    assert.match(await route(), new RegExp(`via ${first.gateway} dev eth0`));
    assert.equal(await lab.ask(outside.namespace, machine.address, 8080), 'ECONNREFUSED');
    const again = await joinContainer(networks, { network: 'blue', sandboxPath, gatewayPriority: 2 });
    assert.match(await route(), new RegExp(`via ${again.gateway} dev ${again.interfaceName}`));
  });

  it('keeps its namespace while it runs without any, and may join again', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const networks = await machine.networks();
    await networks.create(asked('red'));
    const first = await joinContainer(networks, { network: 'red' });
    const inside = (): Promise<string> => machine.run('nsenter', `--net=${first.sandboxPath}`, 'ip', '-br', 'address');
    await networks.leave(first, { keepSandbox: true });
    await until('the link is gone', async () => !(await inside()).includes('eth0'));
    const again = await joinContainer(networks, { network: 'red', sandboxPath: first.sandboxPath });
    assert.match(await inside(), new RegExp(`eth\\d@\\S+ +UP +${again.address}/16`));
    await networks.leave(again);
    networks.releaseSandbox(first.sandboxPath);
    await until(
      'the namespace is gone',
      async () =>
        await inside().then(
          () => false,
          () => true,
        ),
    );
    await assert.rejects(joinContainer(networks, { network: 'red', sandboxPath: first.sandboxPath }), {
      code: 'not-found',
    });
  });

  it('is taken up whole by the next daemon', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    let networks = await machine.networks();
    await networks.create(asked('red'));
    await networks.create(asked('blue'));
    const first = await joinContainer(networks, { network: 'red' });
    const second = await joinContainer(networks, { network: 'blue', sandboxPath: first.sandboxPath });
    const lone = await joinContainer(networks, { network: 'red' });
    await networks.leave(lone, { keepSandbox: true });
    await networks.shutdown({ keep: true });
    networks = await machine.networks();
    await networks.adopt([first, second], [first.sandboxPath, lone.sandboxPath]);
    const third = await joinContainer(networks, { network: 'red', sandboxPath: lone.sandboxPath });
    await lab.serve(third.sandboxPath, 80, 'third');
    assert.match(await lab.ask(first.sandboxPath, third.address, 80), /^third /);
    await networks.leave(second);
    assert.match(await lab.ask(first.sandboxPath, third.address, 80), /^third /);
  });
});
