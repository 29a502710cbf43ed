// What nf_tables should hold for this daemon, and the transaction that leads there from what it holds. Pure.
// Invariant: everything is in one table of our own; nobody else's table is read or written.
import { isDeepStrictEqual } from 'node:util';
import { addressBytes, formatHost, type Ip, ipBytes, isSix, maskOf, type Subnet, type Subnet6 } from './addresses.ts';
import { fillSlots } from './client-slots.ts';
import { type PortProtocol } from './netd-protocol.ts';
import {
  compare,
  hashBelow,
  loadConstant,
  loadPayload,
  lookup,
  mask,
  masquerade,
  randomBelow,
  setTimeToLive,
  translateDestination,
  verdict,
} from './nft-expressions.ts';
import { type Element, type Expression, NftBatch, type SetShape, typeOf } from './nft-messages.ts';
import {
  accept,
  CONNECTION,
  connection,
  drop,
  fromSubnet,
  fromSubnet6,
  link,
  loadAddressProtocolPort,
  loadProtocolAndPort,
  onlyIpv4,
  portBytes,
  protocolBytes,
  type Rule,
  toThisHost,
  u32,
} from './ruleset-parts.ts';
import {
  addDataPortChain,
  containerForwardRules,
  type DataPort,
  INGRESS_TCP,
  inputRules,
  peerElements,
  PEERS,
  wayForwardRules,
} from './ruleset-data-port.ts';
import {
  addWayChains,
  INGRESS_ITSELF,
  INGRESS_KEPT,
  itselfKey,
  keptKey,
  keptSource,
  WAY_CHAINS,
  wayRules,
  type WayRules,
} from './ruleset-ways.ts';
import { askedAddressOf, fixedRules6, loopbackRules6, PUBLISHED6, PUBLISHED6_ON_ADDRESS } from './ruleset6.ts';

export interface BridgeRules {
  readonly name: string;
  readonly subnets: readonly Subnet[];
  readonly subnets6: readonly Subnet6[];
  /** The bridge's own IPv6 address; absent: it has none. */
  readonly gateway6?: bigint;
  readonly internal: boolean;
  readonly masquerade: boolean;
  readonly talkInside: boolean;
}

export interface Target<Address extends Ip = number> {
  readonly address: Address;
  readonly port: number;
  /** Another node that takes connections with their client's address (ruleset-ways.ts). */
  readonly kept?: boolean;
}

/** A container's published port, in one family. `hostAddress` 0 and 0n: any of the host's addresses. */
export interface PublishedPort {
  readonly protocol: PortProtocol;
  readonly hostAddress: Ip;
  readonly hostPort: number;
  readonly to: Target<Ip>;
}

/** A service's published port: new connections go to one of the targets. */
export interface IngressRule {
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
  readonly targets: readonly Target[];
  /** The targets are other nodes: they must answer to us, not to the client. */
  readonly remote: boolean;
  /** Which one follows from the client's address (client-slots.ts); otherwise it is random. */
  readonly byClient?: boolean;
}

/** A port of another node to which we send connections, and who must answer to us. */
export interface RemoteTarget extends Target {
  readonly protocol: 'tcp' | 'udp';
}

/** Keys are made by `publishedKey`, `ingressKey` and `remoteTargets`. */
export interface Ruleset {
  readonly bridges: readonly BridgeRules[];
  readonly published: ReadonlyMap<string, PublishedPort>;
  readonly ingress: ReadonlyMap<string, IngressRule>;
  /** At least the targets of `ingress` that are remote. */
  readonly remote: ReadonlyMap<string, RemoteTarget>;
  /** The link by which connections keep their client's address; absent: they do not. */
  readonly ways?: WayRules | undefined;
  /** Where networks between nodes arrive; absent: this node is in none. */
  readonly dataPort?: DataPort | undefined;
}

export const emptyRuleset: Ruleset = { bridges: [], published: new Map(), ingress: new Map(), remote: new Map() };

export const publishedKey = (port: Omit<PublishedPort, 'to'>): string =>
  `${port.protocol}/${formatHost(port.hostAddress)}/${port.hostPort}`;
