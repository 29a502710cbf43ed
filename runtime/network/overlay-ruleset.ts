// The packet rules of a network's sandbox: connections to a service's virtual address go to one of its tasks, the
// client's address stays. Frames on the bridge pass them too (br_netfilter). Pure.
import { fail } from '../../base/errors.ts';
import { sixOfFour, type SixPlace, sixPlaces } from '../../base/six-of-four.ts';
import { addressBytes, addressBytes6 } from './addresses.ts';
import type { Bridge } from './bridges.ts';
import { fillSlots } from './client-slots.ts';
import {
  compare,
  hashBelow,
  loadConntrack,
  loadConstant,
  loadMeta,
  loadPayload,
  lookup,
  mask,
  randomBelow,
  translateDestinationAddress,
  translateDestinationAddress6,
  translateSource,
  translateSource6,
} from './nft-expressions.ts';
import { type Element, type Expression, NftBatch, typeOf } from './nft-messages.ts';

export interface OverlayRules {
  /** By virtual address; sorted, without doubles. */
  readonly services: ReadonlyMap<number, readonly number[]>;
  /** Virtual addresses whose clients stay with a back end (client-slots.ts). */
  readonly byClient: ReadonlySet<number>;
  /** Containers of this node. */
  readonly local: ReadonlySet<number>;
  /** Who a container that reaches itself through a virtual address is answered by. */
  readonly gateway: number;
  /** With IPv6. It never changes. */
  readonly six?: Six;
}

/** What IPv6 addresses follow from; never empty. */
export type Six = readonly SixPlace[];

/** Undefined: without IPv6. */
export function sixOfBridge({ subnets, subnets6 }: Pick<Bridge, 'subnets' | 'subnets6'>): Six | undefined {
  const subnetOf = <Subnet>({ subnet }: { readonly subnet: Subnet }): Subnet => subnet;
  const places = sixPlaces(subnets.map(subnetOf), subnets6.map(subnetOf));
  return places.length > 0 ? places : undefined;
}

export const sixOf = (six: Six, address: number): bigint =>
  sixOfFour(six, address) ?? fail('internal', 'there is an IPv6 subnet');

const TABLE = 'shoal_overlay';

/** What differs between the families. */
interface Family {
  readonly services: string;
  readonly itself: string;
  readonly chain: (virtual: number) => string;
  readonly bytes: (address: number) => Buffer;
  readonly registers: number;
  readonly type: 'address' | 'address6';
  readonly length: number;
  readonly only: readonly Expression[];
  readonly echo: Buffer;
  readonly source: Expression;
  readonly destination: (to?: number) => Expression;
  readonly toDestination: Expression;
  readonly fromSource: Expression;
}

const hex = (virtual: number): string => virtual.toString(16).padStart(8, '0');

const FOUR: Family = {
  services: 'services',
  itself: 'itself',
  chain: (virtual) => `service_${hex(virtual)}`,
  bytes: addressBytes,
  registers: 1,
  type: 'address',
  length: 4,
  only: [loadMeta('nfproto'), compare('equal', Buffer.from([2]))],
  echo: Buffer.from([1]),
  source: loadPayload('sourceAddress'),
  destination: (to = 0) => loadPayload('destinationAddress', to),
  toDestination: translateDestinationAddress,
  fromSource: translateSource,
};

const sixFamily = (six: Six): Family => ({
  services: 'services6',
  itself: 'itself6',
  chain: (virtual) => `service6_${hex(virtual)}`,
  bytes: (address) => addressBytes6(sixOf(six, address)),
  registers: 4,
  type: 'address6',
  length: 16,
  only: [loadMeta('nfproto'), compare('equal', Buffer.from([10]))],
  echo: Buffer.from([58]),
  source: loadPayload('sourceAddress6'),
  destination: (to = 0) => loadPayload('destinationAddress6', to),
  toDestination: translateDestinationAddress6,
  fromSource: translateSource6,
});

const familiesOf = ({ six }: Pick<OverlayRules, 'six'>): readonly Family[] => (six ? [FOUR, sixFamily(six)] : [FOUR]);

const TRANSLATED = Buffer.from([0x20, 0, 0, 0]);

/** The sandbox answers an echo request itself. */
function balance({ only, echo, destination, services }: Family): Expression[] {
  return [...only, loadMeta('l4proto'), compare('not-equal', echo), destination(), lookup(services, 'verdict')];
}

/** Otherwise a container would get a packet from its own address, which it drops. */
function answerItself(family: Family, gateway: number): Expression[] {
  const translated = [loadConntrack('status'), mask(TRANSLATED), compare('not-equal', Buffer.alloc(4))];
  const pair = [family.source, family.destination(family.registers), lookup(family.itself)];
  return [...family.only, ...translated, ...pair, loadConstant(family.bytes(gateway)), family.fromSource];
}

function serviceElement({ bytes, chain }: Family, virtual: number): Element {
  return { key: bytes(virtual), data: { kind: 'jump', chain: chain(virtual) } };
}

function itselfElement({ bytes }: Family, address: number): Element {
  return { key: Buffer.concat([bytes(address), bytes(address)]) };
}

