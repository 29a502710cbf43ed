// Addresses on the cluster's networks: one for each task, one for each service that has a virtual one, one for each
// container that no service owns. Who has which is read from the store; a book only adds where the search goes on and which addresses were given back lately, so that one
// rests before somebody else gets it. Pure: what a transaction that did not happen has taken is dropped with its pages.
import { contains, formatAddress, formatSubnet, parseAddress, parseSubnet, type Subnet } from '../../base/ipv4.ts';
import { isHost, poolsOf } from '../../proto/network-plan.ts';
import type { Network, NetworkAddress, NetworkId } from '../../proto/objects.ts';
import { isTerminal } from '../../proto/task-state.ts';
import type { View } from '../store/contract.ts';

/** Connections and neighbours' caches may still mean the owner before. */
const REST_MS = 30_000;
/** A network that has nothing else gives out what has rested this long. */
const REST_MS_MIN = 3_000;
const RETURNED_MAX = 100_000;

/** What a leader remembers between transactions. Lost with it: the next one begins behind the highest address in use. */
export class AddressBook {
  readonly #last = new Map<string, number>(); // by network and subnet
  readonly #returned = new Map<string, number>(); // since when, by network and address

  /** Addresses that lost their owner, which is gone from the store. */
  giveBack(addresses: readonly NetworkAddress[] | undefined, nowMs: number): void {
    for (const address of addresses ?? []) {
      const key = keyOf(address);
      this.#returned.delete(key);
      this.#returned.set(key, nowMs); // the oldest first
    }
    for (const [key, sinceMs] of this.#returned) {
      if (sinceMs + REST_MS > nowMs && this.#returned.size <= RETURNED_MAX) break;
      this.#returned.delete(key);
    }
  }

  /** To take addresses from in one transaction; `keep` once that is done. */
  open(view: View, nowMs: number): AddressPages {
    return new AddressPages(view, nowMs, this.#last, this.#returned);
  }

  keep(pages: AddressPages): void {
    for (const [subnet, address] of pages.last) this.#last.set(subnet, address);
  }
}

interface Page {
  readonly name: string;
  readonly pools: readonly Pool[];
  readonly used: Set<number>;
  readonly resting: Map<number, number>;
}

interface Pool {
  readonly key: string;
  readonly subnet: Subnet;
  /** Where addresses are chosen; others of the subnet may be asked for. */
  readonly range: Subnet;
}

export class AddressPages {
  readonly last: Map<string, number>;
  readonly #view: View;
  readonly #nowMs: number;
  readonly #returned: ReadonlyMap<string, number>;
  #pages: Map<NetworkId, Page> | undefined;
  #refusal = '';

  constructor(view: View, nowMs: number, last: ReadonlyMap<string, number>, returned: ReadonlyMap<string, number>) {
    this.#view = view;
    this.#nowMs = nowMs;
    this.#returned = returned;
    this.last = new Map(last);
  }

  /** Why the last `take` had no answer. */
  get refusal(): string {
    return this.#refusal;
  }

  /** An address on each of the networks; those of `have` stay. Undefined when one of them is full: then none is taken. */
  take(ids: readonly NetworkId[], have: readonly NetworkAddress[] = []): readonly NetworkAddress[] | undefined {
    const taken: NetworkAddress[] = [];
    const fresh: [Page, number][] = [];
    for (const networkId of ids) {
      const kept = have.find((each) => each.networkId === networkId);
      const page = this.#page(networkId);
      const found = kept ? parseAddress(kept.address) : page && this.#free(page);
      if (found === undefined) {
        for (const [of, address] of fresh) of.used.delete(address);
        this.#refusal = page ? this.#full(page) : `network ${networkId} not found`;
        return undefined;
      }
      if (!kept && page) {
        page.used.add(found);
        fresh.push([page, found]);
      }
      taken.push({ networkId, address: formatAddress(found) });
    }
    return taken;
  }

  /** This address and no other. False: it is taken, or not one of the network's; `refusal` says so. */
  claim(networkId: NetworkId, address: string): boolean {
    const page = this.#page(networkId);
    const asked = parseAddress(address);
    if (!page) this.#refusal = `network ${networkId} not found`;
    else if (!page.pools.some(({ subnet }) => contains(subnet, asked) && isHost(subnet, asked))) {
      const subnets = page.pools.map(({ subnet }) => formatSubnet(subnet)).join(', ');
      this.#refusal = `address ${address} is not in ${subnets} of network ${page.name}`;
    } else if (page.used.has(asked)) {
      this.#refusal = `Address already in use: ${address} of network ${page.name} belongs to another container or service`;
    } else {
      page.used.add(asked);
      return true;
    }
    return false;
  }

  #page(id: NetworkId): Page | undefined {
    this.#pages ??= readPages(this.#view, this.#returned);
    return this.#pages.get(id);
  }

  /** The first subnet that has one; of what rests, what has rested longest. */
  #free(page: Page): number | undefined {
    let longest: { address: number; sinceMs: number } | undefined;
    for (const pool of page.pools) {
      for (const address of this.#candidates(page, pool)) {
        const sinceMs = page.resting.get(address);
        if (sinceMs === undefined || sinceMs + REST_MS <= this.#nowMs) {
          this.last.set(pool.key, address);
          return address;
        }
        if (!longest || sinceMs < longest.sinceMs) longest = { address, sinceMs };
      }
    }
    return longest && longest.sinceMs + REST_MS_MIN <= this.#nowMs ? longest.address : undefined;
  }

