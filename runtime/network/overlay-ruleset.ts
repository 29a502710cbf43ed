// The packet rules of a network's sandbox: connections to a service's virtual address go to one of its tasks, the
// client's address stays. Frames on the bridge pass them too (br_netfilter). Pure.
import { addressBytes } from './addresses.ts';
import {
  compare,
  type Element,
  type Expression,
  loadConntrack,
  loadConstant,
  loadMeta,
  loadPayload,
  lookup,
  mask,
  NftBatch,
  randomBelow,
  type SetShape,
  translateDestinationAddress,
  translateSource,
  typeOf,
} from './nft-messages.ts';

export interface OverlayRules {
  /** By virtual address; sorted, without doubles. */
  readonly services: ReadonlyMap<number, readonly number[]>;
  /** Containers of this node. */
  readonly local: ReadonlySet<number>;
  /** Who a container that reaches itself through a virtual address is answered by. */
  readonly gateway: number;
}

const TABLE = 'shoal_overlay';
const SERVICES = 'services';
const ITSELF = 'itself';
const SETS: Readonly<Record<string, SetShape>> = {
  [SERVICES]: { keyType: typeOf('address'), keyLength: 4, data: 'verdict' },
  [ITSELF]: { keyType: typeOf('address', 'address'), keyLength: 8 },
};
const ADDRESS = { type: typeOf('address'), length: 4 } as const;
const ICMP = Buffer.from([1]);
const IPV4 = Buffer.from([2]);
const TRANSLATED = Buffer.from([0x20, 0, 0, 0]);

const chainOf = (virtual: number): string => `service_${virtual.toString(16).padStart(8, '0')}`;

const onlyIpv4: readonly Expression[] = [loadMeta('nfproto'), compare('equal', IPV4)];

/** The sandbox answers an echo request itself. */
const balance: readonly Expression[] = [
  ...onlyIpv4,
  loadMeta('l4proto'),
  compare('not-equal', ICMP),
  loadPayload('destinationAddress'),
  lookup(SERVICES, 'verdict'),
];

/** Otherwise a container would get a packet from its own address, which it drops. */
function answerItself(gateway: number): Expression[] {
  const translated = [loadConntrack('status'), mask(TRANSLATED), compare('not-equal', Buffer.alloc(4))];
  const pair = [loadPayload('sourceAddress'), loadPayload('destinationAddress', 1), lookup(ITSELF)];
  return [...onlyIpv4, ...translated, ...pair, loadConstant(addressBytes(gateway)), translateSource];
}

function serviceElement(virtual: number): Element {
  return { key: addressBytes(virtual), data: { kind: 'jump', chain: chainOf(virtual) } };
}

function itselfElement(address: number): Element {
  return { key: Buffer.concat([addressBytes(address), addressBytes(address)]) };
}

function addTargets(batch: NftBatch, virtual: number, targets: readonly number[]): void {
  const [first] = targets;
  if (targets.length > 1) {
    const elements = targets.map((target, index) => ({ key: indexBytes(index), data: addressBytes(target) }));
    const id = batch.addAnonymousMap({ keyType: typeOf('integer'), keyLength: 4, data: ADDRESS }, elements);
    batch.addRule(chainOf(virtual), [
      randomBelow(elements.length),
      lookup({ id }, 'value'),
      translateDestinationAddress,
    ]);
  }
  // Also reached past a map whose elements went while a packet was in the old rules: see ruleset.ts.
  if (first !== undefined) {
    batch.addRule(chainOf(virtual), [loadConstant(addressBytes(first)), translateDestinationAddress]);
  }
}

function indexBytes(index: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(index);
  return bytes;
}

const same = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((each, index) => each === b[index]);

function change(batch: NftBatch, from: OverlayRules, to: OverlayRules): void {
  const usable = [...to.services].filter(([, targets]) => targets.length > 0);
  const has = (rules: OverlayRules, virtual: number): boolean => (rules.services.get(virtual)?.length ?? 0) > 0;
  for (const [virtual, targets] of usable) {
    if (!has(from, virtual)) {
      batch.addChain(chainOf(virtual));
      addTargets(batch, virtual, targets);
      batch.addElements(SERVICES, [serviceElement(virtual)]);
    } else if (!same(from.services.get(virtual) ?? [], targets)) {
      batch.flushChain(chainOf(virtual));
      addTargets(batch, virtual, targets);
    }
  }
  const gone = [...from.services.keys()].filter((virtual) => has(from, virtual) && !has(to, virtual));
  batch.deleteElements(SERVICES, gone.map(serviceElement));
  for (const virtual of gone) {
    batch.flushChain(chainOf(virtual));
    batch.deleteChain(chainOf(virtual));
  }
  const onlyIn = (here: OverlayRules, there: OverlayRules): Element[] =>
    [...here.local].filter((address) => !there.local.has(address)).map(itselfElement);
  batch.deleteElements(ITSELF, onlyIn(from, to));
  batch.addElements(ITSELF, onlyIn(to, from));
}

/** The transaction from one set of rules to another; undefined when there is nothing to do. */
export function planOverlayChange(from: OverlayRules, to: OverlayRules): Buffer | undefined {
  const batch = new NftBatch(TABLE);
  change(batch, from, to);
  return batch.isEmpty ? undefined : batch.finish();
}

/**
 * Replaces whatever is there, in one step for every packet. `fresh`: nothing can be there, so nothing is removed, which the
 * kernel would take its time over.
 */
export function planOverlayReplacement(to: OverlayRules, { fresh } = { fresh: false }): Buffer {
  const batch = new NftBatch(TABLE);
  if (!fresh) {
    batch.addTable();
    batch.deleteTable();
  }
  batch.addTable();
  for (const [name, shape] of Object.entries(SETS)) batch.addSet(name, shape);
  batch.addBaseChain('prerouting', { type: 'nat', hook: 'prerouting', priority: -100 });
  batch.addBaseChain('postrouting', { type: 'nat', hook: 'postrouting', priority: 100 });
  batch.addRule('prerouting', balance);
  batch.addRule('postrouting', answerItself(to.gateway));
  change(batch, { services: new Map(), local: new Set(), gateway: to.gateway }, to);
  return batch.finish();
}

/** Elements of each set, as nft-read.ts writes them, and the number of rules of each chain. For the audit. */
export function describeOverlayRules(rules: OverlayRules): {
  readonly sets: ReadonlyMap<string, ReadonlySet<string>>;
  readonly chains: ReadonlyMap<string, number>;
} {
  const usable = [...rules.services].filter(([, targets]) => targets.length > 0);
  const services = usable.map(([virtual]) => `${addressBytes(virtual).toString('hex')}:${chainOf(virtual)}`);
  const itself = [...rules.local].map((address) => itselfElement(address).key.toString('hex'));
  const counts = usable.map(([virtual, targets]) => [chainOf(virtual), targets.length > 1 ? 2 : 1] as const);
  return {
    sets: new Map([
      [SERVICES, new Set(services)],
      [ITSELF, new Set(itself)],
    ]),
    chains: new Map([['prerouting', 1], ['postrouting', 1], ...counts]),
  };
}

export const OVERLAY_TABLE = TABLE;
export const OVERLAY_SETS: readonly string[] = Object.keys(SETS);
