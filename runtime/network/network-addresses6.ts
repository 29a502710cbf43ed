// The IPv6 addresses of one network: one or more subnets, tried in order. Pure.
import { CodedError } from '../../base/errors.ts';
import { failFull } from './address-pool.ts';
import { AddressPool6 } from './address-pool6.ts';
import { contains6, formatAddress6, formatSubnet6, parseAddress6, parseSubnet6, type Subnet6 } from './addresses.ts';
import type { PoolRecord } from './registry.ts';

export interface SubnetGateway6 {
  readonly subnet: Subnet6;
  readonly gateway: bigint;
}

export class NetworkAddresses6 {
  readonly #name: string;
  readonly #pools: readonly { readonly pool: AddressPool6; readonly gateway: bigint }[];

  constructor(name: string, records: readonly PoolRecord[]) {
    this.#name = name;
    this.#pools = records.map((record) => {
      const gateway = parseAddress6(record.gateway);
      const others = Object.values(record.auxiliary).map((address) => parseAddress6(address));
      const range = record.range === '' ? undefined : parseSubnet6(record.range);
      return { pool: new AddressPool6(parseSubnet6(record.subnet), [gateway, ...others], range), gateway };
    });
  }

  /**
   * Rather the address that is as far from its subnet's as the container's IPv4 address is from its own. As MAC addresses
   * follow from IPv4 addresses, an address has the same MAC address with its next owner.
   */
  take(nowMs: number, offset: number): bigint {
    const attempts = [
      (pool: AddressPool6) => pool.tryTakeAt(BigInt(offset), nowMs),
      (pool: AddressPool6) => pool.tryTake(nowMs),
      (pool: AddressPool6) => pool.tryTakeTired(nowMs),
    ];
    for (const attempt of attempts) {
      for (const { pool } of this.#pools) {
        const address = attempt(pool);
        if (address !== undefined) return address;
      }
    }
    return failFull(
      `network ${this.#name} (${this.#subnets()})`,
      ': remove containers from it, or make one with a larger subnet',
      6,
    );
  }

  claim(address: bigint): void {
    const found = this.#pools.find(({ pool }) => contains6(pool.subnet, address));
    if (!found) {
      throw new CodedError(
        'invalid',
        `no configured subnet contains IP address ${formatAddress6(address)}: network ${this.#name} has ${this.#subnets()}`,
      );
    }
    found.pool.claim(address);
  }

  release(address: bigint, nowMs: number): void {
    this.#pools.find(({ pool }) => contains6(pool.subnet, address))?.pool.release(address, nowMs);
  }

  /** The subnet and gateway of an address that was handed out. */
  placeOf(address: bigint): SubnetGateway6 {
    const found = this.#pools.find(({ pool }) => contains6(pool.subnet, address)) ?? this.#pools[0];
    if (!found) throw new CodedError('internal', `network ${this.#name} has no IPv6 subnet`);
    return { subnet: found.pool.subnet, gateway: found.gateway };
  }

  #subnets(): string {
    return this.#pools.map(({ pool }) => formatSubnet6(pool.subnet)).join(', ');
  }
}
