// Host ports held for containers and services. A held port is bound by netd, so that a second holder, ours or a
// stranger, is refused when it asks.
import { constants } from 'node:os';
import { CodedError, codeOf, sentenceOf } from '../../base/errors.ts';
import { formatHost, type Ip, isSix, parseIp } from './addresses.ts';
import type { PortPublish } from './contract.ts';
import { type Netd, StepError } from './netd.ts';
import type { PortProtocol, Step } from './netd-protocol.ts';

const DEFAULT_RANGE = { first: 49_153, last: 65_535 };

export interface HeldPort {
  readonly handle: number;
  readonly protocol: PortProtocol;
  readonly addresses: readonly Ip[]; // 0 and 0n: any of the family
  readonly port: number;
}

/** Which families a container can be reached by. */
export interface Families {
  readonly six: boolean;
}

interface Range {
  readonly first: number;
  readonly last: number;
}

/** '': any address of every family that the container has. */
export function hostAddressesOf({ hostAddress }: PortPublish, { six }: Families): readonly Ip[] {
  if (hostAddress === '') return six ? [0, 0n] : [0];
  const address = parseIp(hostAddress, 'host address');
  if (!isSix(address) || six) return [address];
  throw new CodedError(
    'invalid',
    `a port can not be published on ${hostAddress}: the container has no IPv6 address (docker network create --ipv6)`,
  );
}

/** What the kernel hands out to clients by itself (`32768\t60999`). */
export function parseRange(text: string): Range {
  const [first, last] = text.trim().split(/\s+/).map(Number);
  const valid = first !== undefined && last !== undefined && first > 0 && last >= first && last < 65_536;
  return valid ? { first, last } : DEFAULT_RANGE;
}

export class Ports {
  readonly #netd: () => Netd;
  readonly #held = new Map<number, HeldPort>();
  readonly #cursors = new Map<PortProtocol, number>();
  #nextHandle = 1;
  #range: Range = DEFAULT_RANGE;

  constructor(netd: () => Netd) {
    this.#netd = netd;
  }

  async open(): Promise<void> {
    const step: Step = { do: 'read-sysctl', where: '', name: 'ipv4/ip_local_port_range' };
    const [result] = await this.#netd().do('reading the port range', [step]);
    if (result) this.#range = parseRange(result.bytes.toString());
  }

  /** Holds every port asked for, or none. `who` is the endpoint, for the sentence. */
  async hold(who: string, publishes: readonly PortPublish[], families: Families): Promise<HeldPort[]> {
    const held: HeldPort[] = [];
    try {
      for (const publish of publishes) held.push(await this.#holdOne(publish, families));
      return held;
    } catch (error) {
      await this.release(held);
      // The reason stands in the sentence itself, where Docker's clients look for it; as a cause it would be told twice.
      const sentence = `driver failed programming external connectivity on endpoint ${who}: ${sentenceOf(error)}`;
      throw new CodedError(codeOf(error), sentence);
    }
  }

  /** Holds one port if nobody has it; at least that of IPv4. */
  async tryHold(protocol: PortProtocol, port: number, { six }: Families): Promise<HeldPort | undefined> {
    const both = six ? await this.#tryBind(protocol, [0, 0n], port) : undefined;
    return both ?? (await this.#tryBind(protocol, [0], port));
  }

  async #tryBind(protocol: PortProtocol, addresses: readonly Ip[], port: number): Promise<HeldPort | undefined> {
    try {
      return await this.#bind(protocol, addresses, { first: port, last: port });
    } catch (error) {
      if (isInUse(error) || (error instanceof CodedError && error.code === 'conflict')) return undefined;
      throw error;
    }
  }

  async release(ports: readonly HeldPort[]): Promise<void> {
    const known = ports.filter((port) => this.#held.delete(port.handle));
    if (known.length === 0) return;
    await this.#netd().do(
      'releasing ports',
      known.map((port): Step => ({ do: 'release-port', handle: port.handle })),
    );
  }

  /** After netd was lost: holds again what it held. Answers those that somebody took meanwhile. */
  async holdAgain(): Promise<HeldPort[]> {
    const lost: HeldPort[] = [];
    for (const port of this.#held.values()) {
      const [result] = await this.#netd().run([
        reserveStep(port.handle, port.protocol, port.addresses, only(port.port)),
      ]);
      if (result?.errno !== 0) lost.push(port);
    }
    return lost;
  }

  async #holdOne(publish: PortPublish, families: Families): Promise<HeldPort> {
    const addresses = hostAddressesOf(publish, families);
    const { protocol, hostPort, hostPortLast = hostPort } = publish;
    try {
      if (hostPort !== 0) return await this.#bind(protocol, addresses, { first: hostPort, last: hostPortLast });
      return await this.#bindAnywhere(protocol, addresses);
    } catch (error) {
      if (!isInUse(error)) throw error;
      const host = formatHost(addresses[0] ?? 0);
      const where = hostPort === 0 ? host : `${host}:${hostPort}`;
      if (hostPort === 0) throw new CodedError('exhausted', `all ports of ${where} are allocated`);
      if (hostPortLast !== hostPort) {
        throw new CodedError('conflict', `all ports of ${where}-${hostPortLast}/${protocol} are allocated`);
      }
      throw new CodedError('conflict', `failed to bind host port ${where}/${protocol}: address already in use`);
    }
  }

  /** The ports after the last one given, so that a freed port rests; then from the start of the range. */
  async #bindAnywhere(protocol: PortProtocol, addresses: readonly Ip[]): Promise<HeldPort> {
    const { first, last } = this.#range;
    const start = this.#cursors.get(protocol) ?? first;
    let held: HeldPort;
    try {
      held = await this.#bind(protocol, addresses, { first: start, last });
    } catch (error) {
      if (!isInUse(error) || start === first) throw error;
      held = await this.#bind(protocol, addresses, { first, last: start - 1 });
    }
    this.#cursors.set(protocol, held.port >= last ? first : held.port + 1);
    return held;
  }

  async #bind(protocol: PortProtocol, addresses: readonly Ip[], range: Range): Promise<HeldPort> {
    const handle = this.#nextHandle++;
    if (range.first === range.last) this.#refuseOurs(protocol, addresses, range.first);
    const step = reserveStep(handle, protocol, addresses, range);
    const [result] = await this.#netd().do('holding a port', [step]);
    const held = { handle, protocol, addresses, port: result?.bytes.readUInt16LE(0) ?? 0 };
    this.#held.set(handle, held);
    return held;
  }

  #refuseOurs(protocol: PortProtocol, addresses: readonly Ip[], port: number): void {
    for (const held of this.#held.values()) {
      if (held.protocol !== protocol || held.port !== port) continue;
      const met = addresses.find((address) => held.addresses.some((other) => meets(address, other)));
      if (met === undefined) continue;
      throw new CodedError('conflict', `Bind for ${formatHost(met)}:${port} failed: port is already allocated`);
    }
  }
}

const isAny = (address: Ip): boolean => address === 0 || address === 0n;

const meets = (a: Ip, b: Ip): boolean => isSix(a) === isSix(b) && (a === b || isAny(a) || isAny(b));

const only = (port: number): Range => ({ first: port, last: port });

function reserveStep(handle: number, protocol: PortProtocol, addresses: readonly Ip[], range: Range): Step {
  return { do: 'reserve-port', handle, protocol, addresses, ...range };
}

const isInUse = (error: unknown): boolean => error instanceof StepError && error.errno === constants.errno.EADDRINUSE;
