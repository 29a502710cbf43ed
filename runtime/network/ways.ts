// Ways between nodes for connections that keep their client's address: one link to all other nodes, a route into it for
// what is marked, and rules that mark (ruleset-ways.ts). A node is known here from when a connection may be passed on to
// it, and for as long as the link lives: connections outlast their service's tasks there.
import { CodedError, sentenceOf } from '../../base/errors.ts';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { formatAddress, type Ip, parseAddress } from './addresses.ts';
import type { IngressPort, IngressReport } from './contract.ts';
import type { Firewall } from './firewall.ts';
import { type Instance, isWayLink } from './instance.ts';
import { changeLink, deleteLink, dumpLinks, dumpRoutes, type Link, readLinks } from './link-messages.ts';
import { type Netd, StepError } from './netd.ts';
import { NETLINK_NETFILTER, NETLINK_ROUTE, type Step } from './netd-protocol.ts';
import { MessageWriter } from './netlink.ts';
import { listRules } from './nft-read.ts';
import { dumpAddressNeighbours } from './overlay-messages.ts';
import { AF_INET6 } from './rtnetlink.ts';
import { nodeSix } from './way-addresses.ts';
import { SixCarrier } from './way-six.ts';
import { WayProbes } from './way-probes.ts';
import { planFrames, planFramesRemoval, type WayRules } from './ruleset-ways.ts';
import {
  addMarkRule,
  addWayLink,
  deleteMarkRule,
  dumpNodes,
  dumpRules,
  hasMarkRule,
  hasRoute,
  putNode,
  putRoute,
  readNodes,
  type WayNode,
  wayKey,
} from './way-messages.ts';

/** Outer Ethernet, IPv4, UDP and VXLAN headers. */
const HEADERS = 50;
const STRICT = '1';

/** How often nodes are asked whether they hear us. */
const PROBE_PERIOD_MS = 2_000;

export interface WaysParts {
  readonly netd: () => Netd;
  readonly instance: Instance;
  readonly random: Random;
  readonly log: Log;
  readonly firewall: Firewall;
  readonly clock: Clock;
  readonly mtu: () => number;
  readonly probePeriodMs?: number | undefined;
  /** Other nodes than before take connections with their client's address. */
  readonly onChange: () => void;
}

interface Open {
  readonly port: number;
  readonly index: number;
  readonly mac: Uint8Array;
}

export class Ways {
  readonly #parts: WaysParts;
  readonly #nodes = new Map<string, WayNode>();
  #open: Open | undefined;
  /** Why it was not opened, or given up. */
  #refusal: { readonly port: number; readonly reason: string } | undefined;
  #known = new Set<string>(); // that the kernel has
  #last: Promise<unknown> = Promise.resolve();
  readonly #probes: WayProbes;
  #inUse: readonly WayNode[] = [];
  #six = false;
  readonly #carrier: SixCarrier;

  constructor(parts: WaysParts) {
    this.#parts = parts;
    const { instance, probePeriodMs } = parts;
    this.#carrier = new SixCarrier(parts);
    this.#probes = new WayProbes({ ...parts, mark: instance.wayMark, periodMs: probePeriodMs ?? PROBE_PERIOD_MS });
  }

