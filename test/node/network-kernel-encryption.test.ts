// What is planned for encryption by the kernel, as far as every kernel can do it: a link of another kind stands for that of
// ESP. The states and policies themselves need a kernel that has them.
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { nativeBinary } from '../../runtime/native/binary.ts';
import { formatAddress, parseAddress } from '../../runtime/network/addresses.ts';
import { espLinkEnd, espLinkSteps, espPlan, espSteps, NO_ESP } from '../../runtime/network/esp-plan.ts';
import { insideAddress } from '../../runtime/network/kernel-pairs.ts';
import { planKernelRules, WIREGUARD_TABLE } from '../../runtime/network/kernel-ruleset.ts';
import { Netd } from '../../runtime/network/netd.ts';
import {
  NETLINK_GENERIC,
  NETLINK_NETFILTER,
  NETLINK_ROUTE,
  readNetlinkResult,
  type Step,
} from '../../runtime/network/netd-protocol.ts';
import { MessageWriter, NLM_F_DUMP, readAttributes, readMessages, readText } from '../../runtime/network/netlink.ts';
import { askFamily, readFamily } from '../../runtime/network/wireguard-messages.ts';
import { NetworkLab } from '../support/network-lab.ts';
import { requireRoot } from '../support/requirements.ts';

const VNI = 4343;
const INDEX = 70_000;

async function netdIn(namespace: string): Promise<Netd> {
  const { path, sourceHash } = await nativeBinary(process.env['SHOAL_TEST_CACHE'] ?? '/tmp/shoal-native-cache');
  const nobody = (): void => undefined;
  return await Netd.start({
    command: 'nsenter',
    args: [`--net=${namespace}`, path, 'netd', sourceHash],
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    onGeneration: nobody,
    onLink: nobody,
    onHeard: nobody,
    onRestart: nobody,
  });
}

/** Without the making of a link that this kernel may not have. */
function withoutMaking(step: Step): Step {
  assert.ok(step.do === 'netlink');
  const messages = Buffer.from(step.messages);
  const [first] = readMessages(messages);
  const isMaking = step.where === '' && first?.type === 16;
  return isMaking ? { ...step, messages: messages.subarray((messages.readUInt32LE(0) + 3) & ~3) } : step;
}

