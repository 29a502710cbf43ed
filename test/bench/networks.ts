// `npm run bench -- --networks`: what networks cost on this machine, in network namespaces of their own, without
// containers: wiring, names, balancing, and the way of packets beside a plain pair of links; then, in a swarm of three
// nodes, how soon they agree. About two minutes; `--only machine` and `--only swarm` are its halves.
import { execFileSync, type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Scope } from '../../base/scope.ts';
import type { OverlayState } from '../../runtime/network/contract.ts';
import type { MachineNetworks } from '../../runtime/network/networks.ts';
import { balancing, joinInside } from './network-balancing.ts';
import { median, ms, type Row } from './network-rows.ts';
import { encryption, type Two } from './network-sealed.ts';
import { inSwarm } from './network-swarm.ts';
import { joinContainer, type LabMachine, NetworkLab, publish } from '../support/network-lab.ts';

const ROUNDS = 3;
const CONNECT_MS = 1_000;
const STREAM_MS = 1_000;
const PORTS = { greet: '7001', sink: '7002' } as const;
const PUBLISHED = 7101;

const NETWORK = {
  id: 'bench00000000000000000001',
  name: 'bench',
  vni: 4242,
  port: 0,
  subnet: '10.64.0.0/14',
  gateway: '10.64.0.1',
  internal: false,
  attachable: false,
  options: {},
} as const;
const [HERE, THERE, VIRTUAL] = ['10.64.0.3', '10.64.0.4', '10.64.0.2'] as const;

