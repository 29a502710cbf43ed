// An encrypted network between machines: who is where and the keys are handed in, as a swarm does.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createCipheriv, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Endpoint, OverlayEncryption, OverlayNetwork, OverlayState } from '../../runtime/network/contract.ts';
import type { MachineNetworks } from '../../runtime/network/networks.ts';
import { nativeBinary } from '../../runtime/native/binary.ts';
import { joinContainer, type LabMachine, NetworkLab } from '../support/network-lab.ts';
import { requireRoot } from '../support/requirements.ts';
import { until } from '../support/until.ts';
import { tapWire } from '../support/wire-tap.ts';

const NETWORK: OverlayNetwork = {
  id: 'net0000000000000000000009',
  name: 'secret',
  vni: 4343,
  port: 0,
  subnet: '10.0.8.0/24',
  gateway: '10.0.8.1',
  internal: false,
  attachable: false,
  options: { encrypted: '' },
};
const TUNNEL_PORT = 4790;
const PATTERN = 'a known pattern that nobody may see';

const key = (id: number) => ({ id, secret: randomBytes(32).toString('hex') });
type Keys = Omit<OverlayEncryption, 'nodeId'>;
const ringOf = (...keys: Keys['keys']): Keys => ({ keys, sendId: keys[0]?.id ?? 0 });

class Machines {
  readonly lab: NetworkLab;
  readonly machines: LabMachine[] = [];
  readonly networks: MachineNetworks[] = [];
  #index = 0;

  constructor(lab: NetworkLab) {
    this.lab = lab;
  }

  async add(): Promise<void> {
    const machine = await this.lab.machine();
    this.machines.push(machine);
    this.networks.push(await machine.networks());
  }

  stateFor(machine: number, keys: Keys): OverlayState {
    const endpoints = this.machines.map(({ address }, on) => ({
      address: `10.0.8.${10 + on}`,
      lost: false,
      ...(on === machine ? {} : { node: { id: `node${on}`, address, port: 4789 } }),
    }));
    const encryption = { nodeId: `node${machine}`, ...keys };
    return { network: NETWORK, endpoints, services: [], names: [], encryption };
  }

