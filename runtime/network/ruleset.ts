// What nf_tables should hold for this daemon, and the transaction that leads there from what it holds. Pure.
// Invariant: everything is in one table of our own; nobody else's table is read or written.
import { isDeepStrictEqual } from 'node:util';
import { addressBytes, maskOf } from './addresses.ts';
import { compare, loadPayload, lookup, mask, translateDestination, verdict } from './nft-expressions.ts';
import { type Element, NftBatch, type SetShape, typeOf } from './nft-messages.ts';
import {
  BRIDGE_CHAINS,
  BRIDGE_SETS,
  bridgeElements,
  bridgeForwardRules,
  bridgeRules,
  type BridgeRules,
  LOOPBACK,
  masqueradeRules,
} from './ruleset-bridges.ts';
import {
  addDataPortChain,
  containerForwardRules,
  type DataPort,
  inputRules,
  peerElements,
  PEERS,
  wayForwardRules,
} from './ruleset-data-port.ts';
import {
  changeIngress,
  changeKeys,
  changeRemote,
  hideFromOtherNode,
  hopRules,
  INGRESS_SETS,
  ingressElements,
  type IngressRules,
  type Keys,
  keysOf,
  type RemoteRules,
} from './ruleset-ingress.ts';
import { LINK_LOCAL_CHAINS, linkLocalRules } from './ruleset-link-local.ts';
import {
  drop,
  link,
  loadAddressProtocolPort,
  loadProtocolAndPort,
  onlyIpv4,
  type Rule,
  toThisHost,
} from './ruleset-parts.ts';
import {
  changePublished,
  PUBLISHED,
  PUBLISHED_ON_ADDRESS,
  PUBLISHED_SETS,
  publishedElement,
  type PublishedPorts,
  publishedSet,
} from './ruleset-published.ts';
import { addWayChains, keptSource, WAY_CHAINS, wayRules, type WayRules } from './ruleset-ways.ts';
import { wayRules6 } from './ruleset-ways6.ts';
import { fixedRules6, loopbackRules6 } from './ruleset6.ts';

/** Keys are made by `publishedKey`, `ingressKey` and `remoteTargets`. */
export interface Ruleset {
  readonly bridges: readonly BridgeRules[];
  readonly published: PublishedPorts;
  readonly ingress: IngressRules;
  /** The same for clients that come by IPv6. */
  readonly ingress6: IngressRules<bigint>;
  /** At least the targets of `ingress` that are remote. */
  readonly remote: RemoteRules;
  /** The link by which connections keep their client's address; absent: they do not. */
  readonly ways?: WayRules | undefined;
  /** What clients have whose address is their link's only (ruleset-link-local.ts); absent: none of a bridge has IPv6. */
  readonly linkZone?: Buffer | undefined;
  /** Where networks between nodes arrive; absent: this node is in none. */
  readonly dataPort?: DataPort | undefined;
}

export const emptyRuleset: Ruleset = {
  bridges: [],
  published: new Map(),
  ingress: new Map(),
  ingress6: new Map(),
  remote: new Map(),
};

/** Chains and sets that are always there. */
const SETS: Readonly<Record<string, SetShape>> = {
  ...PUBLISHED_SETS,
  ...INGRESS_SETS,
  ...BRIDGE_SETS,
  [PEERS]: { keyType: typeOf('address'), keyLength: 4 },
};

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
    ['publish', [...loadProtocolAndPort, lookup('ingress', 'verdict')]],
    // We let loopback sources leave through bridges (route_localnet); nobody may come in by that door.
    ['guard', [...link('iifname', 'not-equal', 'lo'), ...toLoopback, drop]],
    ...hopRules,
    ...bridgeRules,
  ];
}

type LinkRuleset = Pick<Ruleset, 'bridges' | 'linkZone' | 'ways' | 'dataPort'>;

