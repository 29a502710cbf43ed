// The addresses of one network: one or more subnets, tried in order. Pure.
import { AddressPool, failFull } from './address-pool.ts';
import { contains, formatAddress, formatSubnet, parseAddress, parseSubnet, type Subnet } from './addresses.ts';
import { CodedError } from '../../base/errors.ts';
import type { PoolRecord } from './registry.ts';

export interface SubnetGateway {
  readonly subnet: Subnet;
  readonly gateway: number;
}

export class NetworkAddresses {
  readonly #name: string;
  readonly #pools: readonly { readonly pool: AddressPool; readonly gateway: number }[];

  constructor(name: string, records: readonly PoolRecord[]) {
    this.#name = name;
    this.#pools = records.map((record) => {
      const gateway = parseAddress(record.gateway);
      const others = Object.values(record.auxiliary).map((address) => parseAddress(address));
      const range = record.range === '' ? {} : { range: parseSubnet(record.range) };
      const pool = new AddressPool(parseSubnet(record.subnet), { reserved: [gateway, ...others], ...range });
      return { pool, gateway };
    });
  }

  /** Code `exhausted` names the network and what became of its addresses. */
  take(nowMs: number): number {
    for (const { pool } of this.#pools) {
      const address = pool.tryTake(nowMs);
      if (address !== undefined) return address;
    }
    for (const { pool } of this.#pools) {
      const address = pool.tryTakeTired(nowMs);
      if (address !== undefined) return address;
    }
    const subnets = this.#pools.map(({ pool }) => formatSubnet(pool.subnet)).join(', ');
    return failFull(
      `network ${this.#name} (${subnets})`,
      ': remove containers from it, or make one with a larger subnet',
    );
  }

  claim(address: number): void {
    const pool = this.#poolOf(address);
    if (!pool) {
      throw new CodedError(
        'invalid',
        `no configured subnet contains IP address ${formatAddress(address)}: network ${this.#name} has ${this.#subnets()}`,
      );
    }
    pool.claim(address);
  }

  release(address: number, nowMs: number): void {
    this.#poolOf(address)?.release(address, nowMs);
  }

  /** The subnet and gateway of an address that was handed out. */
  placeOf(address: number): SubnetGateway {
    const found = this.#pools.find(({ pool }) => contains(pool.subnet, address)) ?? this.#pools[0];
    if (!found) throw new CodedError('internal', `network ${this.#name} has no subnet`);
    return { subnet: found.pool.subnet, gateway: found.gateway };
  }

  get freeCount(): number {
    return this.#pools.reduce((sum, { pool }) => sum + pool.freeCount, 0);
  }

  #poolOf(address: number): AddressPool | undefined {
    return this.#pools.find(({ pool }) => contains(pool.subnet, address))?.pool;
  }

  #subnets(): string {
    return this.#pools.map(({ pool }) => formatSubnet(pool.subnet)).join(', ');
  }
}
