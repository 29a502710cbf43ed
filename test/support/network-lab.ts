// Machines as network namespaces on one switch, for tests that need root. Everything is named and removed by the lab.
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import type { Endpoint } from '../../runtime/network/contract.ts';
import { nativeBinary } from '../../runtime/native/binary.ts';
import { createNetworks, type MachineNetworks } from '../../runtime/network/networks.ts';
import type { NetworksOptions } from '../../runtime/network/networks-options.ts';

const run = promisify(execFile);

export interface LabMachine {
  readonly namespace: string; // path
  readonly address: string;
  readonly address6: string;
  networks(options?: Partial<NetworksOptions>): Promise<MachineNetworks>;
  /** A command's output, run in the machine's namespace. */
  run(command: string, ...args: string[]): Promise<string>;
}

/** A switch is no firewall. Where the kernel module is not loaded there is nothing to turn off. */
const SWITCH_WITHOUT_RULES = ['iptables', 'ip6tables', 'arptables'].map(
  (name) => `net.bridge.bridge-nf-call-${name}=0`,
);

const openLabs = new Set<NetworkLab>();
process.on('exit', () => {
  for (const lab of openLabs) lab.abandon();
});

function mountsBelow(directory: string): string[] {
  const targets = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '');
  return targets.filter((path) => path.startsWith(`${directory}/`));
}

export class NetworkLab implements AsyncDisposable {
  readonly #tag = randomBytes(3).toString('hex');
  readonly #namespaces: string[] = [];
  readonly #children: ChildProcess[] = [];
  readonly #open: MachineNetworks[] = [];
  #directory = '';
  #machines = 0;

  static async open(): Promise<NetworkLab> {
    const lab = new NetworkLab();
    openLabs.add(lab);
    lab.#directory = await mkdtemp(join(tmpdir(), 'shoal-net-'));
    await lab.#addNamespace('switch');
    await lab.#ip('switch', 'link', 'add', 'wire', 'type', 'bridge');
    await lab.#ip('switch', 'link', 'set', 'wire', 'up');
    await run('nsenter', [`--net=${lab.path('switch')}`, 'sysctl', '-eqw', ...SWITCH_WITHOUT_RULES]);
    return lab;
  }

  /** A machine at 192.0.2.N and 2001:db8::N on the switch. */
  async machine(): Promise<LabMachine> {
    const number = ++this.#machines;
    const name = `m${number}`;
    const [address, address6] = [`192.0.2.${number}`, `2001:db8::${number}`];
    await this.#addNamespace(name);
    const [inside, outside] = ['uplink', `p${number}`];
    await this.#ip('switch', 'link', 'add', outside, 'type', 'veth', 'peer', 'name', inside, 'netns', this.#name(name));
    await this.#ip('switch', 'link', 'set', outside, 'master', 'wire', 'up');
    await this.#ip(name, 'address', 'add', `${address}/24`, 'dev', inside);
    await this.#ip(name, 'link', 'set', inside, 'up');
    await this.#ip(name, 'address', 'add', `${address6}/64`, 'dev', inside, 'nodad');
    await this.#ip(name, 'link', 'set', 'lo', 'up');
    const namespace = this.path(name);
    return {
      namespace,
      address,
      address6,
      networks: (options) => this.#networks(name, options),
      run: async (command, ...args) => (await run('nsenter', [`--net=${namespace}`, command, ...args])).stdout,
    };
  }

  path(name: string): string {
    return `/run/netns/${this.#name(name)}`;
  }

  /** Directories of a machine's daemon, to look at. */
  execRoot(machine: LabMachine): string {
    return join(this.#directory, machine.address, 'run');
  }

  /** For one more daemon on a machine. */
  directories(machine: LabMachine, name: string): Pick<NetworksOptions, 'dataRoot' | 'execRoot'> {
    const root = join(this.#directory, `${machine.address}-${name}`);
    return { dataRoot: join(root, 'data'), execRoot: join(root, 'run') };
  }

  /** A TCP server that answers each connection with `text` and the client's address; resolves when it listens. */
  async serve(namespace: string, port: number, text: string, on = '0.0.0.0'): Promise<ChildProcess> {
    return await this.#script(
      namespace,
      `require('net').createServer((c) => { c.on('error', () => {}); c.write('${text} ' + c.remoteAddress + '\\n'); c.on('data', (d) => c.write('${text} ' + d)); c.on('end', () => c.end()); }).listen(${port}, '${on}', () => console.log('ready'))`,
    );
  }

  async serveDatagrams(
    namespace: string,
    port: number,
    text: string,
    family: 'udp4' | 'udp6' = 'udp4',
  ): Promise<ChildProcess> {
    return await this.#script(
      namespace,
      `const s = require('dgram').createSocket('${family}'); s.on('message', (m, r) => s.send('${text} ' + r.address, r.port, r.address)); s.bind(${port}, () => console.log('ready'))`,
    );
  }

  /** A command in the network of a container. */
  async inside(namespace: string, ...command: readonly [string, ...string[]]): Promise<void> {
    await run('nsenter', [`--net=${namespace}`, ...command]);
  }

