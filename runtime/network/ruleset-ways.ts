// The packet rules by which a connection that is passed on to another node keeps its client's address. The node that was
// asked leads its packets into the tunnel (`askedMark`), to the MAC address made of the other node's address. The other
// one remembers with the connection from which MAC address it came, and leads the answers back there (`answerMark`),
// whatever its routes say of the client. Pure.
// Invariant: two clients' connections that look alike but came through two nodes are two: each node has a zone of its own.
import { addressBytes } from './addresses.ts';
import {
  compare,
  loadConntrack,
  loadConstant,
  loadMeta,
  loadPayload,
  lookup,
  mask,
  setConntrack,
  setLargestSegment,
  setMeta,
  verdict,
  writeMac,
} from './nft-expressions.ts';
import { type Expression, NftBatch } from './nft-messages.ts';
import { BRIDGES } from './ruleset-bridges.ts';
import {
  CONNECTION,
  connection,
  link,
  linkIn,
  loadAddressProtocolPort,
  onlyIpv4,
  portBytes,
  protocolBytes,
  type Rule,
  u32,
} from './ruleset-parts.ts';
import { NODES6_BYTES } from './way-addresses.ts';

/** The link to other nodes. */
export interface WayRules {
  readonly link: string;
  readonly mtu: number;
  /** Of packets on their way into the tunnel; as an address of a node it would be nobody's. Its last two bits are free. */
  readonly mark: number;
  /** The link carries IPv6, too (ruleset-ways6.ts). */
  readonly six?: boolean;
}

export const MARK_MASK = 0xffff_fffc;
/** On the way to the node that has a task. */
export const askedMark = (mark: number): number => mark | 1;
/** On the way back to the node that was asked. */
const answerMark = (mark: number): number => mark | 2;

/** Ports of other nodes that take connections with their client's address. */
export const INGRESS_KEPT = 'ingress_kept';
/** Nodes as their own clients: a node does not take its own address from a wire. */
export const INGRESS_ITSELF = 'ingress_itself';

const TCP_HEADERS = 40;
const IPV6_FRAME = Buffer.from([0x86, 0xdd]);
const ASKING = Buffer.from([0]);
const ANSWERING = Buffer.from([1]);
const back = verdict({ kind: 'return' });
const isMarked = (mark: number): Expression[] => [loadMeta('mark'), compare('equal', u32(mark))];
const setMark = (mark: number): Expression[] => [loadConstant(u32(mark)), setMeta('mark')];
const isSide = (side: Buffer): Expression[] => [loadConntrack('direction'), compare('equal', side)];

/** An answer to a connection that another node has passed on, in either family. */
const toTheOneThatPassedOn = (mark: number): Expression[] => [
  ...isSide(ANSWERING),
  loadConntrack('zone'),
  compare('not-equal', Buffer.alloc(2)),
  loadConntrack('mark'),
  compare('not-equal', u32(0)),
  ...setMark(answerMark(mark)),
];

export const WAY_CHAINS = ['way_zones', 'way_answers', 'way_own_answers', 'way_asked', 'way_out'] as const;

export function addWayChains(batch: NftBatch): void {
  batch.addBaseChain('way_zones', { type: 'filter', hook: 'prerouting', priority: -300 }); // before connections are known
  batch.addBaseChain('way_answers', { type: 'filter', hook: 'prerouting', priority: -150 });
  batch.addBaseChain('way_own_answers', { type: 'route', hook: 'output', priority: -150 });
  batch.addBaseChain('way_asked', { type: 'filter', hook: 'prerouting', priority: -90 }); // after the choice of a node
  batch.addBaseChain('way_out', { type: 'filter', hook: 'postrouting', priority: 200 });
}