function addTargets(batch: NftBatch, family: Family, virtual: number, { services, byClient }: OverlayRules): void {
  const { chain, bytes, type, length, source, toDestination } = family;
  const targets = services.get(virtual) ?? [];
  const [first] = targets;
  if (targets.length > 1) {
    const isByClient = byClient.has(virtual);
    const rows = isByClient ? fillSlots(targets).flatMap((index) => targets[index] ?? []) : targets;
    const elements = rows.map((target, index) => ({ key: indexBytes(index), data: bytes(target) }));
    const choice = isByClient ? [source, hashBelow(elements.length, length)] : [randomBelow(elements.length)];
    const data = { type: typeOf(type), length };
    const id = batch.addAnonymousMap({ keyType: typeOf('integer'), keyLength: 4, data }, elements);
    batch.addRule(chain(virtual), [...choice, lookup({ id }, 'value'), toDestination]);
  }
  // Also reached past a map whose elements went while a packet was in the old rules: see ruleset.ts.
  if (first !== undefined) batch.addRule(chain(virtual), [loadConstant(bytes(first)), toDestination]);
}

function indexBytes(index: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(index);
  return bytes;
}

function isSame(from: OverlayRules, to: OverlayRules, virtual: number): boolean {
  const [before, after] = [from, to].map(({ services }) => services.get(virtual) ?? []) as [number[], number[]];
  const sameTargets = before.length === after.length && before.every((each, index) => each === after[index]);
  return sameTargets && from.byClient.has(virtual) === to.byClient.has(virtual);
}

function change(batch: NftBatch, family: Family, from: OverlayRules, to: OverlayRules): void {
  const { chain, services } = family;
  const usable = [...to.services].filter(([, targets]) => targets.length > 0);
  const has = (rules: OverlayRules, virtual: number): boolean => (rules.services.get(virtual)?.length ?? 0) > 0;
  for (const [virtual] of usable) {
    if (!has(from, virtual)) {
      batch.addChain(chain(virtual));
      addTargets(batch, family, virtual, to);
      batch.addElements(services, [serviceElement(family, virtual)]);
    } else if (!isSame(from, to, virtual)) {
      batch.flushChain(chain(virtual));
      addTargets(batch, family, virtual, to);
    }
  }
  const gone = [...from.services.keys()].filter((virtual) => has(from, virtual) && !has(to, virtual));
  batch.deleteElements(
    services,
    gone.map((virtual) => serviceElement(family, virtual)),
  );
  for (const virtual of gone) {
    batch.flushChain(chain(virtual));
    batch.deleteChain(chain(virtual));
  }
  const onlyIn = (here: OverlayRules, there: OverlayRules): Element[] =>
    [...here.local].filter((address) => !there.local.has(address)).map((address) => itselfElement(family, address));
  batch.deleteElements(family.itself, onlyIn(from, to));
  batch.addElements(family.itself, onlyIn(to, from));
}

/** The transaction from one set of rules to another; undefined when there is nothing to do. */
export function planOverlayChange(from: OverlayRules, to: OverlayRules): Buffer | undefined {
  const batch = new NftBatch(TABLE);
  for (const family of familiesOf(to)) change(batch, family, from, to);
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
  const families = familiesOf(to);
  for (const { services, itself, type, length } of families) {
    batch.addSet(services, { keyType: typeOf(type), keyLength: length, data: 'verdict' });
    batch.addSet(itself, { keyType: typeOf(type, type), keyLength: 2 * length });
  }
  batch.addBaseChain('prerouting', { type: 'nat', hook: 'prerouting', priority: -100 });
  batch.addBaseChain('postrouting', { type: 'nat', hook: 'postrouting', priority: 100 });
  for (const family of families) {
    batch.addRule('prerouting', balance(family));
    batch.addRule('postrouting', answerItself(family, to.gateway));
  }
  const nothing = { services: new Map(), byClient: new Set<number>(), local: new Set<number>(), gateway: to.gateway };
  for (const family of families) change(batch, family, nothing, to);
  return batch.finish();
}

/** Elements of each set, as nft-read.ts writes them, and the number of rules of each chain. For the audit. */
export function describeOverlayRules(rules: OverlayRules): {
  readonly sets: ReadonlyMap<string, ReadonlySet<string>>;
  readonly chains: ReadonlyMap<string, number>;
} {
  const usable = [...rules.services].filter(([, targets]) => targets.length > 0);
  const families = familiesOf(rules);
  const sets = families.flatMap((family): [string, Set<string>][] => [
    [
      family.services,
      new Set(usable.map(([virtual]) => `${family.bytes(virtual).toString('hex')}:${family.chain(virtual)}`)),
    ],
    [family.itself, new Set([...rules.local].map((address) => itselfElement(family, address).key.toString('hex')))],
  ]);
  const counts = families.flatMap(({ chain }) =>
    usable.map(([virtual, targets]) => [chain(virtual), targets.length > 1 ? 2 : 1] as const),
  );
  return {
    sets: new Map(sets),
    chains: new Map([['prerouting', families.length], ['postrouting', families.length], ...counts]),
  };
}

export const OVERLAY_TABLE = TABLE;
