// Network namespaces for containers, some made in advance: a namespace costs more than all of its wiring.
// A sandbox is a namespace file with its loopback up and, unless bare, a veth whose outer end has no master yet.
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError, sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { Endpoint } from './contract.ts';
import { type Instance, vethName } from './instance.ts';
import { addVeth, changeLink, INSIDE_INDEX, LOOPBACK_INDEX } from './link-messages.ts';
import type { Netd } from './netd.ts';
import { NETLINK_ROUTE, type Step } from './netd-protocol.ts';
import { MessageWriter } from './netlink.ts';

const FIRST_NAME = 'eth0';
const PATH_LENGTH_MAX = 200;

/** A namespace and one interface in it. */
export interface Sandbox {
  readonly path: string;
  readonly interfaceName: string; // eth0; '' for a bare one
  readonly hostInterfaceName: string; // '' for a bare one
}

export const sandboxOf = ({ sandboxPath, interfaceName, hostInterfaceName }: Endpoint): Sandbox => ({
  path: sandboxPath,
  interfaceName,
  hostInterfaceName,
});

/** eth3 has index 103. */
export const insideIndex = ({ interfaceName }: Pick<Sandbox, 'interfaceName'>): number =>
  INSIDE_INDEX + Number(interfaceName.slice(3));

/** What Docker sets in every container's own network namespace, and what keeps neighbours' caches right. */
const SYSCTLS: readonly (readonly [name: string, value: string])[] = [
  ['ipv4/ip_unprivileged_port_start', '0'],
  ['ipv4/ping_group_range', '0 2147483647'],
  ['ipv4/conf/default/arp_notify', '1'],
  ['ipv6/conf/default/disable_ipv6', '1'],
];

export class Sandboxes {
  readonly #netd: () => Netd;
  readonly #directory: string;
  readonly #instance: Instance;
  readonly #random: Random;
  readonly #log: Log;
  readonly #size: number;
  readonly #ready: Sandbox[] = [];
  readonly #mine = new Set<string>();
  #filling: Promise<void> | undefined;
  #closed = false;

  constructor(options: {
    netd: () => Netd;
    directory: string;
    instance: Instance;
    random: Random;
    log: Log;
    size: number;
  }) {
    this.#netd = options.netd;
    this.#directory = options.directory;
    this.#instance = options.instance;
    this.#random = options.random;
    this.#log = options.log;
    this.#size = options.size;
  }

  async open(): Promise<void> {
    if (Buffer.byteLength(this.#directory) > PATH_LENGTH_MAX) {
      throw new CodedError(
        'invalid',
        `the path ${this.#directory} is longer than ${PATH_LENGTH_MAX} bytes: choose a shorter exec root`,
      );
    }
    await mkdir(this.#directory, { recursive: true, mode: 0o710 });
  }

  /** Every namespace file there is: our pool, our endpoints, and what an earlier daemon left. */
  async paths(): Promise<string[]> {
    return (await readdir(this.#directory)).map((name) => join(this.#directory, name));
  }

  /** Those in reserve, being made, or given out by us. */
  inUse(): Iterable<string> {
    return this.#mine;
  }

  /** A ready one, or one made now. Call `fill` when it is wired: before, the wiring would wait for the next one. */
  async take(): Promise<Sandbox> {
    return this.#ready.shift() ?? (await this.#make());
  }

  /** Loopback only. */
  async makeBare(): Promise<Sandbox> {
    const path = join(this.#directory, this.#newId());
    this.#mine.add(path);
    await this.#netd().do('making a network namespace', namespaceSteps(path));
    return { path, interfaceName: '', hostInterfaceName: '' };
  }

  /** Gives the namespace back to the kernel, which takes its links down in its own time. */
  async discard(path: string): Promise<void> {
    await this.#netd().doAside('removing a network namespace', { do: 'remove-namespace', path });
    this.#mine.delete(path);
  }

  fill(): void {
    if (this.#closed || this.#filling || this.#ready.length >= this.#size) return;
    this.#filling = this.#fillUp()
      .catch((error: unknown) => this.#log.warn('no network namespace in reserve', { reason: sentenceOf(error) }))
      .finally(() => {
        this.#filling = undefined;
      });
  }

  /** Drops the reserve: at the end, or when memory is short (`fill` starts it again). */
  async drain(): Promise<void> {
    await this.#filling;
    const dropped = this.#ready.splice(0);
    await Promise.all(dropped.map((sandbox) => this.discard(sandbox.path)));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.drain();
  }

  async #fillUp(): Promise<void> {
    while (!this.#closed && this.#ready.length < this.#size) this.#ready.push(await this.#make());
  }

  #newId(): string {
    return Buffer.from(this.#random.bytes(6)).toString('hex');
  }

  async #make(): Promise<Sandbox> {
    const id = this.#newId();
    const sandbox = {
      path: join(this.#directory, id),
      interfaceName: FIRST_NAME,
      hostInterfaceName: vethName(this.#instance, id),
    };
    this.#mine.add(sandbox.path);
    try {
      const steps = [...namespaceSteps(sandbox.path), ...this.linkSteps(sandbox)];
      await this.#netd().do('making a network namespace', steps);
    } catch (error) {
      await this.discard(sandbox.path);
      throw error;
    }
    return sandbox;
  }

  /** A further interface of a namespace that exists. */
  further(path: string, number: number, id: string): Sandbox {
    return { path, interfaceName: `eth${number}`, hostInterfaceName: vethName(this.#instance, id) };
  }

  /** `outsideFd`: the namespace of the outer end, as netd holds it; absent: the node's. */
  linkSteps(sandbox: Sandbox, outsideFd = this.#netd().hello.homeFd): Step[] {
    const writer = new MessageWriter();
    addVeth(writer, {
      inside: sandbox.interfaceName,
      index: insideIndex(sandbox),
      outside: sandbox.hostInterfaceName,
      homeFd: outsideFd,
      group: this.#instance.linkGroup,
    });
    return [
      { do: 'netlink', family: NETLINK_ROUTE, where: sandbox.path, messages: writer.finish() },
      withoutIpv6(sandbox.hostInterfaceName),
    ];
  }
}

/** A link of the node that makes no IPv6 address of its own accord: what nobody asked for answers nobody. */
export function withoutIpv6(name: string): Step {
  return { do: 'write-sysctl', where: '', name: `ipv6/conf/${name}/disable_ipv6`, value: '1', mayFail: true };
}

function namespaceSteps(path: string): Step[] {
  const writer = new MessageWriter();
  changeLink(writer, { index: LOOPBACK_INDEX, up: true });
  return [
    { do: 'create-namespace', path },
    // A kernel without one of them (no IPv6) has nothing to set.
    ...SYSCTLS.map(([name, value]): Step => ({ do: 'write-sysctl', where: path, name, value, mayFail: true })),
    { do: 'netlink', family: NETLINK_ROUTE, where: path, messages: writer.finish() },
  ];
}