/** Addresses of containers on bridges mean nothing elsewhere, so connections from there are not kept. */
export function wayRules(way: WayRules | undefined): Rule[] {
  if (!way) return [];
  const into = link('iifname', 'equal', way.link);
  const outOf = link('oifname', 'equal', way.link);
  const begins = [loadPayload('tcpFlags'), mask(Buffer.from([0x06])), compare('equal', Buffer.from([0x02]))];
  const tcp = [loadMeta('l4proto'), compare('equal', protocolBytes('tcp').subarray(0, 1))];
  const chosen = [
    ...onlyIpv4,
    ...connection('state', CONNECTION.isNew),
    ...connection('status', CONNECTION.destinationTranslated),
  ];
  return [
    ['way_zones', [...into, loadPayload('sourceMacEnd'), setConntrack('zone')]],
    [
      'way_answers',
      [...into, ...connection('state', CONNECTION.isNew), loadPayload('sourceMac'), setConntrack('mark')],
    ],
    ['way_answers', toTheOneThatPassedOn(way.mark)],
    ['way_own_answers', toTheOneThatPassedOn(way.mark)],
    // A second node on the way would have to remember two others with one connection.
    ['way_asked', [...link('iifname', 'equal', way.link), back]],
    ['way_asked', [...linkIn('iifname', BRIDGES), back]],
    [
      'way_asked',
      [
        ...onlyIpv4,
        loadConntrack('mark'),
        compare('equal', u32(askedMark(way.mark))),
        ...isSide(ASKING),
        ...setMark(askedMark(way.mark)),
        back,
      ],
    ],
    [
      'way_asked',
      [...chosen, loadPayload('sourceAddress'), loadPayload('destinationAddress', 1), lookup(INGRESS_ITSELF), back],
    ],
    // Later packets go the same way, whatever the map says by then.
    [
      'way_asked',
      [
        ...chosen,
        ...loadAddressProtocolPort,
        lookup(INGRESS_KEPT),
        ...setMark(askedMark(way.mark)),
        setConntrack('mark'),
      ],
    ],
    ['way_out', [...outOf, ...tcp, ...begins, ...setLargestSegment(way.mtu - TCP_HEADERS)]],
    // From here on the mark says where to.
    ['way_out', [...outOf, ...isMarked(answerMark(way.mark)), loadConntrack('mark'), setMeta('mark')]],
  ];
}

/** First of all in `postrouting`: its source stays as it is. */
export const keptSource = ({ mark }: WayRules): Expression[] => [...isMarked(askedMark(mark)), back];

/** The frames of the link itself, in a table of its own. */
export function planFrames(table: string, way: WayRules): NftBatch {
  const batch = new NftBatch(table, 'netdev');
  batch.addTable();
  batch.deleteTable();
  batch.addTable();
  addFrameRules(batch, way);
  return batch;
}

function addFrameRules(batch: NftBatch, { link: name, mark, six }: WayRules): void {
  batch.addLinkChain('out', 'egress', name);
  batch.addLinkChain('in', 'ingress', name);
  const asked = [...isMarked(askedMark(mark)), loadPayload('destinationAddress'), writeMac('destinationMac')];
  // The tunnel's own packet would be led back into the tunnel by the mark.
  batch.addRule('out', [...asked, ...setMark(0), verdict({ kind: 'accept' })]);
  if (six) {
    // By its destination, a node's own address here; only answers are marked (ruleset-ways6.ts).
    const toNode = [loadPayload('destinationNodes6'), compare('equal', NODES6_BYTES)];
    const asked6 = [loadMeta('ethertype'), compare('equal', IPV6_FRAME), ...isMarked(0), ...toNode];
    const accept = verdict({ kind: 'accept' });
    batch.addRule('out', [...asked6, loadPayload('destinationNode6'), writeMac('destinationMac'), accept]);
  }
  batch.addRule('out', [loadMeta('mark'), writeMac('destinationMac')]);
  batch.addRule('out', [loadConstant(Buffer.from([0x02, 0x5b])), writeMac('destinationMacBegin'), ...setMark(0)]);
  // Other nodes know this one by its address, not by the link's.
  batch.addRule('in', [loadConstant(Buffer.from([0])), setMeta('pkttype')]);
}

export function planFramesRemoval(table: string): Buffer {
  const batch = new NftBatch(table, 'netdev');
  batch.addTable();
  return batch.finishDeleting();
}

export const keptKey = (address: number, port: number): Buffer =>
  Buffer.concat([addressBytes(address), protocolBytes('tcp'), portBytes(port)]);
export const itselfKey = (address: number): Buffer => Buffer.concat([addressBytes(address), addressBytes(address)]);