/** Built as the demo's server is, into a folder of its own. */
class Wire implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'shoal-wire-'));
  readonly #children: ChildProcess[] = [];
  readonly #program: string;

  constructor() {
    this.#program = join(this.#folder, 'wire');
    const source = resolve(import.meta.dirname, '../../../test/bench/wire/wire.c');
    execFileSync('cc', ['-O2', '-o', this.#program, source]);
  }

  async serve(namespace: string): Promise<void> {
    for (const [mode, port] of Object.entries(PORTS)) {
      const words = [`--net=${namespace}`, this.#program, mode, port];
      const child = spawn('nsenter', words, { stdio: ['ignore', 'pipe', 'inherit'] });
      this.#children.push(child);
      await once(child.stdout, 'data');
    }
  }

  measure<T>(namespace: string, ...words: (string | number)[]): T {
    const args = [`--net=${namespace}`, this.#program, ...words.map(String)];
    return JSON.parse(execFileSync('nsenter', args, { encoding: 'utf8', timeout: 20_000 })) as T;
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

interface Rate {
  readonly perSecond: number;
  readonly p50us: number;
}

/** From where to where. */
interface Way {
  readonly from: string;
  readonly to: string;
  readonly port?: string;
}

/** `only`: `machine` or `swarm`; '' is both. */
export async function networksBench(only: string): Promise<void> {
  const startMs = performance.now();
  const rows = [...('machine'.includes(only) ? await onMachines() : []), ...(await inSwarm(only))];
  print(rows, performance.now() - startMs);
}

async function onMachines(): Promise<Row[]> {
  await using owned = new Scope();
  const lab = owned.own(await NetworkLab.open());
  const wire = new Wire();
  owned.defer(() => wire[Symbol.dispose]());
  const [one, two, outside] = [await lab.machine(), await lab.machine(), await lab.machine()];
  const [first, second] = [await one.networks(), await two.networks()];
  const rows: Row[] = [];
  rows.push(...(await wiring(first)), ...(await names(first, wire)), ...(await balancing(lab, second, NETWORK)));

  const raw = await rawPair(owned, wire);
  const states = [0, 1].map((own) => stateFor([one.address, two.address], own));
  await Promise.all([first, second].map((each, at) => each.overlays.apply(100, states[at] as OverlayState)));
  const here = await joinInside(first, NETWORK.id, HERE);
  const there = await joinInside(second, NETWORK.id, THERE);
  await wire.serve(there.sandboxPath);
  const server = await joinContainer(first, { publish: [publish(PUBLISHED, Number(PORTS.greet))] });
  await wire.serve(server.sandboxPath);
  const ways = {
    raw,
    published: { from: outside.namespace, to: one.address, port: String(PUBLISHED) },
    routed: await routedWay(owned, lab, outside, wire),
    direct: { from: here.sandboxPath, to: THERE },
    virtual: { from: here.sandboxPath, to: VIRTUAL },
  };
  rows.push(...packets(wire, ways));
  const both: Two = [
    [one, first],
    [two, second],
  ];
  const serve = (path: string): Promise<void> => wire.serve(path);
  rows.push(...(await encryption(both, ways.direct, { serve, measure: (way) => measured(wire, way) })));
  return rows;
}

function measured(wire: Wire, { from, to }: Way): { readonly gigabits: number; readonly p50us: number } {
  const { gigabits } = wire.measure<{ gigabits: number }>(from, 'stream', to, PORTS.sink, STREAM_MS);
  return { gigabits, p50us: wire.measure<Rate>(from, 'connects', to, PORTS.greet, CONNECT_MS).p50us };
}

/** Two namespaces, one pair of links, nothing between. */
async function rawPair(owned: Scope, wire: Wire): Promise<Way> {
  const tag = randomBytes(3).toString('hex');
  const [a, b] = [`shoal-${tag}-a`, `shoal-${tag}-b`];
  const ip = (...words: string[]) => execFileSync('ip', words);
  for (const name of [a, b]) {
    ip('netns', 'add', name);
    owned.defer(() => void ip('netns', 'delete', name));
  }
  ip('-n', a, 'link', 'add', 'wire', 'type', 'veth', 'peer', 'name', 'wire', 'netns', b);
  for (const [name, address] of [
    [a, '198.51.100.1/24'],
    [b, '198.51.100.2/24'],
  ] as const) {
    ip('-n', name, 'address', 'add', address, 'dev', 'wire');
    ip('-n', name, 'link', 'set', 'wire', 'up');
  }
  await wire.serve(`/run/netns/${b}`);
  return { from: `/run/netns/${a}`, to: '198.51.100.2' };
}

/** The same links and switches as to a published port, on a machine without a packet rule: the client has a route. */
async function routedWay(owned: Scope, lab: NetworkLab, outside: LabMachine, wire: Wire): Promise<Way> {
  const machine = await lab.machine();
  const name = `shoal-${randomBytes(3).toString('hex')}-c`;
  execFileSync('ip', ['netns', 'add', name]);
  owned.defer(() => void execFileSync('ip', ['netns', 'delete', name]));
  const ip = (words: string): Promise<string> => machine.run('ip', ...words.split(' '));
  await machine.run('sysctl', '-qw', 'net.ipv4.ip_forward=1');
  await ip('link add inner type bridge');
  await ip(`link add outer type veth peer name wire netns ${name}`);
  await ip('link set outer master inner up');
  await ip('link set inner up');
  await ip('address add 198.51.100.17/28 dev inner');
  const inside = (words: string) => execFileSync('ip', ['-n', name, ...words.split(' ')]);
  inside('address add 198.51.100.18/28 dev wire');
  inside('link set wire up');
  inside('route add default via 198.51.100.17');
  await outside.run('ip', 'route', 'add', '198.51.100.16/28', 'via', machine.address);
  await wire.serve(`/run/netns/${name}`);
  return { from: outside.namespace, to: '198.51.100.18' };
}

function stateFor(nodes: readonly string[], own: number): OverlayState {
  const endpoints = [HERE, THERE].map((address, at) => ({
    address,
    lost: false,
    ...(at !== own && { node: { id: `node${at}`, address: nodes[at] ?? '', port: 4789 } }),
  }));
  return { network: NETWORK, endpoints, services: [{ virtualAddress: VIRTUAL, targets: [THERE] }], names: [] };
}

async function wiring(networks: MachineNetworks): Promise<Row[]> {
  const joins: number[] = [];
  const creates: number[] = [];
  for (let count = 0; count < 40; count += 1) {
    const startMs = performance.now();
    const endpoint = await joinContainer(networks);
    joins.push(performance.now() - startMs);
    await networks.leave(endpoint);
    await new Promise((done) => setTimeout(done, 20)); // as far apart that the reserve of namespaces is full again
  }
  for (let count = 0; count < 11; count += 1) {
    const request = {
      name: `n${count}`,
      driver: 'bridge',
      labels: {},
      options: {},
      internal: false,
      attachable: false,
    };
    const startMs = performance.now();
    await networks.create(request);
    creates.push(performance.now() - startMs);
  }
  const sandboxes: number[] = [];
  for (let count = 0; count < 11; count += 1) {
    const network = { ...NETWORK, id: `first${count}`, name: `first${count}`, vni: 5_000 + count };
    const startMs = performance.now();
    await networks.overlays.apply(1, { network, endpoints: [], services: [], names: [] });
    sandboxes.push(performance.now() - startMs);
    await networks.overlays.drop(network.id);
  }
  return [
    { what: 'wire one container, p50', measured: ms(median(joins)), goal: '≤ 3 ms' },
    { what: 'make a network of the machine, p50', measured: ms(median(creates)), goal: '≤ 15 ms' },
    { what: 'first sandbox of a network between nodes, p50', measured: ms(median(sandboxes)), goal: '≤ 15 ms' },
  ];
}

async function names(networks: MachineNetworks, wire: Wire): Promise<Row[]> {
  const { id: network } = networks.get('n0');
  const client = await joinContainer(networks, { network, aliases: ['client'] });
  const server = await joinContainer(networks, { network, aliases: ['server'] });
  const ask = (window: number) =>
    wire.measure<Rate>(client.sandboxPath, 'names', '127.0.0.11', '53', 'server', CONNECT_MS, window);
  ask(16); // what is asked first is compiled first
  const alone = rounds(() => ask(1));
  const many = rounds(() => ask(64));
  for (const endpoint of [client, server]) await networks.leave(endpoint);
  return [
    {
      what: 'a name, asked alone, p50',
      measured: `${median(alone.map(({ p50us }) => p50us)).toFixed(0)} µs`,
      goal: '≤ 40 µs',
    },
    { what: 'names, 64 under way', measured: `${perSecond(many)} answers/s`, goal: '≥ 25 000' },
  ];
}

/** Alternately, so that a busy moment of the machine meets all of them. */
function packets(
  wire: Wire,
  ways: Readonly<Record<'raw' | 'published' | 'routed' | 'direct' | 'virtual', Way>>,
): Row[] {
  const rates = { raw: [], published: [], routed: [], direct: [], virtual: [] } as Record<keyof typeof ways, Rate[]>;
  const gigabits = { raw: [], direct: [], virtual: [] } as Record<'raw' | 'direct' | 'virtual', number[]>;
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const name of ['raw', 'published', 'routed', 'direct', 'virtual'] as const) {
      const { from, to, port = PORTS.greet } = ways[name];
      rates[name].push(wire.measure<Rate>(from, 'connects', to, port, CONNECT_MS));
    }
    for (const name of ['raw', 'direct', 'virtual'] as const) {
      const { from, to } = ways[name];
      gigabits[name].push(wire.measure<{ gigabits: number }>(from, 'stream', to, PORTS.sink, STREAM_MS).gigabits);
    }
  }
  const p50 = (name: keyof typeof rates): number => median(rates[name].map(({ p50us }) => p50us));
  const speed = (name: keyof typeof rates): number => median(rates[name].map((each) => each.perSecond));
  const share = (part: number, whole: number): string => `${((part / whole) * 100).toFixed(0)} %`;
  const flow = (name: keyof typeof gigabits): number => median(gigabits[name]);
  const streamed = (name: 'direct' | 'virtual'): string =>
    `${flow(name).toFixed(1)} of ${flow('raw').toFixed(1)} Gbit/s, ${share(flow(name), flow('raw'))}`;
  return [
    {
      what: 'connection and first byte by a virtual address, over direct, p50',
      measured: `${p50('virtual').toFixed(0)} − ${p50('direct').toFixed(0)} = ${(p50('virtual') - p50('direct')).toFixed(0)} µs`,
      goal: '≤ 15 µs',
    },
    {
      what: 'connections to a published port beside a plain pair of links',
      measured: `${speed('published').toFixed(0)} of ${speed('raw').toFixed(0)}/s, ${share(speed('published'), speed('raw'))}`,
      goal: '≥ 85 %',
    },
    {
      what: 'connections to a published port beside the same links and switches without a rule',
      measured: `${speed('published').toFixed(0)} of ${speed('routed').toFixed(0)}/s, ${share(speed('published'), speed('routed'))}`,
      goal: 'none was set',
    },
    { what: 'one stream between nodes beside it', measured: streamed('direct'), goal: '≥ 75 %' },
    { what: 'one stream by a virtual address beside it', measured: streamed('virtual'), goal: '≥ 65 %' },
  ];
}

const rounds = <T>(work: () => T): T[] => Array.from({ length: ROUNDS }, work);

const perSecond = (rates: readonly Rate[]): string => median(rates.map((each) => each.perSecond)).toFixed(0);

function print(rows: readonly Row[], tookMs: number): void {
  const load = loadavg()
    .map((value) => value.toFixed(1))
    .join(' ');
  console.log(`load average ${load}, Node ${process.versions.node}, ${(tookMs / 1_000).toFixed(0)} s\n`);
  console.log('| work | measured | goal |\n|---|---|---|');
  for (const { what, measured, goal } of rows) console.log(`| ${what} | ${measured} | ${goal} |`);
}