  async tell(keys: Keys, only: readonly number[] = this.networks.map((_, at) => at)): Promise<void> {
    this.#index += 1;
    await Promise.all(only.map((at) => this.on(at).overlays.apply(this.#index, this.stateFor(at, keys))));
  }

  on(machine: number): MachineNetworks {
    return this.networks[machine] ?? assert.fail('no such machine');
  }

  async container(machine: number): Promise<Endpoint> {
    const { sandboxPath } = await joinContainer(this.on(machine));
    return await joinContainer(this.on(machine), {
      network: NETWORK.id,
      sandboxPath,
      address: `10.0.8.${10 + machine}`,
    });
  }

  async counts(machine: number, of: number) {
    const pairs = await this.on(machine).overlays.pairs(NETWORK.id);
    return pairs.find(({ nodeId }) => nodeId === `node${of}`) ?? assert.fail('no such pair');
  }
}

async function threeMachines(): Promise<Machines & AsyncDisposable> {
  const lab = await NetworkLab.open();
  const machines = new Machines(lab);
  for (let count = 0; count < 3; count += 1) await machines.add();
  return Object.assign(machines, { [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose]() });
}

const serveBack = `require('net').createServer((c) => { c.on('error', () => {}); c.pipe(c) }).listen(80, () => console.log('ready'))`;

/** Sends `count` times `size` bytes of the pattern and waits for them; prints how many came back as they were sent. */
const talk = (address: string, count: number, size: number): string => `
  const text = Buffer.alloc(${size}, '${PATTERN}'); let left = ${count}, good = 0;
  const next = () => {
    if (left-- === 0) { console.log(good); process.exit() }
    const c = require('net').connect(80, '${address}'); let got = [];
    c.setTimeout(4000, () => { console.log('TIMEOUT'); process.exit() });
    c.on('error', (e) => { console.log(e.code); process.exit() });
    c.on('data', (d) => got.push(d)); c.on('end', () => { if (Buffer.concat(got).equals(text)) good += 1; next() });
    c.end(text);
  };
  next();`;

describe('an encrypted network between nodes', function () {
  this.timeout(60_000);
  let directory = '';

  before(function () {
    requireRoot(this);
    directory = mkdtempSync(join(tmpdir(), 'shoal-tap-'));
  });

  after(() => {
    if (directory) rmSync(directory, { recursive: true, force: true });
  });

  it('has the cipher of RFC 8439, as another implementation has it', async () => {
    const { path } = await nativeBinary(process.env['SHOAL_TEST_CACHE'] ?? '/tmp/shoal-native-cache');
    const hex = (bytes: Uint8Array): string => (bytes.length > 0 ? Buffer.from(bytes).toString('hex') : '-');
    const lines: string[] = [];
    const wanted: string[] = [];
    for (let size = 0; size < 700; size += 1) {
      const [secret, nonce, open, text] = [32, 12, size % 40, (size * 13) % 9_100].map((length) => randomBytes(length));
      if (!secret || !nonce || !open || !text) assert.fail('nothing random');
      const cipher = createCipheriv('chacha20-poly1305', secret, nonce, { authTagLength: 16 });
      cipher.setAAD(open, { plaintextLength: text.length });
      const sealed = Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]);
      const spoiled = Buffer.from(sealed);
      spoiled[size % sealed.length] = (spoiled[size % sealed.length] ?? 0) ^ (1 << (size % 8));
      const rest = [secret, nonce, open].map(hex).join(' ');
      lines.push(`seal ${rest} ${hex(text)}`, `open ${rest} ${hex(sealed)}`, `open ${rest} ${hex(spoiled)}`);
      wanted.push(sealed.toString('hex'), text.toString('hex'), 'refused');
    }
    // draft-irtf-cfrg-xchacha-03, 2.2.1
    const about = '000000090000004a0000000031415927';
    lines.push(`derive 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f ${about} - -`);
    wanted.push('82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc');
    // RFC 8439, 2.8.2
    const sunscreen = Buffer.from(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
    );
    const openText = '50515253c0c1c2c3c4c5c6c7';
    const secret = '808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f';
    lines.push(`seal ${secret} 070000004041424344454647 ${openText} ${hex(sunscreen)}`);
    const input = `${lines.join('\n')}\n`;
    const answers = execFileSync(path, ['aead'], { input, maxBuffer: 1 << 26 })
      .toString()
      .trimEnd()
      .split('\n');
    assert.match(answers.pop() ?? '', /1ae10b594f09e26a7e902ecbd0600691$/);
    assert.deepEqual(answers, wanted);
  });

  it('carries large and small payloads between three machines, and none of their bytes is seen on the wire', async () => {
    await using swarm = await threeMachines();
    const { lab } = swarm;
    await swarm.tell(ringOf(key(1)));
    const [first, second, third] = [await swarm.container(0), await swarm.container(1), await swarm.container(2)];
    const link = execFileSync('nsenter', [`--net=${first.sandboxPath}`, 'ip', 'link', 'show', first.interfaceName]);
    assert.match(link.toString(), / mtu 1390 /);
    const taps = await Promise.all(
      ['p1', 'p2'].map((name) =>
        tapWire({
          namespace: lab.path('switch'),
          link: name,
          pattern: PATTERN,
          port: TUNNEL_PORT,
          mode: 'listen',
          directory,
        }),
      ),
    );
    await lab.script(second.sandboxPath, serveBack);
    assert.equal(await lab.evaluate(first.sandboxPath, talk('10.0.8.11', 5, 300_000)), '5');
    assert.equal(await lab.evaluate(third.sandboxPath, talk('10.0.8.11', 5, 40)), '5');
    for (const tap of taps) {
      const { sealed, clear, matches } = await tap.stop();
      assert.ok(sealed > 100, `${sealed} sealed datagrams`);
      assert.deepEqual([clear, matches], [0, 0]);
    }
    const { means, open, sent, altered } = await swarm.counts(0, 1);
    assert.deepEqual([means, open, sent > 100, altered], ['tunnel', true, true, 0]);
  });

  it('drops what comes twice and what was altered, and counts both', async () => {
    await using swarm = await threeMachines();
    const { lab } = swarm;
    await swarm.tell(ringOf(key(1)));
    const [first, second] = [await swarm.container(0), await swarm.container(1)];
    await lab.script(second.sandboxPath, serveBack);
    const options = { namespace: lab.path('switch'), link: 'p2', pattern: PATTERN, port: TUNNEL_PORT, directory };
    for (const [mode, count] of [
      ['again', 'replayed'],
      ['spoil', 'altered'],
    ] as const) {
      const tap = await tapWire({ ...options, mode });
      assert.equal(await lab.evaluate(first.sandboxPath, talk('10.0.8.11', 3, 100_000)), '3');
      const { sealed } = await tap.stop();
      const counts = await swarm.counts(1, 0);
      assert.ok(counts[count] > sealed / 4, `${counts[count]} of ${sealed} ${count}`);
    }
    const { replayed, altered } = await swarm.counts(0, 1);
    assert.deepEqual([replayed, altered], [0, 0], 'the other way nobody meddled');
  });

  it('is closed to a machine that lacks the key', async () => {
    await using swarm = await threeMachines();
    const { lab } = swarm;
    await swarm.tell(ringOf(key(1)), [0, 1]);
    await swarm.tell(ringOf(key(1)), [2]); // another one under the same number
    const [first, second, stranger] = [await swarm.container(0), await swarm.container(1), await swarm.container(2)];
    await lab.script(second.sandboxPath, serveBack);
    assert.equal(await lab.evaluate(first.sandboxPath, talk('10.0.8.11', 1, 1000)), '1');
    const asking = lab.evaluate(stranger.sandboxPath, talk('10.0.8.11', 1, 1000));
    await until('its greeting is refused', async () => (await swarm.counts(1, 2)).altered > 0);
    assert.match(await asking, /TIMEOUT|EHOSTUNREACH|ETIMEDOUT/);
    const { open, received } = await swarm.counts(1, 2);
    assert.deepEqual([open, received], [false, 0]);
  });

  it('loses nothing while its keys change, on connections that are kept and on new ones', async () => {
    await using swarm = await threeMachines();
    const { lab } = swarm;
    let [old, now, next] = [key(1), key(2), key(3)];
    await swarm.tell({ keys: [old, now, next], sendId: now.id });
    const [first, second] = [await swarm.container(0), await swarm.container(1)];
    await lab.script(second.sandboxPath, serveBack);
    let done = false;
    const talking = lab.evaluate(first.sandboxPath, talk('10.0.8.11', 200, 5_000)).finally(() => {
      done = true;
    });
    let turns = 0;
    while (!done) {
      [old, now, next] = [now, next, key(next.id + 1)];
      // One machine hears of it well before the other.
      await swarm.tell({ keys: [old, now, next], sendId: now.id }, [turns % 2]);
      await new Promise((resolve) => setTimeout(resolve, 20));
      await swarm.tell({ keys: [old, now, next], sendId: now.id }, [(turns + 1) % 2]);
      turns += 1;
    }
    assert.equal(await talking, '200');
    assert.ok(turns > 3, `${turns} changes of keys`);
    for (const [from, to] of [
      [0, 1],
      [1, 0],
    ] as const) {
      const { altered, replayed } = await swarm.counts(from, to);
      assert.deepEqual([altered, replayed], [0, 0]);
    }
  });

  it('goes on without a daemon, is taken up by the next one, and starts anew when the tunnel is killed', async () => {
    await using swarm = await threeMachines();
    const { lab } = swarm;
    const keys = ringOf(key(1));
    await swarm.tell(keys);
    const [first, second] = [await swarm.container(0), await swarm.container(1)];
    await lab.script(second.sandboxPath, serveBack);
    assert.equal(await lab.evaluate(first.sandboxPath, talk('10.0.8.11', 1, 1000)), '1');
    await swarm.on(0).shutdown({ keep: true });
    assert.equal(await lab.evaluate(first.sandboxPath, talk('10.0.8.11', 1, 1000)), '1');
    const networks = (await swarm.machines[0]?.networks()) ?? assert.fail('no machine');
    await networks.adopt([first]);
    await networks.overlays.apply(100, swarm.stateFor(0, keys));
    swarm.networks[0] = networks;
    const { sent, open } = await swarm.counts(0, 1);
    assert.ok(open && sent > 0, 'it is the tunnel that was there');
    assert.deepEqual(await networks.audit(), { repairs: [], failures: [] });
    const pids =
      (await swarm.machines[0]?.run('pgrep', '-f', `shoal-native.* tunnel ${lab.execRoot(swarm.machines[0])}`)) ?? '';
    process.kill(Number(pids.trim()), 'SIGKILL');
    await until('a new one speaks with the other end', async () => {
      const counts = await swarm.counts(0, 1).catch(() => undefined);
      return counts?.open === true && counts.sent < sent;
    });
    assert.equal(await lab.evaluate(first.sandboxPath, talk('10.0.8.11', 1, 1000)), '1');
    await networks.leave(first);
    await networks.overlays.drop(NETWORK.id);
    const left = await swarm.machines[0]
      ?.run('pgrep', '-cf', `shoal-native.* tunnel ${lab.execRoot(swarm.machines[0])}`)
      .catch(() => '0');
    assert.equal(left?.trim(), '0', 'the tunnel goes with the last encrypted network');
  });

  it('forgets its keys when it goes after the daemon was started anew, while others keep theirs', async () => {
    await using swarm = await threeMachines();
    const other: OverlayNetwork = { ...NETWORK, id: 'net0000000000000000000010', name: 'other', vni: 4344 };
    const tell = async (networks: MachineNetworks, network: OverlayNetwork): Promise<void> =>
      await networks.overlays.apply(1, { ...swarm.stateFor(0, ringOf(key(1))), network });
    for (const network of [NETWORK, other]) await tell(swarm.on(0), network);
    const tunnel = join(swarm.lab.execRoot(swarm.machines[0] ?? assert.fail('no machine')), 'tunnel.sock');
    await swarm.on(0).shutdown({ keep: true });
    const networks = (await swarm.machines[0]?.networks()) ?? assert.fail('no machine');
    await networks.adopt([]);
    assert.equal((await pairsIn(tunnel)).length, 4);
    await networks.overlays.drop(NETWORK.id);
    assert.equal((await pairsIn(tunnel)).length, 2);
    await tell(networks, other);
    assert.equal((await networks.overlays.pairs(other.id)).length, 2);
    assert.equal((await pairsIn(tunnel)).length, 2);
  });

  it('sends where the tunnel is, also when it finds that tunnel and sandbox are in a namespace which is not there any more', async () => {
    await using swarm = await threeMachines();
    const { lab } = swarm;
    const keys = ringOf(key(1));
    await swarm.tell(keys);
    const [first, second] = [await swarm.container(0), await swarm.container(1)];
    await lab.script(second.sandboxPath, serveBack);
    assert.equal(await lab.evaluate(first.sandboxPath, talk('10.0.8.11', 1, 1000)), '1');
    await swarm.on(0).shutdown({ keep: true });
    const run = lab.execRoot(swarm.machines[0] ?? assert.fail('no machine'));
    execFileSync('umount', [join(run, 'overlay', 'tunnel')]);
    rmSync(join(run, 'overlay', 'tunnel'));
    const networks = (await swarm.machines[0]?.networks()) ?? assert.fail('no machine');
    await networks.adopt([first]);
    await networks.overlays.apply(100, swarm.stateFor(0, keys));
    swarm.networks[0] = networks;
    assert.deepEqual(await networks.audit(), { repairs: [], failures: [] });
    assert.equal(await lab.evaluate(first.sandboxPath, talk('10.0.8.11', 1, 1000)), '1');
  });

  it('says which means of encryption the kernel has, as iproute2 finds them, and leaves no trace of the question', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const networks = await machine.networks();
    const { encryption } = await networks.report();
    const state = 'xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000 mode tunnel aead';
    const key = `0x${'00'.repeat(20)}`;
    const can = (...args: string[]): Promise<boolean> =>
      machine.run('ip', ...args).then(
        () => true,
        () => false,
      );
    const esp =
      (await can(...state.split(' '), 'rfc4106(gcm(aes))', key, '128')) &&
      (await can('link', 'add', 'esp-test', 'type', 'xfrm', 'if_id', '1'));
    const wireguard = await can('link', 'add', 'wg-test', 'type', 'wireguard');
    assert.deepEqual(
      encryption.map(({ means, isThere, isUsed }) => [means, isThere, isUsed]),
      [
        ['tunnel', true, true],
        ['esp', esp, esp],
        ['wireguard', wireguard, wireguard],
      ],
    );
    assert.ok(encryption.every(({ reason }) => reason.length > 10));
    assert.equal(existsSync(join(lab.execRoot(machine), 'overlay', 'means')), false);
  });

  it('is carried by the kernel where that has ESP, and else by the tunnel, as others are told', async () => {
    await using swarm = await threeMachines();
    const keys = ringOf(key(1));
    await swarm.tell(keys);
    const { encryption } = await swarm.on(0).report();
    const hasEsp = encryption.some(({ means, isThere }) => means === 'esp' && isThere);
    const kernels = encryption.flatMap(({ means, isThere }) => (means !== 'tunnel' && isThere ? [means] : []));
    const said = swarm.networks.map(({ overlays }) => ({ means: overlays.offered(), lives: overlays.lives() }));
    assert.deepEqual(
      said.map(({ means, lives }) => [means, Object.keys(lives)]),
      swarm.networks.map(() => [[...kernels, 'tunnel'], hasEsp ? [NETWORK.id] : []]),
    );
    // Others have ESP, and this node does not: what they say changes nothing.
    const nodes = swarm.machines.map(({ address }, on) => {
      const life = said[on]?.lives[NETWORK.id] ?? 'ab'.repeat(16);
      return { id: `node${on}`, address, port: 4789, means: ['esp', 'tunnel'] as const, life };
    });
    const told = swarm.networks.map(async ({ overlays }, own) => {
      const { encryption: ring, endpoints, ...state } = swarm.stateFor(own, keys);
      const self = said[own]?.means.includes('esp') ? nodes[own] : undefined;
      await overlays.apply(100, {
        ...state,
        encryption: { nodeId: `node${own}`, ...keys, ...ring, ...(self && { self }) },
        endpoints: endpoints.map((endpoint, on) => ({
          ...endpoint,
          ...(endpoint.node && nodes[on] && { node: nodes[on] }),
        })),
      });
    });
    await Promise.all(told);
    const [first, second] = [await swarm.container(0), await swarm.container(1)];
    await swarm.lab.script(second.sandboxPath, serveBack);
    assert.equal(await swarm.lab.evaluate(first.sandboxPath, talk('10.0.8.11', 1, 1000)), '1');
    const { means, reason } = await swarm.counts(0, 1);
    assert.equal(means, hasEsp ? 'esp' : 'tunnel');
    if (!hasEsp) assert.match(reason ?? '', /ESP is not used: .*this node’s kernel/);
    assert.deepEqual(await swarm.on(0).audit(), { repairs: [], failures: [] });
    assert.deepEqual(
      (await swarm.on(0).report()).pairs.map(({ nodeId, means: by }) => [nodeId, by]),
      [
        ['node1', means],
        ['node2', means],
      ],
    );
  });

  it('is not carried at all before its keys are known', async () => {
    await using lab = await NetworkLab.open();
    const networks = await (await lab.machine()).networks();
    const state = { network: NETWORK, endpoints: [], services: [], names: [] };
    await assert.rejects(networks.overlays.apply(1, state), /have not made the keys of network secret yet/);
    assert.ok(networks.list().every(({ name }) => name !== 'secret'));
  });

  it('is refused with the reason where the machine has no means, and carried once it has', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const networks = await machine.networks();
    const squatter = await lab.serveDatagrams(machine.namespace, TUNNEL_PORT, 'mine');
    const encryption = { nodeId: 'node0', ...ringOf(key(1)) };
    const state = { network: NETWORK, endpoints: [], services: [], names: [], encryption };
    await assert.rejects(networks.overlays.apply(1, state), {
      code: 'not-implemented',
      message: /the tunnel for encrypted networks does not start: tunnel: open the UDP port: Address already in use/,
    });
    assert.ok(networks.list().every(({ name }) => name !== 'secret'));
    squatter.kill('SIGKILL');
    await until('the port is free', () => squatter.exitCode !== null || squatter.signalCode !== null);
    await networks.overlays.apply(2, state);
    assert.ok(networks.list().some(({ name }) => name === 'secret'));
  });
});

/** The lines of a tunnel's pairs, asked as a daemon does; whoever was its daemon before is put off. */
async function pairsIn(socketPath: string): Promise<string[]> {
  const line = connect(socketPath);
  let text = '';
  line.on('data', (chunk: Buffer) => {
    text += String(chunk);
  });
  line.write('counts\n');
  await until('the tunnel answers', () => text.endsWith('\nok\n'));
  line.destroy();
  return text.split('\n').filter((each) => each.startsWith('count '));
}
