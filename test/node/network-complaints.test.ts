// Complaints about container networks that others have had for years, each by its number at moby/moby, as far as one
// machine can have them.
import assert from 'node:assert/strict';
import { readdir, readlink, stat } from 'node:fs/promises';
import type { Endpoint } from '../../runtime/network/contract.ts';
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

/** Their ids, of all that live in a network namespace. */
async function processesIn(namespace: string): Promise<string[]> {
  const { ino } = await stat(namespace);
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const places = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/ns/net`).catch(() => '')));
  return pids.filter((_, index) => places[index] === `net:[${ino}]`);
}

describe('complaints that one machine can have', function () {
  this.timeout(60_000);
  before(function () {
    requireRoot(this);
  });

  it('moby#4737, #22054: the administrator closes published ports by rules that nobody overrides or loses', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    let networks = await machine.networks();
    const options = { publish: [publish(8080, 80), publish(9090, 90)] };
    const web = await joinContainer(networks, options);
    await lab.serve(web.sandboxPath, 80, 'web');
    await lab.serve(web.sandboxPath, 90, 'open');
    assert.match(await lab.ask(outside.namespace, machine.address, 8080), /^web /);
    const rule = 'meta l4proto tcp ct original proto-dst 8080 ct state new reject with tcp reset';
    await machine.run('nft', 'add', 'rule', 'inet', 'shoal-user', 'forward', ...rule.split(' '));
    assert.equal(await lab.ask(outside.namespace, machine.address, 8080), 'ECONNREFUSED');
    assert.match(await lab.ask(outside.namespace, machine.address, 9090), /^open /);
    await joinContainer(networks);
    await networks.shutdown({ keep: true });
    networks = await machine.networks();
    await networks.adopt([web]);
    assert.equal(await lab.ask(outside.namespace, machine.address, 8080), 'ECONNREFUSED');
    await machine.run('nft', 'flush', 'ruleset');
    const isBack = async (): Promise<boolean> =>
      (await machine.run('nft', 'list', 'ruleset')).includes('table inet shoal-user') &&
      (await networks.report()).differences.length === 0;
    await until('our rules and the empty hook are back', isBack, { withinMs: 1_000 });
    assert.match(await lab.ask(outside.namespace, machine.address, 8080), /^web /);
  });

  it('moby#32195 (here on one machine): what somebody puts among our rules is found row by row', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const networks = await machine.networks();
    await joinContainer(networks, { publish: [publish(8080, 80)] });
    const table = /table inet (shoal_\w+)/.exec(await machine.run('nft', 'list', 'ruleset'))?.[1] ?? '';
    const whole = await machine.run('nft', 'list', 'table', 'inet', table);
    const handle = /accept comment "[0-9a-f]{12}" # handle (\d+)/.exec(
      await machine.run('nft', '-a', 'list', 'chain', 'inet', table, 'forward'),
    )?.[1];
    // As many rules as before, but one of them says something else.
    await machine.run('nft', 'replace', 'rule', 'inet', table, 'forward', 'handle', handle ?? '', 'counter', 'drop');
    const same = async (): Promise<boolean> => (await machine.run('nft', 'list', 'table', 'inet', table)) === whole;
    await until('the rule is back', same, { withinMs: 1_000 });
    assert.equal((await networks.report()).repaired['rules'], 1);
  });

  it('moby#37338, #35849: a network that is full says so by its name, and goes on when one leaves', async () => {
    await using lab = await NetworkLab.open();
    const networks = await (await lab.machine()).networks();
    await networks.create(asked('tiny', { subnet: '10.77.0.0/29' }));
    const all = [];
    for (let count = 0; count < 5; count += 1) all.push(await joinContainer(networks, { network: 'tiny' }));
    await assert.rejects(joinContainer(networks, { network: 'tiny' }), {
      code: 'exhausted',
      message: /network tiny \(10\.77\.0\.0\/29\) is full/,
    });
    const [first] = all;
    assert.ok(first);
    await networks.leave(first);
    assert.equal((await joinContainer(networks, { network: 'tiny' })).address, first.address);
  });

  it('moby#40989, #41576: a small network gives out all its addresses after any number of owners', async () => {
    await using lab = await NetworkLab.open();
    const networks = await (await lab.machine()).networks();
    await networks.create(
      asked('tiny', { ipv6: true, pools: [{ subnet: '10.77.0.0/29' }, { subnet: 'fd00:7::/125' }] }),
    );
    const join = (): Promise<Endpoint> => joinContainer(networks, { network: 'tiny' });
    for (let count = 0; count < 100; count += 1) {
      const few = await Promise.all([join(), join()]);
      assert.notEqual(few[0].address, few[1].address);
      await Promise.all(few.map((endpoint) => networks.leave(endpoint)));
    }
    const all = await Promise.all([join(), join(), join(), join(), join()]);
    assert.equal(new Set(all.map(({ address }) => address)).size, 5);
    assert.equal(new Set(all.map(({ address6 }) => address6)).size, 5);
    await assert.rejects(join(), { code: 'exhausted' });
  });

  it('moby#8795, #36878, #53384: datagrams of one client find the next owner of a port that has another number inside', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const options = { publish: [publish(5300, 9953, { protocol: 'udp' })] };
    const ask = (): Promise<string> => lab.askDatagram(outside.namespace, machine.address, 5300, 4444);
    for (const name of ['first', 'second', 'third']) {
      const endpoint = await joinContainer(networks, options);
      await lab.serveDatagrams(endpoint.sandboxPath, 9953, name);
      assert.equal(await ask(), `${name} ${outside.address}`);
      await networks.leave(endpoint);
      assert.doesNotMatch(await ask(), new RegExp(name)); // and the kernel remembers a client without an owner
    }
  });

  it('userland proxy: a thousand published ports have no process, and hide no client', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    await joinContainer(networks);
    const before = await processesIn(machine.namespace);
    const ports = Array.from({ length: 1_000 }, (_, index) => publish(20_000 + index, 80));
    const web = await joinContainer(networks, { publish: ports });
    const more = (await processesIn(machine.namespace)).filter((pid) => !before.includes(pid));
    assert.deepEqual(more, []);
    await lab.serve(web.sandboxPath, 80, 'web');
    for (const port of [20_000, 20_999]) {
      assert.equal(await lab.ask(outside.namespace, machine.address, port), `web ${outside.address}`);
    }
    await networks.leave(web);
    assert.equal(await lab.ask(outside.namespace, machine.address, 20_999), 'ECONNREFUSED');
  });

  it('moby#36689: a network of a small MTU passes a megabyte whole', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const networks = await machine.networks();
    await networks.create(asked('narrow', { options: { 'com.docker.network.driver.mtu': '1280' } }));
    const [a, b] = [
      await joinContainer(networks, { network: 'narrow' }),
      await joinContainer(networks, { network: 'narrow' }),
    ];
    await lab.script(
      b.sandboxPath,
      `require('net').createServer((c) => c.end(Buffer.alloc(1_000_000))).listen(80, () => console.log('ready'))`,
    );
    const length = await lab.evaluate(
      a.sandboxPath,
      `let n = 0; require('net').connect(80, '${b.address}').on('data', (d) => { n += d.length; }).on('close', () => console.log(n)).setTimeout(3000, () => process.exit(console.log(n)))`,
    );
    assert.equal(length, '1000000');
    const inside = await machine.run('nsenter', `--net=${a.sandboxPath}`, 'ip', 'link', 'show', 'eth0');
    assert.match(inside, /mtu 1280/);
  });

  it('a port of a published range is the first that is free', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    await lab.serve(machine.namespace, 8000, 'own');
    const range = { ...publish(8000, 80), hostPortLast: 8003 };
    const ports = [];
    for (let count = 0; count < 3; count += 1) {
      const endpoint = await joinContainer(networks, { publish: [range] });
      await lab.serve(endpoint.sandboxPath, 80, `c${count}`);
      ports.push(endpoint.published[0]?.hostPort);
    }
    assert.deepEqual(ports, [8001, 8002, 8003]);
    assert.match(await lab.ask(outside.namespace, machine.address, 8003), /^c2 /);
    await assert.rejects(joinContainer(networks, { publish: [range] }), {
      code: 'conflict',
      message: /8000-8003.* allocated/,
    });
  });

  it('subnets beside each other in one network reach each other and the outside', async () => {
    await using lab = await NetworkLab.open();
    const [machine, outside] = [await lab.machine(), await lab.machine()];
    const networks = await machine.networks();
    const pools = [{ subnet: '10.77.0.0/30' }, { subnet: '10.78.0.0/24', range: '10.78.0.128/25' }];
    await networks.create(asked('two', { pools }));
    const [a, b] = [
      await joinContainer(networks, { network: 'two' }),
      await joinContainer(networks, { network: 'two' }),
    ];
    assert.deepEqual([a.address, b.address, b.gateway], ['10.77.0.2', '10.78.0.128', '10.78.0.1']);
    await lab.serve(b.sandboxPath, 80, 'b');
    await lab.serve(outside.namespace, 80, 'outside');
    assert.match(await lab.ask(a.sandboxPath, b.address, 80), /^b /);
    assert.equal(await lab.ask(b.sandboxPath, outside.address, 80), `outside ${machine.address}`);
    // Also for who is on it beside another network, and where there is no way outside at all.
    const { sandboxPath } = await joinContainer(networks);
    const c = await joinContainer(networks, { network: 'two', sandboxPath, address: '10.78.0.200' });
    await lab.serve(a.sandboxPath, 80, 'a');
    assert.equal(await lab.ask(c.sandboxPath, a.address, 80), `a ${c.address}`);
    const closed = [{ subnet: '10.79.0.0/30' }, { subnet: '10.79.1.0/24' }];
    await networks.create(asked('closed', { pools: closed, internal: true }));
    const [d, e] = [
      await joinContainer(networks, { network: 'closed' }),
      await joinContainer(networks, { network: 'closed' }),
    ];
    await lab.serve(d.sandboxPath, 80, 'd');
    assert.equal(await lab.ask(e.sandboxPath, d.address, 80), `d ${e.address}`);
  });
});