  /** The first line that the server at address:port sends, or the error's code. */
  async ask(namespace: string, address: string, port: number, options: { from?: string } = {}): Promise<string> {
    const from = options.from ? `, localAddress: '${options.from}'` : '';
    const script = `const c = require('net').connect({ host: '${address}', port: ${port}${from} }); c.setTimeout(1500, () => { console.log('TIMEOUT'); process.exit() }); c.on('error', (e) => { console.log(e.code); process.exit() }); c.on('data', (d) => { console.log(String(d).trim()); process.exit() })`;
    return (await run('nsenter', [`--net=${namespace}`, process.execPath, '-e', script])).stdout.trim();
  }

  /** One answer to a datagram from a fixed own port, or TIMEOUT. */
  async askDatagram(namespace: string, address: string, port: number, ownPort: number): Promise<string> {
    const family = address.includes(':') ? 'udp6' : 'udp4';
    const script = `const s = require('dgram').createSocket('${family}'); const out = (t) => { console.log(t); process.exit() }; s.on('message', (m) => out(String(m))); s.on('error', (e) => out(e.code)); setTimeout(() => out('TIMEOUT'), 700); s.bind(${ownPort}, () => s.send('hello', ${port}, '${address}'))`;
    return (await run('nsenter', [`--net=${namespace}`, process.execPath, '-e', script])).stdout.trim();
  }

  /** What 127.0.0.11 answers in a namespace, as Node's resolver reads it; or the error's code. */
  async resolve(namespace: string, name: string, type = 'A'): Promise<string> {
    const script = `const { Resolver } = require('dns').promises; const r = new Resolver({ timeout: 1500, tries: 1 }); r.setServers(['127.0.0.11']);
      r.resolve('${name}', '${type}').then((a) => console.log(JSON.stringify(a)), (e) => console.log(e.code))`;
    return await this.evaluate(namespace, script);
  }

  /** What a script prints in a namespace, until it ends. */
  async evaluate(namespace: string, source: string): Promise<string> {
    const { stdout } = await run('nsenter', [`--net=${namespace}`, process.execPath, '-e', source], {
      timeout: 20_000,
    });
    return stdout.trim();
  }

  /** A process of the test's own in a namespace; its first line of output is awaited. */
  async script(namespace: string, source: string): Promise<ChildProcess> {
    return await this.#script(namespace, source);
  }

  /** When the run ends in the middle of a test: at once, and without waiting for anybody. */
  abandon(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    for (const path of mountsBelow(this.#directory)) spawnSync('umount', ['-l', path]);
    for (const name of this.#namespaces) spawnSync('ip', ['netns', 'delete', name]);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    openLabs.delete(this);
    for (const child of this.#children) child.kill('SIGKILL');
    for (const networks of this.#open) await networks.destroy().catch(() => undefined);
    // Of daemons that the test shut down and did not start again.
    for (const path of mountsBelow(this.#directory)) await run('umount', [path]);
    for (const name of this.#namespaces) await run('ip', ['netns', 'delete', name]);
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #networks(name: string, options: Partial<NetworksOptions> = {}): Promise<MachineNetworks> {
    const root = join(this.#directory, `192.0.2.${name.slice(1)}`);
    const { path, sourceHash } = await nativeBinary(process.env['SHOAL_TEST_CACHE'] ?? '/tmp/shoal-native-cache');
    const networks = await createNetworks({
      netd: { command: 'nsenter', args: [`--net=${this.path(name)}`, path, 'netd', sourceHash] },
      dataRoot: join(root, 'data'),
      execRoot: join(root, 'run'),
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      auditPeriodMs: 0,
      ...options,
    });
    this.#open.push(networks);
    return networks;
  }

  async #script(namespace: string, source: string): Promise<ChildProcess> {
    const child = spawn('nsenter', [`--net=${namespace}`, process.execPath, '-e', source], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#children.push(child);
    await new Promise<void>((resolve, reject) => {
      child.stdout.once('data', () => resolve());
      child.once('exit', (code) => reject(new Error(`the script ended early (${code})`)));
    });
    return child;
  }

  #name(name: string): string {
    return `shoal-${this.#tag}-${name}`;
  }

  async #addNamespace(name: string): Promise<void> {
    await run('ip', ['netns', 'add', this.#name(name)]);
    this.#namespaces.push(this.#name(name));
  }

  async #ip(name: string, ...args: string[]): Promise<void> {
    await run('ip', ['-n', this.#name(name), ...args]);
  }
}

let containers = 0;

/** A container as far as the network knows one. */
export async function joinContainer(
  networks: MachineNetworks,
  options: Partial<Parameters<MachineNetworks['join']>[0]> = {},
): Promise<Endpoint> {
  const containerId = (++containers).toString(16).padStart(12, 'c').padEnd(64, '0');
  return await networks.join({
    containerId,
    network: 'bridge',
    hostname: '',
    aliases: [],
    publish: [],
    ...options,
  });
}

export const publish = (
  hostPort: number,
  containerPort: number,
  options: { protocol?: 'tcp' | 'udp'; hostAddress?: string } = {},
): { protocol: 'tcp' | 'udp'; containerPort: number; hostAddress: string; hostPort: number } => ({
  protocol: options.protocol ?? 'tcp',
  containerPort,
  hostAddress: options.hostAddress ?? '',
  hostPort,
});