export const ingressKey = (rule: Pick<IngressRule, 'protocol' | 'port'>): string => `${rule.protocol}/${rule.port}`;

/** Chains and sets that are always there. */
const PUBLISHED = 'published';
const PUBLISHED_ON_ADDRESS = 'published_on_address';
const INGRESS = 'ingress';
const INGRESS_REMOTE = 'ingress_remote';
const TARGET_SHAPE = { type: typeOf('address', 'port'), length: 8 } as const;
const TARGET6_SHAPE = { type: typeOf('address6', 'port'), length: 20 } as const;
const SETS: Readonly<Record<string, SetShape>> = {
  [PUBLISHED]: { keyType: typeOf('protocol', 'port'), keyLength: 8, data: TARGET_SHAPE },
  [PUBLISHED_ON_ADDRESS]: { keyType: typeOf('address', 'protocol', 'port'), keyLength: 12, data: TARGET_SHAPE },
  [PUBLISHED6]: { keyType: typeOf('protocol', 'port'), keyLength: 8, data: TARGET6_SHAPE },
  [PUBLISHED6_ON_ADDRESS]: { keyType: typeOf('address6', 'protocol', 'port'), keyLength: 24, data: TARGET6_SHAPE },
  [INGRESS]: { keyType: typeOf('protocol', 'port'), keyLength: 8, data: 'verdict' },
  [INGRESS_REMOTE]: { keyType: typeOf('address', 'protocol', 'port'), keyLength: 12 },
  [INGRESS_KEPT]: { keyType: typeOf('address', 'protocol', 'port'), keyLength: 12 },
  [INGRESS_ITSELF]: { keyType: typeOf('address', 'address'), keyLength: 8 },
  [INGRESS_TCP]: { keyType: typeOf('protocol', 'port'), keyLength: 8 },
  [PEERS]: { keyType: typeOf('address'), keyLength: 4 },
};

/**
 * Two nodes that both believe the other has a task would send a connection to and fro until it dies of age. The time
 * to live tells how often it was passed on already: once after the first node, twice after the second, then no more.
 */
const PASSED_ON = { once: 41, twice: 21 } as const;

const targetBytes = (target: Target<Ip>): Buffer => Buffer.concat([ipBytes(target.address), portBytes(target.port)]);

const LOOPBACK: Subnet = { base: 0x7f00_0000, prefixLength: 8 };

/** The rules of the chains that do not depend on any bridge. */
function fixedRules(): Rule[] {
  const toPublish = [...toThisHost, verdict({ kind: 'jump', chain: 'publish' })];
  const toLoopback = [
    ...onlyIpv4,
    loadPayload('destinationAddress'),
    mask(addressBytes(maskOf(8))),
    compare('equal', addressBytes(LOOPBACK.base)),
  ];
  return [
    ['prerouting', toPublish],
    ['output', toPublish],
    ...fixedRules6,
    ['publish', [...onlyIpv4, ...loadAddressProtocolPort, lookup(PUBLISHED_ON_ADDRESS, 'value'), translateDestination]],
    ['publish', [...loadProtocolAndPort, lookup(PUBLISHED, 'value'), translateDestination]],
    ['publish', [...loadProtocolAndPort, lookup(INGRESS, 'verdict')]],
    // We let loopback sources leave through bridges (route_localnet); nobody may come in by that door.
    ['guard', [...link('iifname', 'not-equal', 'lo'), ...toLoopback, drop]],
    ...hopRules.map((rule): Rule => ['hops', rule]),
  ];
}

/** Direct access from outside, and from other bridges, is closed: only what was published, and answers, come in. */
function forwardRules({ name, internal, talkInside }: BridgeRules): Expression[][] {
  const into = link('oifname', 'equal', name);
  const outOf = link('iifname', 'equal', name);
  const inside = talkInside ? [[...outOf, ...into, accept]] : [];
  if (internal) return [...inside, [...into, drop], [...outOf, drop]];
  return [
    ...inside,
    [...into, ...connection('state', CONNECTION.known), accept],
    [...into, ...connection('status', CONNECTION.destinationTranslated), accept],
    [...into, drop],
    // Packets that belong to no known connection would leave with the container's own address.
    [...outOf, ...connection('state', CONNECTION.invalid), drop],
  ];
}