describe('encryption by the kernel', function () {
  this.timeout(30_000);

  before(function () {
    requireRoot(this);
  });

  it('moves a link to where the packets are, with its address, and leads there what is for other nodes', async () => {
    await using lab = await NetworkLab.open();
    const [machine, tunnel] = [await lab.machine(), await lab.machine()];
    const netd = await netdIn(machine.namespace);
    try {
      await machine.run('ip', 'link', 'add', 'esp4343', 'index', String(INDEX), 'type', 'veth', 'peer', 'far0');
      await machine.run('ip', 'link', 'set', 'far0', 'up');
      const where = tunnel.namespace;
      const [held] = await netd.do('holding', [{ do: 'hold-namespace', path: where }]);
      const namespaceFd = held?.bytes.readUInt32LE(0) ?? assert.fail('it is not held');
      const place = { index: INDEX, namespacePath: where, namespaceFd, mtu: 1440 };
      const end = (number: number) => ({
        id: `node${number}`,
        address: parseAddress(`192.0.2.${number}`),
        life: 'ab'.repeat(16),
      });
      const network = { id: 'net1', interfaceId: VNI, keys: [{ id: 1, secret: 'ab'.repeat(32) }], sendId: 1 };
      await netd.do('moving', espLinkSteps(network, end(1), place).map(withoutMaking));
      const plan = espPlan(network, end(1), [end(2), end(3)]);
      const { make } = espSteps(NO_ESP, plan, place);
      const { remove } = espSteps(plan, espPlan(network, end(1), [end(2)]), place);
      const isRoute = (step: Step): boolean => step.do === 'netlink' && step.family === NETLINK_ROUTE;
      const [own, second, third] = [1, 2, 3].map((number) => formatAddress(insideAddress('net1', `node${number}`)));
      await netd.do('routing', make.filter(isRoute));
      const way = await tunnel.run('ip', 'route', 'get', second ?? '');
      assert.match(way, new RegExp(`dev esp4343 src ${own} `));
      assert.match(await tunnel.run('ip', 'link', 'show', 'esp4343'), /mtu 1440 .*state (UNKNOWN|UP)/);
      await netd.do('routing', remove.filter(isRoute));
      const routes = await tunnel.run('ip', 'route', 'show', 'dev', 'esp4343');
      assert.ok(routes.includes(second ?? '?') && !routes.includes(third ?? '?'), routes);
      await netd.do('ending', espLinkEnd(place));
      assert.doesNotMatch(await tunnel.run('ip', 'link', 'show'), /esp4343/);
      await assert.rejects(netd.do('ending', espLinkEnd(place)));
    } finally {
      await netd.close();
    }
  });

  it('asks generic netlink for WireGuard, which is answered with its number or not known, and lists as dumps do', async () => {
    await using lab = await NetworkLab.open();
    const machine = await lab.machine();
    const netd = await netdIn(machine.namespace);
    try {
      const ask = async (messages: Buffer): Promise<Buffer> => {
        const [result] = await netd.do('asking', [{ do: 'netlink', family: NETLINK_GENERIC, where: '', messages }]);
        return readNetlinkResult(result?.bytes ?? Buffer.alloc(0)).messages;
      };
      const isThere = await machine.run('ip', 'link', 'add', 'wg-test', 'type', 'wireguard').then(
        () => true,
        () => false,
      );
      if (isThere) assert.ok((readFamily(await ask(askFamily())) ?? 0) > 16);
      else await assert.rejects(ask(askFamily()), { errno: constants.errno.ENOENT });
      const writer = new MessageWriter();
      writer.message(16, NLM_F_DUMP, Buffer.from([3, 1, 0, 0]));
      const names = [...readMessages(await ask(writer.finish()))].map(({ body }) =>
        readText(readAttributes(body.subarray(4)).get(2)),
      );
      assert.deepEqual([names.includes('nlctrl'), names.includes('wireguard')], [true, isThere]);
    } finally {
      await netd.close();
    }
  });

  it('takes out of a network’s link what has the number of that network, and nothing else, nor passes it on', async () => {
    await using lab = await NetworkLab.open();
    const [machine, other] = [await lab.machine(), await lab.machine()];
    const netd = await netdIn(machine.namespace);
    try {
      const rules = (name: string): Step => ({
        do: 'netlink',
        family: NETLINK_NETFILTER,
        where: '',
        messages: planKernelRules([{ name, vni: VNI }]),
      });
      const elsewhere = planKernelRules([{ name: 'nobody1', vni: VNI }], WIREGUARD_TABLE);
      const ofWireguard = { ...rules(''), messages: elsewhere } as Step;
      await netd.do('setting packet rules', [ofWireguard, rules('nobody0'), rules('uplink')]);
      const heard = await lab.script(machine.namespace, LISTEN);
      const lines: string[] = [];
      heard.stdout?.on('data', (bytes: Buffer) => lines.push(...String(bytes).trim().split('\n')));
      const sent = [
        ['4789', VNI + 1, 'another network'],
        ['4790', VNI, 'another port'],
        ['4789', -1, 'too short'],
        ['4789', VNI, 'this network'],
      ];
      await other.run(process.execPath, '-e', SEND, machine.address, JSON.stringify(sent));
      while (lines.length === 0) await new Promise((resolve) => heard.stdout?.once('data', resolve));
      assert.deepEqual(lines, ['this network']);
      await assert.rejects(other.run('ping', '-c', '1', '-W', '1', machine.address));
      const listed = await machine.run('nft', 'list', 'table', 'inet', 'shoal_sealed');
      assert.match(listed, /iifname "uplink" udp dport 4789 @th,96,24 0x10f7 accept/);
      assert.match(listed, /hook forward[^}]*\n\s*drop/);
      assert.doesNotMatch(listed, /nobody0/);
      assert.match(await machine.run('nft', 'list', 'table', 'inet', WIREGUARD_TABLE), /iifname "nobody1" drop/);
    } finally {
      await netd.close();
    }
  });
});

const LISTEN = `
  const dgram = require('dgram');
  for (const port of [4789, 4790]) {
    const socket = dgram.createSocket('udp4');
    socket.on('message', (bytes) => console.log(bytes.length < 8 ? 'too short' : String(bytes.subarray(8))));
    socket.bind(port, () => port === 4790 && console.log('ready'));
  }`;

const SEND = `
  const [to, list] = process.argv.slice(1);
  const socket = require('dgram').createSocket('udp4');
  const next = ([first, ...rest]) => {
    if (!first) return socket.close();
    const [port, vni, text] = first;
    const head = Buffer.alloc(8);
    head[0] = 8;
    if (vni >= 0) head.writeUIntBE(vni, 4, 3);
    const bytes = vni < 0 ? Buffer.from('short') : Buffer.concat([head, Buffer.from(text)]);
    socket.send(bytes, Number(port), to, () => next(rest));
  };
  next(JSON.parse(list));`;
