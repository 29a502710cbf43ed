// The packet rules of services' published ports: to which targets new connections go, in either family, and what passes
// them on to other nodes. Pure.
import { addressBytes, type Ip, ipBytes, isSix } from './addresses.ts';
import { fillSlots } from './client-slots.ts';
import {
  compare,
  hashBelow,
  loadConstant,
  loadPayload,
  lookup,
  masquerade,
  randomBelow,
  setHopLimit,
  setTimeToLive,
  translateDestination,
  translateDestination6,
  verdict,
} from './nft-expressions.ts';
import { type Element, type Expression, type NftBatch, type SetShape, typeOf } from './nft-messages.ts';
import { INGRESS_TCP } from './ruleset-data-port.ts';
import {
  CONNECTION,
  connection,
  loadAddressProtocolPort,
  onlyIpv4,
  onlyIpv6,
  portBytes,
  protocolBytes,
  type Rule,
  u32,
} from './ruleset-parts.ts';
import { INGRESS_ITSELF, INGRESS_KEPT, itselfKey, keptKey } from './ruleset-ways.ts';
import { INGRESS6_PORTS } from './ruleset6.ts';
import { NODES6_BYTES } from './way-addresses.ts';

export interface Target<Address extends Ip = number> {
  readonly address: Address;
  readonly port: number;
  /** Another node that takes connections with their client's address (ruleset-ways.ts). */
  readonly kept?: boolean;
}

/** A service's published port in one family: new connections go to one of the targets. */
export interface IngressRule<Address extends Ip = number> {
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
  readonly targets: readonly Target<Address>[];
  /** The targets are other nodes: they must answer to us, not to the client. */
  readonly remote: boolean;
  /** Which one follows from the client's address (client-slots.ts); otherwise it is random. */
  readonly byClient?: boolean;
}

/** By `ingressKey`. */
export type IngressRules<Address extends Ip = number> = ReadonlyMap<string, IngressRule<Address>>;

/** A port of another node to which we send connections, and who must answer to us. */
export interface RemoteTarget extends Target {
  readonly protocol: 'tcp' | 'udp';
}

/** At least the targets of the rules that are remote, by the keys of `remoteTargets`. */
export type RemoteRules = ReadonlyMap<string, RemoteTarget>;

export const ingressKey = (rule: { readonly protocol: string; readonly port: number }): string =>
  `${rule.protocol}/${rule.port}`;

const INGRESS_REMOTE = 'ingress_remote';
export const TARGET_SHAPE = { type: typeOf('address', 'port'), length: 8 } as const;
export const TARGET6_SHAPE = { type: typeOf('address6', 'port'), length: 20 } as const;
const PORT_KEY = { keyType: typeOf('protocol', 'port'), keyLength: 8 } as const;

export const targetBytes = (target: Target<Ip>): Buffer =>
  Buffer.concat([ipBytes(target.address), portBytes(target.port)]);

/**
 * Two nodes that both believe the other has a task would send a connection to and fro until it dies of age. The time
 * to live tells how often it was passed on already: once after the first node, twice after the second, then no more.
 */
const PASSED_ON = { once: 41, twice: 21 } as const;

/** What differs between IPv4 and IPv6. */
interface Family {
  /** The map of ports, and what the chains are called by. */
  readonly map: string;
  /** Ports that somebody publishes, and those of them that lead somewhere. */
  readonly published: string | undefined;
  readonly usable: string | undefined;
  readonly target: NonNullable<SetShape['data']>;
  readonly translate: Expression;
  /** The register behind an address. */
  readonly portAt: number;
  readonly only: readonly Expression[];
  readonly age: 'timeToLive' | 'hopLimit';
  readonly source: readonly [field: 'sourceAddress' | 'sourceAddress6', bytes: number];
}

const FOUR: Family = {
  map: 'ingress',
  published: INGRESS_TCP,
  usable: undefined,
  target: TARGET_SHAPE,
  translate: translateDestination,
  portAt: 1,
  only: onlyIpv4,
  age: 'timeToLive',
  source: ['sourceAddress', 4],
};
const SIX: Family = {
  map: 'ingress6',
  published: undefined,
  usable: INGRESS6_PORTS,
  target: TARGET6_SHAPE,
  translate: translateDestination6,
  portAt: 4,
  only: onlyIpv6,
  age: 'hopLimit',
  source: ['sourceAddress6', 16],
};

export const INGRESS_SETS: Readonly<Record<string, SetShape>> = {
  [FOUR.map]: { ...PORT_KEY, data: 'verdict' },
  [SIX.map]: { ...PORT_KEY, data: 'verdict' },
  [INGRESS_REMOTE]: { keyType: typeOf('address', 'protocol', 'port'), keyLength: 12 },
  [INGRESS_KEPT]: { keyType: typeOf('address', 'protocol', 'port'), keyLength: 12 },
  [INGRESS_ITSELF]: { keyType: typeOf('address', 'address'), keyLength: 8 },
  [INGRESS_TCP]: PORT_KEY,
  [INGRESS6_PORTS]: PORT_KEY,
};