function masqueradeRules({ name, subnets, subnets6, internal, masquerade: outside }: BridgeRules): Expression[][] {
  const translated = connection('status', CONNECTION.destinationTranslated);
  const sources = [...subnets.map(fromSubnet), ...subnets6.map(fromSubnet6)];
  const leaving = !internal && outside ? sources : [];
  return [
    // A container that reaches itself or a neighbour through a published port: the answer must pass us again.
    ...sources.map((each) => [...link('oifname', 'equal', name), ...each, ...translated, masquerade]),
    [...link('oifname', 'equal', name), ...fromSubnet(LOOPBACK), masquerade],
    ...leaving.map((each) => [...link('oifname', 'not-equal', name), ...each, masquerade]),
  ];
}

const toOtherNode: readonly Expression[] = [
  ...onlyIpv4,
  ...connection('status', CONNECTION.destinationTranslated),
  ...loadAddressProtocolPort,
  lookup(INGRESS_REMOTE),
];

const timeToLive = (operator: 'at-most' | 'above', value: number): Expression[] => [
  loadPayload('timeToLive'),
  compare(operator, Buffer.from([value])),
];

/** In this order: the first rule makes the second one miss. */
const hopRules: readonly (readonly Expression[])[] = [
  [...timeToLive('at-most', PASSED_ON.once), ...setTimeToLive(PASSED_ON.twice)],
  [...timeToLive('above', PASSED_ON.once), ...setTimeToLive(PASSED_ON.once)],
].map((rule) => [...connection('state', CONNECTION.isNew), ...toOtherNode, ...rule]);

type LinkRuleset = Pick<Ruleset, 'bridges' | 'ways' | 'dataPort'>;

/** The rules that depend on links. */
function linkRules({ bridges, ways, dataPort }: LinkRuleset): Rule[] {
  const names = bridges.map(({ name }) => name);
  const forward = [
    ...bridges.flatMap(forwardRules),
    ...wayForwardRules(ways),
    ...containerForwardRules(dataPort, names),
  ];
  return [
    ...wayRules(ways, names),
    ...inputRules(ways, dataPort, names).map((rule): Rule => ['input', rule]),
    ...forward.map((rule): Rule => ['forward', rule]),
    ...(ways ? [['postrouting', keptSource(ways)] as const] : []),
    ['postrouting', [...toOtherNode, masquerade]],
    ...bridges.flatMap(masqueradeRules).map((rule): Rule => ['postrouting', rule]),
    ...loopbackRules6(bridges.find(({ gateway6 }) => gateway6 !== undefined)?.gateway6),
  ];
}

const LINK_CHAINS = ['input', 'forward', 'postrouting', 'loopback', 'loopback_back', ...WAY_CHAINS] as const;

function addLinkRules(batch: NftBatch, ruleset: LinkRuleset): void {
  for (const [chain, rule] of linkRules(ruleset)) batch.addRule(chain, rule);
}

function addSkeleton(batch: NftBatch): void {
  for (const [name, shape] of Object.entries(SETS)) batch.addSet(name, shape);
  batch.addChain('publish');
  batch.addChain('publish6');
  batch.addBaseChain('loopback', { type: 'filter', hook: 'output', priority: -300 });
  batch.addBaseChain('loopback_back', { type: 'filter', hook: 'input', priority: 300 });
  batch.addBaseChain('guard', { type: 'filter', hook: 'prerouting', priority: -300 });
  batch.addBaseChain('prerouting', { type: 'nat', hook: 'prerouting', priority: -100 });
  batch.addBaseChain('output', { type: 'nat', hook: 'output', priority: -100 });
  batch.addBaseChain('hops', { type: 'filter', hook: 'postrouting', priority: 90 });
  batch.addBaseChain('postrouting', { type: 'nat', hook: 'postrouting', priority: 100 });
  batch.addBaseChain('forward', { type: 'filter', hook: 'forward', priority: 0 });
  addDataPortChain(batch);
  addWayChains(batch);
  for (const [chain, rule] of fixedRules()) batch.addRule(chain, rule);
}