  /** True: this node passes on, and takes, connections with their client's address. What hinders it is looked at again. */
  async open(port: number): Promise<boolean> {
    return await this.#inTurn(async () => {
      try {
        await this.#openNow(port);
        return true;
      } catch (error) {
        this.#refusal = { port, reason: sentenceOf(error) };
        this.#parts.log.warn('services see this node as the client of connections that it passes on', {
          reason: this.#refusal.reason,
        });
        await this.#giveUp();
        return false;
      }
    });
  }

  async #openNow(port: number): Promise<void> {
    await this.#mustBeAble(port);
    this.#refusal = undefined;
    if (this.#open?.port === port) return;
    if (this.#open) await this.#remove();
    await this.#ensure(port, this.#open?.mac ?? this.#newMac());
    await this.#probes.use(this.#asked());
    this.#parts.onChange();
  }

  /** What hindered it may be over: somebody changed a setting, or the other daemon went. */
  async #tryAgain({ port }: { readonly port: number }): Promise<void> {
    try {
      await this.#openNow(port);
    } catch (error) {
      this.#refusal = { port, reason: sentenceOf(error) };
      return;
    }
    this.#parts.log.info('services see their clients through this node again', { port });
  }

  /** Takes up what an earlier daemon made: the port, if there was anything. */
  async adopt(): Promise<number | undefined> {
    return await this.#inTurn(async () => {
      const link = await this.#link();
      if (!link?.way || !link.up) return undefined;
      this.#open = { port: link.way.port, index: link.index, mac: link.way.mac };
      for (const node of await this.#readNodes(this.#open)) this.#note(node);
      this.#probes.adopt([...this.#nodes.values()].flatMap((node) => [node.address, nodeSix(node)]));
      this.#parts.firewall.prepare((wanted) => ({ ...wanted, ways: this.#rules() }));
      return this.#open.port;
    });
  }

  async close(): Promise<void> {
    await this.#inTurn(async () => {
      this.#refusal = undefined;
      if (this.#open) await this.#giveUp();
    });
  }

  /** Resolves when connections may be passed on to these nodes. */
  async know(nodes: readonly WayNode[]): Promise<void> {
    const fresh = nodes.filter((node) => !this.#nodes.has(wayKey(node)));
    for (const node of fresh) this.#note(node);
    if (fresh.length > 0) {
      await this.#inTurn(async () => {
        await this.#bringNodes();
        const open = this.#open;
        if (open && this.#six && fresh.some(({ port }) => port !== open.port)) await this.#trySix(open);
      });
    }
    this.#inUse = nodes;
    if (this.#open) await this.#probes.use(this.#asked());
  }

  /** The link carries IPv6 from now on, if it can. */
  async carrySix(): Promise<void> {
    if (this.#six) return;
    this.#six = true;
    await this.#inTurn(async () => {
      if (!this.#open) return;
      const { port, mac } = this.#open;
      await this.#ensure(port, mac);
    });
    if (this.#open) await this.#probes.use(this.#asked());
  }

  /** It does already: an earlier daemon saw to that. */
  adoptSix(): void {
    this.#six = true;
    if (this.#open) this.#parts.firewall.prepare((wanted) => ({ ...wanted, ways: this.#rules() }));
  }

  /** The nodes of the cluster: one of them is this one, and has that address on the link, too. */
  async knowPeers(addresses: ReadonlySet<number>): Promise<void> {
    const isFirst = this.#carrier.peers.size === 0 && addresses.size > 0;
    this.#carrier.peers = addresses;
    await this.#inTurn(async () => {
      if (this.#open && this.#six) await this.#trySix(this.#open);
    });
    if (!isFirst || !this.#open) return;
    await this.#probes.use(this.#asked());
    this.#parts.onChange();
  }

  /** A node that was made known takes connections with their client's address, and its answers find back. */
  answers(address: number): boolean {
    return this.#probes.answers(address);
  }

  /** All addresses by which a node has taken connections by IPv6. */
  sixesOf(address: number): bigint[] {
    return [...this.#nodes.values()].filter((node) => node.address === address).map(nodeSix);
  }

  /** Where a node takes connections by IPv6, while it does. */
  sixOf(node: WayNode): bigint | undefined {
    const six = nodeSix(node);
    return this.#six && this.#probes.answers(six) ? six : undefined;
  }

  heard(address: Ip): void {
    this.#probes.heard(address);
  }

  /** Asks the nodes that connections are passed on to, again and again. */
  async keepAsking(abort: AbortSignal): Promise<void> {
    await this.#probes.run(abort);
  }

  /** To which nodes connections are passed on, and why not with their client's address. */
  report(): Omit<IngressReport, 'ports'> {
    const nodes = this.#inUse.map(({ address, port }) => {
      const keepsClient = this.#open !== undefined && this.#probes.answers(address);
      const takesSix = this.sixOf({ address, port }) !== undefined;
      const reasons = this.#open ? reasonsOf({ address, port, keepsClient, lacksSix: this.#asksSix && !takesSix }) : [];
      return { address: formatAddress(address), port, keepsClient, takesSix, reasons };
    });
    return { ...(this.#refusal && { hidden: this.#refusal.reason }), nodes };
  }

  #hindrances(): string[] {
    const { hidden, nodes } = this.report();
    const why = hidden === undefined ? [] : [`services see this node as their client everywhere: ${hidden}`];
    return [...why, ...nodes.flatMap(({ reasons }) => reasons)];
  }

  /** Once this node knows by which address it is known itself. */
  get #asksSix(): boolean {
    return this.#six && this.#carrier.peers.size > 0;
  }

  /** Every node in both families. */
  #asked(): Ip[] {
    const asked = this.#inUse.flatMap((node): Ip[] => [node.address, ...(this.#asksSix ? [nodeSix(node)] : [])]);
    return [...new Set(asked)];
  }

  /** What the kernel lacks; nothing is changed. */
  differences(): Promise<string[]> {
    return this.#inTurn(async () => {
      const found = await this.#compare();
      const strict = this.#open && (await this.#strictFilter());
      return [...found, ...(strict ? [strict] : []), ...this.#hindrances()];
    });
  }

  /** Puts it right; a sentence for each thing that was wrong. */
  audit(): Promise<string[]> {
    return this.#inTurn(async () => {
      if (this.#refusal) await this.#tryAgain(this.#refusal);
      const found = await this.#compare();
      if (found.length > 0 && this.#open) await this.#ensure(this.#open.port, this.#open.mac);
      return found;
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  get #name(): string {
    return this.#parts.instance.wayLink;
  }

  #rules(): WayRules {
    const { mtu, instance } = this.#parts;
    return { link: this.#name, mtu: mtu() - HEADERS, mark: instance.wayMark, ...(this.#six && { six: true }) };
  }

  /** Unlike others, so that nodes know each other apart by it; the kernel is told it with the link. */
  #newMac(): Uint8Array {
    const { random } = this.#parts;
    const last = 1 + random.below(255); // its end is the node's zone, and zone 0 is nobody's
    return Uint8Array.from([0x02, 0x5b, ...random.bytes(3), last]);
  }

  /** One address at a time stands behind a node's MAC address. */
  #note(node: WayNode): void {
    for (const [key, known] of this.#nodes) if (known.address === node.address) this.#nodes.delete(key);
    this.#nodes.set(wayKey(node), node);
  }

  /** Nothing marks packets any more before what they would be led into goes. */
  async #giveUp(): Promise<void> {
    this.#open = undefined;
    await this.#parts.firewall.set((wanted) => ({ ...wanted, ways: undefined }));
    await this.#remove();
  }

  async #mustBeAble(port: number): Promise<void> {
    const links = readLinks(await this.#parts.netd().dump('listing links', dumpLinks()));
    const others = links.find((link) => isWayLink(link.name) && link.name !== this.#name && link.way?.port === port);
    if (others) {
      const why = `the link ${others.name} of another daemon on this machine has UDP port ${port}`;
      throw new CodedError('conflict', `${why}: give one of the two another data path port`);
    }
    const strict = await this.#strictFilter();
    if (strict) throw new CodedError('unavailable', strict);
  }

  /** Why packets would be dropped that come from elsewhere than the routes say. */
  async #strictFilter(): Promise<string | undefined> {
    const name = 'ipv4/conf/all/rp_filter';
    const [filter] = await this.#parts.netd().run([{ do: 'read-sysctl', where: '', name }]);
    if (filter?.errno !== 0 || filter.bytes.toString().trim() !== STRICT) return undefined;
    const why = 'net.ipv4.conf.all.rp_filter is 1: the kernel drops packets whose source is elsewhere by its routes';
    return `${why} (2 lets them pass)`;
  }

  async #ensure(port: number, mac: Uint8Array): Promise<void> {
    const { netd, instance } = this.#parts;
    const found = await this.#link();
    if (found && (found.way?.port !== port || !found.up)) await this.#remove();
    const name = this.#name;
    const { mtu } = this.#rules();
    const made = new MessageWriter();
    addWayLink(made, { name, port, mtu, mac, group: instance.linkGroup });
    if (!(await this.#link())) {
      const settings = [
        [`ipv4/conf/${name}/rp_filter`, '0'],
        [`ipv4/conf/${name}/forwarding`, '1'],
        [`ipv6/conf/${name}/disable_ipv6`, '1'],
      ] as const;
      await netd().do('making the link to other nodes', [
        { do: 'netlink', family: NETLINK_ROUTE, where: '', messages: made.finish() },
        ...settings.map(([key, value]): Step => ({ do: 'write-sysctl', where: '', name: key, value, mayFail: true })),
      ]);
    }
    const link = await this.#link();
    if (!link?.way) throw new CodedError('internal', `the link ${name} is not there`);
    const routed = new MessageWriter();
    changeLink(routed, { index: link.index, up: true });
    putRoute(routed, link.index, instance.wayMark);
    if (!hasMarkRule(await netd().dump('listing routing rules', dumpRules()), instance.wayMark)) {
      addMarkRule(routed, instance.wayMark);
    }
    await netd().do('leading packets to other nodes', [
      { do: 'netlink', family: NETLINK_ROUTE, where: '', messages: routed.finish() },
    ]);
    await netd().exchange(
      'changing the frames to other nodes',
      NETLINK_NETFILTER,
      planFrames(instance.table, this.#rules()).finish(),
    );
    const open = { port, index: link.index, mac: link.way.mac };
    this.#open = open;
    this.#known = new Set();
    await this.#bringNodes();
    if (this.#six) await this.#trySix(open);
    await this.#parts.firewall.set((wanted) => ({ ...wanted, ways: this.#rules() }));
  }

  async #bringNodes(): Promise<void> {
    const open = this.#open;
    if (!open) return;
    const fresh = [...this.#nodes].filter(([key]) => !this.#known.has(key));
    if (fresh.length === 0) return;
    const writer = new MessageWriter();
    for (const [, node] of fresh) putNode(writer, open.index, node);
    await this.#parts
      .netd()
      .do('finding other nodes', [{ do: 'netlink', family: NETLINK_ROUTE, where: '', messages: writer.finish() }]);
    this.#known = new Set(this.#nodes.keys());
  }

  /** Where nodes' links are heard: as a rule there is one for all. */
  #ports({ port }: Open): Set<number> {
    return new Set([port, ...[...this.#nodes.values()].map((node) => node.port)]);
  }

  /** Without IPv6 connections of IPv4 go on as ever. */
  async #trySix(open: Open): Promise<void> {
    try {
      await this.#carrier.ensure(open, this.#ports(open), this.#rules().mtu);
    } catch (error) {
      this.#six = false;
      this.#parts.log.warn('connections by IPv6 are not passed on to other nodes', { reason: sentenceOf(error) });
      await this.#parts.firewall.set((wanted) => (wanted.ways ? { ...wanted, ways: this.#rules() } : wanted));
    }
  }

  async #readNodes({ index, port }: Open): Promise<WayNode[]> {
    return readNodes(await this.#parts.netd().dump('listing nodes', dumpNodes()), index, port);
  }

  async #compare(): Promise<string[]> {
    const open = this.#open;
    if (!open) return [];
    const { netd, instance } = this.#parts;
    const link = await this.#link();
    if (!link?.way || !link.up || link.index !== open.index) return [`the link ${this.#name} to other nodes was gone`];
    const found: string[] = [];
    if (!hasMarkRule(await netd().dump('listing routing rules', dumpRules()), instance.wayMark)) {
      found.push('the routing rule for connections to other nodes was gone');
    }
    const routes = await netd().dump('listing routes', dumpRoutes());
    if (
      !hasRoute(routes, await netd().dump('listing neighbours', dumpAddressNeighbours()), open.index, instance.wayMark)
    ) {
      found.push('the route to other nodes was gone');
    }
    const has = new Set((await this.#readNodes(open)).map(wayKey));
    const missing = [...this.#nodes.keys()].filter((key) => !has.has(key));
    if (missing.length > 0) found.push(`the link ${this.#name} lacked ${missing.length} other nodes`);
    if (!(await this.#framesAreRight(instance.table))) {
      found.push(`the frame rules of the link ${this.#name} were not as they should be`);
    }
    return this.#six ? [...found, ...(await this.#carrier.compare(open, this.#ports(open)))] : found;
  }

  async #framesAreRight(table: string): Promise<boolean> {
    const wanted = planFrames(table, this.#rules()).rows;
    const request = listRules.request(table, 'netdev');
    try {
      const bytes = await this.#parts.netd().exchange('listing rules', NETLINK_NETFILTER, request);
      const rows = listRules.read(bytes, table);
      return [...wanted].every(
        ([chain, marks]) =>
          rows
            .filter((row) => row.chain === chain)
            .map(({ mark }) => mark)
            .join() === marks.join(),
      );
    } catch (error) {
      if (error instanceof StepError) return false;
      throw error;
    }
  }

  async #link(): Promise<Link | undefined> {
    const links = readLinks(await this.#parts.netd().dump('listing links', dumpLinks()));
    return links.find(({ name }) => name === this.#name);
  }

  async #remove(): Promise<void> {
    const { netd, instance } = this.#parts;
    const link = new MessageWriter();
    deleteLink(link, this.#name);
    const rule = new MessageWriter();
    deleteMarkRule(rule, instance.wayMark);
    const rule6 = new MessageWriter();
    deleteMarkRule(rule6, instance.wayMark, AF_INET6);
    const step = (messages: Buffer): Step => ({
      do: 'netlink',
      family: NETLINK_ROUTE,
      where: '',
      messages,
      mayFail: true,
    });
    const rules = planFramesRemoval(instance.table);
    await netd().run([
      step(rule.finish()),
      step(rule6.finish()),
      step(link.finish()),
      { do: 'netlink', family: NETLINK_NETFILTER, where: '', messages: rules, mayFail: true },
    ]);
    this.#known = new Set();
  }
}

function reasonsOf(node: WayNode & { readonly keepsClient: boolean; readonly lacksSix: boolean }): string[] {
  const { port, keepsClient, lacksSix } = node;
  const silent = `node ${formatAddress(node.address)} does not answer`;
  if (!keepsClient) return [`${silent} at UDP ${port}: services there see this node as their client`];
  return !lacksSix ? [] : [`${silent} by IPv6 at UDP ${port}: its services are asked by IPv4 only`];
}

/** The nodes of a map that the link leads to, each once: by IPv6 it carries datagrams as well. */
export function wayNodes(ports: readonly IngressPort[]): WayNode[] {
  const nodes = ports.flatMap(({ remote }) =>
    remote.flatMap(({ address, wayPort }) =>
      wayPort === undefined ? [] : [{ address: parseAddress(address), port: wayPort }],
    ),
  );
  return [...new Map(nodes.map((node) => [wayKey(node), node])).values()];
}