const toOtherNode: readonly Expression[] = [
  ...onlyIpv4,
  ...connection('status', CONNECTION.destinationTranslated),
  ...loadAddressProtocolPort,
  lookup(INGRESS_REMOTE),
];

const toOtherNode6: readonly Expression[] = [
  ...onlyIpv6,
  ...connection('status', CONNECTION.destinationTranslated),
  loadPayload('destinationNodes6'),
  compare('equal', NODES6_BYTES),
];

const age = (field: Family['age'], operator: 'at-most' | 'above', value: number): Expression[] => [
  loadPayload(field),
  compare(operator, Buffer.from([value])),
];

/** In this order: the first rule makes the second one miss. */
const agingRules = (
  to: readonly Expression[],
  field: Family['age'],
  set: (value: number) => Expression[],
): (readonly Expression[])[] =>
  [
    [...age(field, 'at-most', PASSED_ON.once), ...set(PASSED_ON.twice)],
    [...age(field, 'above', PASSED_ON.once), ...set(PASSED_ON.once)],
  ].map((rule) => [...connection('state', CONNECTION.isNew), ...to, ...rule]);

export const hopRules: readonly Rule[] = [
  ...agingRules(toOtherNode, 'timeToLive', setTimeToLive),
  ...agingRules(toOtherNode6, 'hopLimit', setHopLimit),
].map((rule): Rule => ['hops', rule]);

/** Of IPv4. By IPv6 there is only the link between nodes, which finds back by itself (ruleset-ways.ts). */
export const hideFromOtherNode: Rule = ['postrouting', [...toOtherNode, masquerade]];

const portKey = ({ protocol, port }: IngressRule<Ip>): Buffer =>
  Buffer.concat([protocolBytes(protocol), portBytes(port)]);

const hasTargets = (rule: IngressRule<Ip>): boolean => rule.targets.length > 0;

/** By their text; for sets without data. */
export type Keys = ReadonlyMap<string, Buffer>;

export const keysOf = (keys: readonly Buffer[]): Keys => new Map(keys.map((key) => [key.toString('hex'), key]));

const publishedKeys = (rules: IngressRules<Ip>): Keys =>
  keysOf([...rules.values()].filter(({ protocol }) => protocol === 'tcp').map(portKey));
const usableKeys = (rules: IngressRules<Ip>): Keys => keysOf([...rules.values()].filter(hasTargets).map(portKey));

export function changeKeys(batch: NftBatch, set: string, before: Keys, after: Keys): void {
  batch.deleteElements(set, elementsOnlyIn(before, after));
  batch.addElements(set, elementsOnlyIn(after, before));
}

const elementsOnlyIn = (here: Keys, there: Keys): Element[] =>
  [...here].filter(([text]) => !there.has(text)).map(([, key]) => ({ key }));

const chainOf = ({ map }: Family, rule: IngressRule<Ip>): string => `${map}_${rule.protocol}_${rule.port}`;

const portElement = (family: Family, rule: IngressRule<Ip>): Element => ({
  key: portKey(rule),
  data: { kind: 'jump', chain: chainOf(family, rule) },
});

function addBalancing(batch: NftBatch, family: Family, rule: IngressRule<Ip>): void {
  const chain = chainOf(family, rule);
  if (rule.remote) {
    const enough = [...age(family.age, 'at-most', PASSED_ON.twice), verdict({ kind: 'return' })];
    batch.addRule(chain, [...family.only, ...enough]);
  }
  const [first] = rule.targets;
  if (rule.targets.length > 1) {
    const shape: SetShape = { keyType: typeOf('integer'), keyLength: 4, data: family.target };
    const elements = rowsOf(rule).map((target, index) => ({ key: u32(index), data: targetBytes(target) }));
    const id = batch.addAnonymousMap(shape, elements);
    const targets = rule.targets.map(({ address, port }) => `${address}:${port}`).join(' ');
    const [source, length] = family.source;
    const choice = rule.byClient
      ? [...family.only, loadPayload(source), hashBelow(elements.length, length)]
      : [randomBelow(elements.length)];
    const identity = rule.byClient ? `${targets} by client` : targets;
    batch.addRule(chain, [...choice, lookup({ id }, 'value'), family.translate], identity);
  }
  // Also reached past a map: a packet that is under way in the old rules when they are replaced finds the elements of
  // their map gone, as the kernel asks for those of the new generation. Measured: one connection in 2000 replacements.
  if (first) {
    const constants = [
      loadConstant(ipBytes(first.address)),
      loadConstant(portBytes(first.port).subarray(0, 2), family.portAt),
    ];
    batch.addRule(chain, [...constants, family.translate]);
  }
}