function publishedSet({ hostAddress, to }: PublishedPort): string {
  if (isSix(to.address)) return hostAddress === 0n ? PUBLISHED6 : PUBLISHED6_ON_ADDRESS;
  return hostAddress === 0 ? PUBLISHED : PUBLISHED_ON_ADDRESS;
}

function publishedElement(port: PublishedPort): Element {
  const key = [protocolBytes(port.protocol), portBytes(port.hostPort)];
  const { hostAddress } = port;
  if (hostAddress !== 0 && hostAddress !== 0n) key.unshift(ipBytes(askedAddressOf(hostAddress)));
  return { key: Buffer.concat(key), data: targetBytes(port.to) };
}

/** Of the same key: only the target can differ. */
const samePort = (a: PublishedPort | undefined, b: PublishedPort): boolean =>
  a?.to.address === b.to.address && a.to.port === b.to.port;

function changePublished(batch: NftBatch, from: Ruleset['published'], to: Ruleset['published']): void {
  if (from === to) return;
  const gone = [...from].filter(([key, port]) => !samePort(to.get(key), port)).map(([, port]) => port);
  const come = [...to].filter(([key, port]) => !samePort(from.get(key), port)).map(([, port]) => port);
  for (const set of [PUBLISHED, PUBLISHED_ON_ADDRESS, PUBLISHED6, PUBLISHED6_ON_ADDRESS]) {
    const inSet = (port: PublishedPort): boolean => publishedSet(port) === set;
    batch.deleteElements(set, gone.filter(inSet).map(publishedElement));
    batch.addElements(set, come.filter(inSet).map(publishedElement));
  }
}

/** Of TCP. */
const ingressPorts = (ingress: Ruleset['ingress']): Keys =>
  new Map(
    [...ingress]
      .filter(([, { protocol }]) => protocol === 'tcp')
      .map(([text, { port }]) => [text, Buffer.concat([protocolBytes('tcp'), portBytes(port)])]),
  );

const ingressChain = (rule: IngressRule): string => `ingress_${rule.protocol}_${rule.port}`;

function ingressElement(rule: IngressRule): Element {
  return {
    key: Buffer.concat([protocolBytes(rule.protocol), portBytes(rule.port)]),
    data: { kind: 'jump', chain: ingressChain(rule) },
  };
}

function addBalancing(batch: NftBatch, rule: IngressRule): void {
  if (rule.remote) {
    const enough = [...timeToLive('at-most', PASSED_ON.twice), verdict({ kind: 'return' })];
    batch.addRule(ingressChain(rule), [...onlyIpv4, ...enough]);
  }
  const chain = ingressChain(rule);
  const [first] = rule.targets;
  if (rule.targets.length > 1) {
    const shape: SetShape = { keyType: typeOf('integer'), keyLength: 4, data: TARGET_SHAPE };
    const elements = rowsOf(rule).map((target, index) => ({ key: u32(index), data: targetBytes(target) }));
    const id = batch.addAnonymousMap(shape, elements);
    const targets = rule.targets.map(({ address, port }) => `${address}:${port}`).join(' ');
    const choice = rule.byClient
      ? [...onlyIpv4, loadPayload('sourceAddress'), hashBelow(elements.length, 4)]
      : [randomBelow(elements.length)];
    const identity = rule.byClient ? `${targets} by client` : targets;
    batch.addRule(chain, [...choice, lookup({ id }, 'value'), translateDestination], identity);
  }
  // Also reached past a map: a packet that is under way in the old rules when they are replaced finds the elements of
  // their map gone, as the kernel asks for those of the new generation. Measured: one connection in 2000 replacements.
  if (first) {
    const constants = [
      loadConstant(addressBytes(first.address)),
      loadConstant(portBytes(first.port).subarray(0, 2), 1),
    ];
    batch.addRule(chain, [...constants, translateDestination]);
  }
}