  /** What nobody has, from behind the one that was given last. */
  *#candidates({ used }: Page, { key, subnet, range }: Pool): Generator<number, void, void> {
    const size = sizeOf(range);
    const before = this.last.get(key) ?? highest(used, range);
    for (let step = 1; step <= size; step += 1) {
      const address = range.base + ((before - range.base + step) % size);
      if (isHost(subnet, address) && !used.has(address)) yield address;
    }
  }

  #full({ name, pools, used }: Page): string {
    const counts = pools.map(({ subnet, range }) => {
      const ends = [range.base, range.base + sizeOf(range) - 1].filter((address) => !isHost(subnet, address)).length;
      const total = sizeOf(range) - ends;
      const taken = [...used].filter((address) => contains(range, address)).length;
      return { total, taken, text: `${taken} of ${total} in ${formatSubnet(range)}` };
    });
    const resting = counts.reduce((sum, { total, taken }) => sum + total - taken, 0);
    const rest = resting > 0 ? `, ${resting} were given back within the last ${REST_MS_MIN / 1000} s` : '';
    return `network ${name} has no free address: ${counts.map(({ text }) => text).join(' and ')} are taken${rest}`;
  }
}

function readPages(view: View, returned: ReadonlyMap<string, number>): Map<NetworkId, Page> {
  const pages = new Map([...view.networks.all()].map((network) => [network.id, pageOf(network)]));
  const note = ({ networkId, address }: NetworkAddress): void =>
    void pages.get(networkId)?.used.add(parseAddress(address));
  for (const service of view.services.all()) service.virtualAddresses?.forEach(note);
  for (const { networkId, address } of view.guests.all()) if (address !== undefined) note({ networkId, address });
  for (const task of view.tasks.all()) {
    if (!task.attachments) continue;
    // An orphan's node is out of reach: it may still run there.
    if (!isTerminal(task.status.state) || task.status.state === 'orphaned') task.attachments.forEach(note);
    else for (const each of task.attachments) rest(pages.get(each.networkId), each.address, task.updatedAtMs);
  }
  for (const [key, sinceMs] of returned) {
    const [networkId = '', address = ''] = key.split('/');
    rest(pages.get(networkId as NetworkId), address, sinceMs);
  }
  return pages;
}

function rest(page: Page | undefined, text: string, sinceMs: number): void {
  if (!page) return;
  const address = parseAddress(text);
  page.resting.set(address, Math.max(sinceMs, page.resting.get(address) ?? 0));
}

function pageOf(network: Network): Page {
  const pools = poolsOf(network);
  const used = pools.flatMap(({ gateway, auxiliary }) => [gateway, ...Object.values(auxiliary ?? {})]);
  return {
    name: network.spec.name,
    pools: pools.map(({ subnet, range = subnet }) => {
      return { key: `${network.id}/${subnet}`, subnet: parseSubnet(subnet), range: parseSubnet(range) };
    }),
    used: new Set(used.map((address) => parseAddress(address))),
    resting: new Map(),
  };
}

const sizeOf = ({ prefixLength }: Subnet): number => 2 ** (32 - prefixLength);

const highest = (used: ReadonlySet<number>, range: Subnet): number => {
  let found = range.base;
  for (const address of used) if (address > found && contains(range, address)) found = address;
  return found;
};

const keyOf = ({ networkId, address }: NetworkAddress): string => `${networkId}/${address}`;