/** The rules that depend on links. */
function linkRules({ bridges, linkZone, ways, dataPort }: LinkRuleset): Rule[] {
  const forward = [...bridgeForwardRules, ...wayForwardRules(ways), ...containerForwardRules(dataPort)];
  return [
    ...wayRules(ways),
    ...wayRules6(ways),
    ...inputRules(ways, dataPort).map((rule): Rule => ['input', rule]),
    ...forward.map((rule): Rule => ['forward', rule]),
    ...(ways ? [['postrouting', keptSource(ways)] as const] : []),
    hideFromOtherNode,
    ...bridges.flatMap(masqueradeRules).map((rule): Rule => ['postrouting', rule]),
    ...linkLocalRules(linkZone),
    ...loopbackRules6(bridges.find(({ gateway6 }) => gateway6 !== undefined)?.gateway6),
  ];
}

const LINK_CHAINS = [
  'input',
  'forward',
  'postrouting',
  'loopback',
  'loopback_back',
  ...LINK_LOCAL_CHAINS,
  ...WAY_CHAINS,
] as const;

function addLinkRules(batch: NftBatch, ruleset: LinkRuleset): void {
  for (const [chain, rule] of linkRules(ruleset)) batch.addRule(chain, rule);
}

function addSkeleton(batch: NftBatch): void {
  for (const [name, shape] of Object.entries(SETS)) batch.addSet(name, shape);
  batch.addChain('publish');
  batch.addChain('publish6');
  for (const chain of BRIDGE_CHAINS) batch.addChain(chain);
  batch.addBaseChain('loopback', { type: 'filter', hook: 'output', priority: -300 });
  batch.addBaseChain('loopback_back', { type: 'filter', hook: 'input', priority: 300 });
  batch.addBaseChain('link_local', { type: 'filter', hook: 'prerouting', priority: -300 });
  batch.addBaseChain('link_local_back', { type: 'filter', hook: 'postrouting', priority: 300 });
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

function changePeers(batch: NftBatch, from: Ruleset['dataPort'], to: Ruleset['dataPort']): void {
  if (from?.peers === to?.peers) return;
  const keys = (data: DataPort | undefined): Keys =>
    new Map(peerElements(data).map(({ key }) => [key.toString('hex'), key]));
  const [before, after] = [keys(from), keys(to)];
  changeKeys(batch, PEERS, before, after);
}

function changeBridges(batch: NftBatch, from: Ruleset['bridges'], to: Ruleset['bridges']): void {
  if (from === to) return;
  const before = bridgeElements(from);
  for (const [set, keys] of bridgeElements(to)) changeKeys(batch, set, keysOf(before.get(set) ?? []), keysOf(keys));
}

function change(batch: NftBatch, from: Ruleset, to: Ruleset): void {
  changeBridges(batch, from.bridges, to.bridges);
  changePeers(batch, from.dataPort, to.dataPort);
  changePublished(batch, from.published, to.published);
  changeIngress(batch, from, to);
  changeRemote(batch, from.remote, to.remote);
}

/** Peers change as elements, except from nobody knows to somebody does. */
const sameLinks = (a: Ruleset, b: Ruleset): boolean =>
  isDeepStrictEqual(a.bridges, b.bridges) &&
  isDeepStrictEqual(a.linkZone, b.linkZone) &&
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

/** The marks of the rules of each chain, in order. For the audit. */
export function listRows(wanted: Ruleset): ReadonlyMap<string, readonly string[]> {
  const batch = new NftBatch('');
  addSkeleton(batch);
  addLinkRules(batch, wanted);
  changeIngress(batch, emptyRuleset, wanted);
  return batch.rows;
}

/** The elements of each set, as nft-read.ts writes them. For the audit. */
export function listSets(wanted: Ruleset): Map<string, Set<string>> {
  const sets = new Map<string, Set<string>>(Object.keys(SETS).map((name) => [name, new Set<string>()]));
  const add = (set: string, { key, data }: Element): void => {
    const value =
      data === undefined ? undefined : Buffer.isBuffer(data) ? data.toString('hex') : 'chain' in data ? data.chain : '';
    sets.get(set)?.add(value === undefined ? key.toString('hex') : `${key.toString('hex')}:${value}`);
  };
  for (const port of wanted.published.values()) add(publishedSet(port), publishedElement(port));
  for (const [set, keys] of bridgeElements(wanted.bridges)) for (const key of keys) add(set, { key });
  for (const element of peerElements(wanted.dataPort)) add(PEERS, element);
  for (const [set, element] of ingressElements(wanted)) add(set, element);
  return sets;
}