/** Of the map by which one is chosen. */
function rowsOf({ targets, byClient }: IngressRule): readonly Target[] {
  if (!byClient) return targets;
  return fillSlots(targets.map(({ address }) => address)).flatMap((index) => targets[index] ?? []);
}

/** Both are sorted. */
function sameTargets(a: readonly Target[], b: readonly Target[]): boolean {
  const same = (target: Target, index: number): boolean =>
    target.address === b[index]?.address && target.port === b[index].port;
  return a.length === b.length && a.every(same);
}

function changeIngress(batch: NftBatch, from: Ruleset['ingress'], to: Ruleset['ingress']): void {
  if (from === to) return;
  const [before, after] = [ingressPorts(from), ingressPorts(to)];
  batch.deleteElements(INGRESS_TCP, elementsOnlyIn(before, after));
  batch.addElements(INGRESS_TCP, elementsOnlyIn(after, before));
  const usable = [...to.values()].filter((rule) => rule.targets.length > 0);
  const wanted = new Map(usable.map((rule) => [ingressKey(rule), rule]));
  for (const [key, rule] of wanted) {
    const old = from.get(key);
    if (old && old.targets.length > 0) {
      const isSame = old.remote === rule.remote && old.byClient === rule.byClient;
      if (isSame && sameTargets(old.targets, rule.targets)) continue;
      batch.flushChain(ingressChain(rule));
      addBalancing(batch, rule);
    } else {
      batch.addChain(ingressChain(rule));
      addBalancing(batch, rule);
      batch.addElements(INGRESS, [ingressElement(rule)]);
    }
  }
  const gone = [...from].filter(([key, rule]) => rule.targets.length > 0 && !wanted.has(key)).map(([, rule]) => rule);
  batch.deleteElements(INGRESS, gone.map(ingressElement));
  for (const rule of gone) {
    batch.flushChain(ingressChain(rule));
    batch.deleteChain(ingressChain(rule));
  }
}

/** Where connections go on other nodes, each port once. */
export function remoteTargets(ingress: Ruleset['ingress']): Map<string, RemoteTarget> {
  const remote = [...ingress.values()].filter((rule) => rule.remote);
  const targets = remote.flatMap(({ protocol, targets }) => targets.map((target) => ({ ...target, protocol })));
  return new Map(targets.map((target) => [`${target.protocol}/${target.address}/${target.port}`, target]));
}

function remoteElement({ address, protocol, port }: RemoteTarget): Element {
  return { key: Buffer.concat([addressBytes(address), protocolBytes(protocol), portBytes(port)]) };
}

function changeRemote(batch: NftBatch, from: Ruleset['remote'], to: Ruleset['remote']): void {
  if (from === to) return;
  const onlyIn = (here: Ruleset['remote'], there: Ruleset['remote']): Element[] =>
    [...here].filter(([key]) => !there.has(key)).map(([, target]) => remoteElement(target));
  batch.deleteElements(INGRESS_REMOTE, onlyIn(from, to));
  batch.addElements(INGRESS_REMOTE, onlyIn(to, from));
  const [before, after] = [keptElements(from), keptElements(to)];
  for (const set of [INGRESS_KEPT, INGRESS_ITSELF] as const) {
    batch.deleteElements(set, elementsOnlyIn(before[set], after[set]));
    batch.addElements(set, elementsOnlyIn(after[set], before[set]));
  }
}

type Keys = ReadonlyMap<string, Buffer>;

const elementsOnlyIn = (here: Keys, there: Keys): Element[] =>
  [...here].filter(([text]) => !there.has(text)).map(([, key]) => ({ key }));

function keptElements(remote: Ruleset['remote']): Record<typeof INGRESS_KEPT | typeof INGRESS_ITSELF, Keys> {
  const kept = [...remote.values()].filter((target) => target.kept);
  const byText = (keys: readonly Buffer[]): Keys => new Map(keys.map((key) => [key.toString('hex'), key]));
  return {
    [INGRESS_KEPT]: byText(kept.map(({ address, port }) => keptKey(address, port))),
    [INGRESS_ITSELF]: byText(kept.map(({ address }) => itselfKey(address))),
  };
}