/** Of the map by which one is chosen. An IPv6 address of ours differs from others in its last four bytes. */
function rowsOf({ targets, byClient }: IngressRule<Ip>): readonly Target<Ip>[] {
  if (!byClient) return targets;
  const addresses = targets.map(({ address }) => (isSix(address) ? Number(address & 0xffff_ffffn) : address));
  return fillSlots(addresses).flatMap((index) => targets[index] ?? []);
}

/** Both are sorted. */
function sameTargets(a: readonly Target<Ip>[], b: readonly Target<Ip>[]): boolean {
  const same = (target: Target<Ip>, index: number): boolean =>
    target.address === b[index]?.address && target.port === b[index].port;
  return a.length === b.length && a.every(same);
}

function changeFamily(batch: NftBatch, family: Family, from: IngressRules<Ip>, to: IngressRules<Ip>): void {
  if (from === to) return;
  if (family.published) changeKeys(batch, family.published, publishedKeys(from), publishedKeys(to));
  if (family.usable) changeKeys(batch, family.usable, usableKeys(from), usableKeys(to));
  const wanted = new Map([...to].filter(([, rule]) => hasTargets(rule)));
  for (const [key, rule] of wanted) {
    const old = from.get(key);
    const chain = chainOf(family, rule);
    if (old && hasTargets(old)) {
      const isSame = old.remote === rule.remote && old.byClient === rule.byClient;
      if (isSame && sameTargets(old.targets, rule.targets)) continue;
      batch.flushChain(chain);
      addBalancing(batch, family, rule);
    } else {
      batch.addChain(chain);
      addBalancing(batch, family, rule);
      batch.addElements(family.map, [portElement(family, rule)]);
    }
  }
  const gone = [...from].filter(([key, rule]) => hasTargets(rule) && !wanted.has(key)).map(([, rule]) => rule);
  batch.deleteElements(
    family.map,
    gone.map((rule) => portElement(family, rule)),
  );
  for (const rule of gone) {
    batch.flushChain(chainOf(family, rule));
    batch.deleteChain(chainOf(family, rule));
  }
}

interface BothFamilies {
  readonly ingress: IngressRules;
  readonly ingress6: IngressRules<bigint>;
}

export function changeIngress(batch: NftBatch, from: BothFamilies, to: BothFamilies): void {
  changeFamily(batch, FOUR, from.ingress, to.ingress);
  changeFamily(batch, SIX, from.ingress6, to.ingress6);
}

/** Where connections go on other nodes, each port once. */
export function remoteTargets(ingress: IngressRules): Map<string, RemoteTarget> {
  const remote = [...ingress.values()].filter((rule) => rule.remote);
  const targets = remote.flatMap(({ protocol, targets }) => targets.map((target) => ({ ...target, protocol })));
  return new Map(targets.map((target) => [`${target.protocol}/${target.address}/${target.port}`, target]));
}

const remoteKey = ({ address, protocol, port }: RemoteTarget): Buffer =>
  Buffer.concat([addressBytes(address), protocolBytes(protocol), portBytes(port)]);

const REMOTE_SETS = [INGRESS_REMOTE, INGRESS_KEPT, INGRESS_ITSELF] as const;

function remoteKeys(remote: RemoteRules): Record<(typeof REMOTE_SETS)[number], Keys> {
  const kept = [...remote.values()].filter((target) => target.kept);
  return {
    [INGRESS_REMOTE]: keysOf([...remote.values()].map(remoteKey)),
    [INGRESS_KEPT]: keysOf(kept.map(({ address, port }) => keptKey(address, port))),
    [INGRESS_ITSELF]: keysOf(kept.map(({ address }) => itselfKey(address))),
  };
}

export function changeRemote(batch: NftBatch, from: RemoteRules, to: RemoteRules): void {
  if (from === to) return;
  const [before, after] = [remoteKeys(from), remoteKeys(to)];
  for (const set of REMOTE_SETS) changeKeys(batch, set, before[set], after[set]);
}

/** For the audit: the elements of each set. */
export function* ingressElements({
  ingress,
  ingress6,
  remote,
}: BothFamilies & { readonly remote: RemoteRules }): Generator<[set: string, element: Element]> {
  for (const [family, rules] of [
    [FOUR, ingress],
    [SIX, ingress6],
  ] as const) {
    for (const rule of rules.values()) if (hasTargets(rule)) yield [family.map, portElement(family, rule)];
    if (family.published) for (const key of publishedKeys(rules).values()) yield [family.published, { key }];
    if (family.usable) for (const key of usableKeys(rules).values()) yield [family.usable, { key }];
  }
  for (const [set, keys] of Object.entries(remoteKeys(remote))) for (const key of keys.values()) yield [set, { key }];
}
