// Networks whose containers stand in the LAN of one of the machine's links.
import assert from 'node:assert/strict';
import type { Endpoint } from '../../runtime/network/contract.ts';
import type { MachineNetworks } from '../../runtime/network/networks.ts';
import { joinContainer, NetworkLab, publish } from '../support/network-lab.ts';
import { requireRoot } from '../support/requirements.ts';
import { until } from '../support/until.ts';

const asked = (name: string, options: Record<string, string>, more: object = {}) => ({
  name,
  driver: 'macvlan',
  labels: {},
  options,
  internal: false,
  attachable: false,
  ...more,
});
const LAN = { pools: [{ subnet: '192.0.2.0/24', range: '192.0.2.128/25', gateway: '192.0.2.2' }] };
const join = (networks: MachineNetworks, network: string, more: object = {}): Promise<Endpoint> =>
  joinContainer(networks, { network, ...more });

describe('macvlan networks', function () {
  this.timeout(60_000);
  before(function () {
    requireRoot(this);
  });

  it('put containers into the LAN of their parent, with addresses of both families', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const pools = [...LAN.pools, { subnet: '2001:db8::/64', range: '2001:db8::8000/113', gateway: '2001:db8::2' }];
    const made = await networks.create(asked('lan', { parent: 'uplink' }, { pools, ipv6: true }));
    assert.deepEqual([made.driver, made.internal], ['macvlan', false]);
    const [a, b] = [await join(networks, 'lan'), await join(networks, 'lan', { publish: [publish(8080, 80)] })];
    assert.deepEqual([a.address, a.gateway, a.macAddress], ['192.0.2.128', '192.0.2.2', '02:42:c0:00:02:80']);
    assert.deepEqual([a.address6, b.published], ['2001:db8::8000', []]);
    await lab.serve(a.sandboxPath, 80, 'a', '::');
    await lab.serve(outside.namespace, 80, 'outside', '::');
    assert.match(await lab.ask(b.sandboxPath, a.address, 80), /^a /);
    assert.match(await lab.ask(b.sandboxPath, a.address6 ?? '', 80), /^a 2001:db8::8001$/);
    assert.match(await lab.ask(outside.namespace, a.address, 80), /^a .*192\.0\.2\.2$/);
    assert.match(await lab.ask(a.sandboxPath, outside.address, 80), /^outside .*192\.0\.2\.128$/);
    assert.equal(await lab.ask(a.sandboxPath, outside.address6, 80), 'outside 2001:db8::8000');
    const routes = await machine.run('nsenter', `--net=${a.sandboxPath}`, 'ip', 'route', 'show', 'default');
    assert.match(routes, /via 192\.0\.2\.2 dev eth0/);
    await networks.leave(a);
    await networks.leave(b);
    await networks.remove('lan');
    assert.match(await machine.run('ip', 'link', 'show', 'uplink'), /uplink/); // it is not ours
  });

  it('have a link of their own, and are internal, without a parent or when asked to be', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    for (const [name, options, internal] of [
      ['alone', {}, false],
      ['inner', { parent: 'uplink' }, true],
    ] as const) {
      const { internal: isInternal } = await networks.create(asked(name, options, { internal }));
      assert.equal(isInternal, true);
      const [a, b] = [await join(networks, name, { containerName: `${name}-a` }), await join(networks, name)];
      await lab.serve(a.sandboxPath, 80, name);
      assert.match(await lab.ask(b.sandboxPath, a.address, 80), new RegExp(`^${name} `));
      assert.equal(await lab.resolve(b.sandboxPath, `${name}-a`), JSON.stringify([a.address]));
      assert.equal(await lab.ask(b.sandboxPath, outside.address, 80), 'ENETUNREACH');
      await networks.leave(a);
      await networks.leave(b);
      await networks.remove(name);
    }
    assert.doesNotMatch(await machine.run('ip', 'link'), /d[mp]-/);
  });

  it('have several subnets, and containers that are in other networks too', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const pools = [{ subnet: '10.71.0.0/30' }, { subnet: '10.72.0.0/24' }];
    await networks.create(asked('two', { parent: 'uplink' }, { pools }));
    await networks.create({ ...asked('red', {}), driver: 'bridge' });
    const first = await join(networks, 'two');
    const second = await join(networks, 'red', { sandboxPath: first.sandboxPath });
    const other = await join(networks, 'red');
    const third = await join(networks, 'two', { sandboxPath: other.sandboxPath });
    assert.deepEqual([first.address, third.address, third.interfaceName], ['10.71.0.2', '10.72.0.2', 'eth1']);
    await lab.serve(outside.namespace, 80, 'outside');
    await lab.serve(second.sandboxPath, 80, 'both');
    assert.equal(await lab.ask(second.sandboxPath, outside.address, 80), `outside ${machine.address}`); // by red
    assert.match(await lab.ask(other.sandboxPath, second.address, 80), /^both /);
    // The kernel takes its time to remove a link; the next one of that name waits for it.
    let again = third;
    for (let count = 0; count < 5; count += 1) {
      await networks.leave(again, { keepSandbox: true });
      again = await join(networks, 'two', { sandboxPath: other.sandboxPath });
      assert.equal(again.interfaceName, 'eth1');
    }
  });

  it('are refused with a reason and without a trace', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const networks = await machine.networks();
    const before = await machine.run('ip', '-o', 'link');
    const refused = async (request: ReturnType<typeof asked>, expected: object): Promise<void> => {
      await assert.rejects(networks.create(request), expected);
      assert.throws(() => networks.get(request.name), { code: 'not-found' });
    };
    const name = /(there is no network link eth7) on this machine/;
    await refused(asked('wrong', { parent: 'eth7' }), { code: 'not-found', message: name });
    await refused(asked('wrong', { parent: 'eth7.50' }), { code: 'not-found' });
    await refused(asked('wrong', { parent: 'uplink.4095' }), { code: 'not-found' });
    await refused(asked('wrong', { parent: 'uplink', macvlan_mode: 'public' }), {
      code: 'invalid',
      message: /bridge, passthru|private, vepa/,
    });
    const port = await join(networks, 'bridge');
    const busy = asked('wrong', { parent: port.hostInterfaceName });
    await refused(busy, {
      code: 'conflict',
      message: /can not be the parent of a macvlan network: it is used in another way/,
    });
    await networks.leave(port);
    await refused(
      { ...asked('wrong', { parent: 'uplink', ipvlan_mode: 'l3' }), driver: 'ipvlan' },
      { code: 'not-implemented' },
    );
    await networks.create(asked('lan', { parent: 'uplink' }, LAN));
    const second = asked('wrong', { parent: 'uplink' });
    await refused(second, { code: 'forbidden', message: 'network lan is already using parent interface uplink' });
    await refused(asked('wrong', {}, LAN), { message: /overlaps with 192\.0\.2\.0\/24 of network lan/ });
    await networks.remove('lan');
    const names = (text: string): string[] => text.split('\n').map((line) => line.split(': ')[1] ?? '');
    const isSame = async (): Promise<boolean> =>
      names(await machine.run('ip', '-o', 'link')).every(
        (each) => each.startsWith('sv') || names(before).includes(each),
      );
    await until('no link is left', isSame, { withinMs: 2_000 });
  });

  it('of kernels without ipvlan or VLANs are refused by what is missing', async function () {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const networks = await machine.networks();
    const has = async (...words: string[]): Promise<boolean> => {
      try {
        await machine.run('ip', 'link', 'add', 'link', 'uplink', 'name', 'probe', 'type', ...words);
        await machine.run('ip', 'link', 'delete', 'probe');
        return true;
      } catch {
        return false;
      }
    };
    const ipvlan = { ...asked('ip', { parent: 'uplink' }, LAN), driver: 'ipvlan' };
    const vlan = asked('vlan', { parent: 'uplink.50' });
    if (await has('ipvlan')) assert.equal((await networks.create(ipvlan)).driver, 'ipvlan');
    else
      await assert.rejects(networks.create(ipvlan), {
        code: 'not-implemented',
        message: /no ipvlan links: load the module ipvlan/,
      });
    if (await has('vlan', 'id', '9')) assert.equal((await networks.create(vlan)).driver, 'macvlan');
    else
      await assert.rejects(networks.create(vlan), {
        code: 'not-implemented',
        message: /no 802\.1q VLAN links: load the module 8021q/,
      });
  });

  it('are found again by the next daemon; a parent that somebody takes away comes back with its containers', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    let networks = await machine.networks();
    await networks.create(asked('alone', {}));
    const [a, b] = [await join(networks, 'alone'), await join(networks, 'alone')];
    await lab.serve(a.sandboxPath, 80, 'a');
    await networks.shutdown({ keep: true });
    networks = await machine.networks();
    await networks.adopt([a, b]);
    assert.deepEqual((await networks.report()).differences, []);
    assert.match(await lab.ask(b.sandboxPath, a.address, 80), /^a /);
    assert.notEqual((await join(networks, 'alone')).address, a.address);
    const parent = `dm-${a.networkId.slice(0, 12)}`;
    await machine.run('ip', 'link', 'delete', parent);
    const isBack = async (): Promise<boolean> => (await networks.report()).repaired['link'] === 1;
    await until('the parent is back', isBack, { withinMs: 2_000 });
    assert.match(await lab.ask(b.sandboxPath, a.address, 80), /^a /);
    await assert.rejects(networks.remove('alone'), { code: 'forbidden', message: /has active endpoints/ });
    await networks.destroy();
    assert.doesNotMatch(await machine.run('ip', 'link'), /d[mp]-/);
  });
});