function changePeers(batch: NftBatch, from: Ruleset['dataPort'], to: Ruleset['dataPort']): void {
  if (from?.peers === to?.peers) return;
  const keys = (data: DataPort | undefined): Keys =>
    new Map(peerElements(data).map(({ key }) => [key.toString('hex'), key]));
  const [before, after] = [keys(from), keys(to)];
  batch.deleteElements(PEERS, elementsOnlyIn(before, after));
  batch.addElements(PEERS, elementsOnlyIn(after, before));
}

function change(batch: NftBatch, from: Ruleset, to: Ruleset): void {
  changePeers(batch, from.dataPort, to.dataPort);
  changePublished(batch, from.published, to.published);
  changeIngress(batch, from.ingress, to.ingress);
  changeRemote(batch, from.remote, to.remote);
}

/** Peers change as elements, except from nobody knows to somebody does. */
const sameLinks = (a: Ruleset, b: Ruleset): boolean =>
  isDeepStrictEqual(a.bridges, b.bridges) &&
  isDeepStrictEqual(a.ways, b.ways) &&
  a.dataPort?.port === b.dataPort?.port &&
  (a.dataPort?.peers === undefined) === (b.dataPort?.peers === undefined);

/** The transaction from one ruleset to another; undefined when there is nothing to do. */
export function planChange(table: string, from: Ruleset, to: Ruleset): Buffer | undefined {
  const batch = new NftBatch(table);
  if (!sameLinks(from, to)) {
    for (const chain of LINK_CHAINS) batch.flushChain(chain);
    addLinkRules(batch, to);
  }
  change(batch, from, to);
  return batch.isEmpty ? undefined : batch.finish();
}

/** The transaction that replaces whatever the table holds, in one step for every packet. */
export function planReplacement(table: string, to: Ruleset): Buffer {
  const batch = new NftBatch(table);
  batch.addTable();
  batch.deleteTable();
  batch.addTable();
  addSkeleton(batch);
  addLinkRules(batch, to);
  change(batch, emptyRuleset, to);
  return batch.finish();
}

/** Removes the table, whether it is there or not. */
export function planRemoval(table: string): Buffer {
  const batch = new NftBatch(table);
  batch.addTable();
  return batch.finishDeleting();
}

const hasTargets = (rule: IngressRule): boolean => rule.targets.length > 0;

/** The marks of the rules of each chain, in order. For the audit. */
export function listRows(wanted: Ruleset): ReadonlyMap<string, readonly string[]> {
  const batch = new NftBatch('');
  addSkeleton(batch);
  addLinkRules(batch, wanted);
  changeIngress(batch, emptyRuleset.ingress, wanted.ingress);
  return batch.rows;
}

/** The elements of each set, as nft-read.ts writes them. For the audit. */
export function listSets({ published, ingress, remote, dataPort }: Ruleset): Map<string, Set<string>> {
  const sets = new Map<string, Set<string>>(Object.keys(SETS).map((name) => [name, new Set<string>()]));
  const add = (set: string, { key, data }: Element): void => {
    const value =
      data === undefined ? undefined : Buffer.isBuffer(data) ? data.toString('hex') : 'chain' in data ? data.chain : '';
    sets.get(set)?.add(value === undefined ? key.toString('hex') : `${key.toString('hex')}:${value}`);
  };
  for (const port of published.values()) add(publishedSet(port), publishedElement(port));
  for (const rule of [...ingress.values()].filter(hasTargets)) add(INGRESS, ingressElement(rule));
  for (const key of ingressPorts(ingress).values()) add(INGRESS_TCP, { key });
  for (const element of peerElements(dataPort)) add(PEERS, element);
  for (const target of remote.values()) add(INGRESS_REMOTE, remoteElement(target));
  for (const [set, keys] of Object.entries(keptElements(remote))) sets.set(set, new Set(keys.keys()));
  return sets;
}
