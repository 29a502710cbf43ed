// Drives the kernel's WireGuard for encrypted networks, where ESP is not: carries out what wireguard-plan.ts plans, takes up
// what an earlier daemon left, compares every few seconds, and says why where the kernel does not do it.
// Nothing is counted under a key of ours: each session has keys of its own, which both kernels make anew, so that a link may
// be made as often as it has to be. Links keep sessions alive by themselves; a node is sent to by WireGuard only when it has
// one, and no longer when it does not answer, so that whoever is told late, or sits behind a firewall, loses nothing.
import { constants } from 'node:os';
import { codeOf, sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { Mutex } from '../../base/mutex.ts';
import { ask, type Helper } from './esp-kernel.ts';
import type { KernelLives } from './kernel-lives.ts';
import type { KernelRing } from './kernel-pairs.ts';
import { FAILURES_MAX, GONE_HELPER, LACKS, takeOut } from './kernel-refusals.ts';
import { planKernelRules, ruleCount, WIREGUARD_TABLE } from './kernel-ruleset.ts';
import { deleteLinkAt } from './link-messages.ts';
import { StepError } from './netd.ts';
import { NETLINK_GENERIC, NETLINK_NETFILTER, NETLINK_ROUTE, type Step } from './netd-protocol.ts';
import { MessageWriter } from './netlink.ts';
import { listRules } from './nft-read.ts';
import {
  asPlan,
  heardBy,
  linksLeft,
  lookAtWireguard,
  type FoundWireguard,
  wireguardDifferences,
} from './wireguard-kernel.ts';
import { askFamily, type FoundPeer, readFamily } from './wireguard-messages.ts';
import {
  SLOTS,
  type WireguardEnd,
  wireguardName,
  type WireguardPlan,
  wireguardPlan,
  wireguardSteps,
} from './wireguard-plan.ts';

export interface WireguardDriverParts {
  readonly netd: () => Helper;
  /** Of this driver alone: a life is the first of a network's ports. */
  readonly lives: KernelLives;
  readonly log: Log;
  /** Of the tunnel: where the packets of encrypted networks leave. */
  readonly namespacePath: string;
  readonly ensureNamespace: () => Promise<void>;
  /** Of its four links: no other network or daemon on this machine has them. */
  readonly firstIndex: (networkId: string) => number;
  /** Of four ports; the next attempt is for where somebody has one of them. */
  readonly firstPort: (networkId: string, attempt: number) => number;
  /** Why the kernel has no WireGuard; undefined: it has. Asked once, with the first encrypted network. */
  readonly probe: () => Promise<string | undefined>;
}

/** An encrypted network, as this node is on it. */
export interface WireguardNetworkHere {
  readonly id: string;
  readonly name: string;
  readonly vni: number;
  readonly mtu: number;
}

interface Carried extends WireguardNetworkHere {
  readonly firstIndex: number;
  /** Undefined: not by the kernel, for `reason`. */
  port: number | undefined;
  reason: string | undefined;
  /** In force; undefined: none by this daemon yet. */
  plan: WireguardPlan | undefined;
  sendId: number;
  /** What is taken out when nobody sends that way any more. */
  leftovers: readonly Step[];
  failures: number;
  /** Ports that somebody else had. */
  attempts: number;
  readonly peers: Map<string, Peer>; // by node
}

/** Another node, as it was at the last audit. */
interface Peer {
  handshake: string;
  sent: number;
  received: number;
  /** Audits in which something had gone to it and nothing had come. */
  deafAudits: number;
  /** Audits since its last session began. */
  oldAudits: number;
}

export interface WireguardCounts {
  readonly open: boolean;
  /** Bytes: the kernel counts no packets here. */
  readonly sent: number;
  readonly received: number;
}

/** Who gets something answers within ten seconds, if by an empty packet. */
const DEAF_AUDITS = 3;
/** A session ends after three minutes, and a new one begins within a minute more. */
const OLD_AUDITS = 24;
/** Then it counts as a refusal. */
const ATTEMPTS_MAX = 16;

export class WireguardDriver {
  readonly #parts: WireguardDriverParts;
  readonly #networks = new Map<string, Carried>();
  readonly #turn = new Mutex();
  /** What generic netlink calls it; a sentence: why the kernel does not have it. */
  #probed: Promise<number | string> | undefined;
  #family = 0;
  #lacks: string | undefined;
  #isThere: boolean | undefined; // undefined: the kernel was not asked
  /** Of an earlier daemon, with the first port: its kernel still takes what others send. */
  readonly #adopted = new Map<string, number>();

  constructor(parts: WireguardDriverParts) {
    this.#parts = parts;
  }

  /** Whether others are told that this node can. */
  get isOffered(): boolean {
    return this.#lacks === undefined && (this.#isThere ?? this.#adopted.size > 0);
  }

  /** Why not, where the kernel has refused what it had seemed to have, or has come to have it since it was asked. */
  get refusal(): string | undefined {
    if (this.#isThere !== false) return this.#lacks;
    return 'the kernel has it by now, and had not when this daemon asked; it asks again when it starts';
  }

  /** Networks that others may send to by WireGuard, each with the first of its ports. */
  ports(): Record<string, number> {
    if (!this.isOffered) return {};
    const ready = [...this.#networks.values()].flatMap(({ id, port, plan }) =>
      port && plan ? [[id, port] as const] : [],
    );
    return Object.fromEntries([...this.#adopted, ...ready]);
  }

  /** Why a network, or one of its nodes, is not reached by WireGuard; undefined: it may be. */
  reason(networkId: string, nodeId: string): string | undefined {
    const network = this.#networks.get(networkId);
    if (this.#lacks !== undefined) return this.#lacks;
    if (network?.reason !== undefined) return network.reason;
    const peer = network?.peers.get(nodeId);
    if (peer && isDeaf(peer)) return 'it did not answer by WireGuard (a firewall?)';
    return network?.plan?.refused.get(nodeId);
  }

  /** Once, before the first network: others go on to send to the ports of an earlier daemon, as its kernel hears them. */
  async adopt(): Promise<void> {
    const { lives } = this.#parts;
    for (const id of await lives.ids()) this.#adopted.set(id, Number((await lives.of(id))?.life));
  }

  /** Chooses the network's ports and sets its packet rules. False: the kernel does not carry it, see `reason`. */
  open(network: WireguardNetworkHere): Promise<boolean> {
    return this.#turn.run(async () => {
      if (!(await this.#has())) {
        this.#adopted.delete(network.id);
        return false;
      }
      const known = this.#networks.get(network.id);
      if (known?.port !== undefined) return true;
      const carried: Carried = known ?? {
        ...network,
        firstIndex: this.#parts.firstIndex(network.id),
        port: undefined,
        reason: undefined,
        plan: undefined,
        sendId: 0,
        leftovers: [],
        failures: 0,
        attempts: 0,
        peers: new Map(),
      };
      this.#networks.set(network.id, carried);
      if (carried.failures >= FAILURES_MAX) return false;
      return (await this.#try(carried, () => this.#open(carried))) ?? false;
    });
  }

  /**
   * Makes what is new for this ring and these nodes; what nobody uses then is taken out by `settle`. Answers which nodes
   * are reached so: there is a session with them. Undefined: none, as the kernel has refused.
   */
  carry(
    networkId: string,
    ring: KernelRing,
    self: { readonly id: string },
    peers: readonly WireguardEnd[],
  ): Promise<ReadonlySet<string> | undefined> {
    return this.#turn.run(async () => {
      const carried = this.#networks.get(networkId);
      if (carried?.port === undefined) return undefined;
      for (;;) {
        const { attempts } = carried;
        const reached = await this.#try(carried, () => this.#carry(carried, ring, self, peers));
        if (reached || carried.attempts === attempts) return reached;
        if (!(await this.#try(carried, () => this.#open(carried)))) return undefined; // with other ports
      }
    });
  }

  /** Whoever sent by what was before sends by what is now. */
  settle(networkId: string): Promise<void> {
    return this.#turn.run(async () => {
      const carried = this.#networks.get(networkId);
      if (carried) await this.#settle(carried);
    });
  }

  /** By node, of the sessions that are in force: they begin anew with the keys of the ring. */
  counts(networkId: string): Promise<ReadonlyMap<string, WireguardCounts>> {
    return this.#turn.run(async () => {
      const carried = this.#networks.get(networkId);
      if (!carried?.plan) return new Map<string, WireguardCounts>();
      const heard = heardBy(carried.plan, await this.#look(carried), carried.sendId);
      return new Map(
        [...heard].map(([id, { handshake, sent, received }]) => [id, { open: handshake !== '', sent, received }]),
      );
    });
  }

  /** A sentence for each difference; nothing is changed. */
  differences(): Promise<string[]> {
    return this.#turn.run(async () => {
      const sentences: string[] = [];
      for (const carried of this.#networks.values()) {
        if (carried.plan) sentences.push(...(await this.#compare(carried, carried.plan)));
      }
      return sentences;
    });
  }

  /** As `differences`, and repairs. `changed`: networks whose packets have to take another way than before. */
  audit(): Promise<{ readonly repairs: readonly string[]; readonly changed: readonly string[] }> {
    return this.#turn.run(async () => {
      const [repairs, changed] = [[] as string[], [] as string[]];
      for (const carried of this.#networks.values()) {
        const before = wayText(carried);
        await this.#try(carried, async () => void repairs.push(...(await this.#audit(carried))));
        if (wayText(carried) !== before) changed.push(carried.id);
      }
      return { repairs, changed };
    });
  }

  /** The node is not on the network any more: links, and ports. Also what an earlier daemon made. */
  end(networkId: string): Promise<void> {
    return this.#turn.run(() => this.#end(networkId));
  }

  /** Of an earlier daemon, networks that nobody knows any more. */
  sweep(known: ReadonlySet<string>): Promise<void> {
    return this.#turn.run(async () => {
      const ids = [...new Set([...this.#networks.keys(), ...(await this.#parts.lives.ids())])];
      for (const id of ids.filter((each) => !known.has(each))) {
        try {
          await this.#end(id);
        } catch (error) {
          // The daemon starts for all that; the next sweep finds it again.
          this.#parts.log.warn('links of WireGuard could not be taken out', { networkId: id, error });
        }
      }
    });
  }

  async #has(): Promise<boolean> {
    if (this.#lacks !== undefined) return false;
    this.#probed ??= this.#probe();
    try {
      const answer = await this.#probed;
      this.#isThere = typeof answer === 'number';
      this.#family = typeof answer === 'number' ? answer : 0;
      return this.#isThere;
    } catch (error) {
      this.#probed = undefined; // asked again with the next one
      throw error;
    }
  }

  async #probe(): Promise<number | string> {
    const refused = await this.#parts.probe();
    if (refused !== undefined) return refused;
    try {
      const family = readFamily(await ask(this.#parts.netd(), NETLINK_GENERIC, '', askFamily()));
      return family ?? 'generic netlink has no number for it';
    } catch (error) {
      if (error instanceof StepError) return `generic netlink does not know it: ${sentenceOf(error)}`;
      throw error;
    }
  }

  async #open(carried: Carried): Promise<true> {
    const { lives, ensureNamespace } = this.#parts;
    await ensureNamespace();
    await this.#putRules(carried);
    const known = (await lives.of(carried.id))?.life;
    carried.port = Number(known ?? (await lives.begin(carried.id, String(this.#freePort(carried)))));
    carried.reason = undefined;
    return true;
  }

  /** No other network's here; whether somebody else has one of them is seen when the kernel is to hear there. */
  #freePort(carried: Carried): number {
    const taken = new Set([...this.#networks.values()].flatMap(({ port }) => port ?? []));
    for (const port of this.#adopted.values()) taken.add(port);
    for (;;) {
      const port = this.#parts.firstPort(carried.id, carried.attempts);
      if (!taken.has(port) || carried.attempts > taken.size + ATTEMPTS_MAX) return port;
      carried.attempts += 1;
    }
  }

  async #carry(
    carried: Carried,
    ring: KernelRing,
    self: { readonly id: string },
    peers: readonly WireguardEnd[],
  ): Promise<ReadonlySet<string>> {
    const { id, firstIndex, mtu, port: firstPort = 0 } = carried;
    const plan = wireguardPlan({ id, firstPort, firstIndex, mtu, ...ring }, self, peers, carried.plan);
    if (carried.sendId !== ring.sendId) carried.peers.clear(); // other sessions
    carried.sendId = ring.sendId;
    const found = await this.#bring(carried, plan);
    this.#adopted.delete(id);
    return this.#reached(carried, found);
  }

  /** Answers what was there before. */
  async #bring(carried: Carried, plan: WireguardPlan): Promise<FoundWireguard> {
    const { netd, namespacePath } = this.#parts;
    const { name, firstIndex } = carried;
    const found = await this.#look(carried);
    const before = asPlan(found, plan, carried.plan);
    const doing = `encrypting network ${name} by WireGuard`;
    const strays = (await linksLeft(netd(), { namespacePath, firstIndex })).filter(({ where }) => where === '');
    await takeOut(netd(), doing, strays.map(deletionOf));
    const [held] = await netd().do(doing, [{ do: 'hold-namespace', path: namespacePath }]);
    const namespaceFd = held?.bytes.readUInt32LE(0) ?? -1;
    try {
      const place = { namespacePath, namespaceFd, family: this.#family };
      const { make, remove } = wireguardSteps(before, plan, place);
      if (make.length > 0) await netd().do(doing, [...settingSteps(namespacePath), ...make]);
      carried.plan = plan;
      carried.leftovers = remove;
    } finally {
      await netd().run([{ do: 'drop-namespace', descriptor: namespaceFd, mayFail: true }]);
    }
    return found;
  }

  async #settle(carried: Carried): Promise<void> {
    const { leftovers } = carried;
    carried.leftovers = [];
    await takeOut(this.#parts.netd(), `taking out what network ${carried.name} had of WireGuard`, leftovers);
  }

  #reached(carried: Carried, found: FoundWireguard): Set<string> {
    const { plan, peers, sendId } = carried;
    const heard = plan ? heardBy(plan, found, sendId) : new Map<string, FoundPeer>();
    for (const id of [...peers.keys()]) if (!heard.has(id)) peers.delete(id);
    for (const [id, { handshake, sent, received }] of heard) {
      const known = peers.get(id);
      if (!known) peers.set(id, { handshake, sent, received, deafAudits: 0, oldAudits: 0 });
    }
    return new Set(
      [...peers].flatMap(([id, peer]) => (isUsed(peer) && plan?.links.get(sendId)?.peers.has(id) ? [id] : [])),
    );
  }

  async #compare(carried: Carried, plan: WireguardPlan): Promise<string[]> {
    const there = asPlan(await this.#look(carried), plan, carried.plan);
    const rules = await this.#areRulesThere();
    return [...(rules ? [] : ['lacked packet rules where WireGuard ends']), ...wireguardDifferences(plan, there)].map(
      (words) => `network ${carried.name} ${words}`,
    );
  }

  async #audit(carried: Carried): Promise<string[]> {
    if (carried.port === undefined) {
      if (this.#lacks === undefined && carried.failures < FAILURES_MAX) await this.#open(carried);
      return [];
    }
    const { plan } = carried;
    if (!plan) return [];
    const found = await this.#compare(carried, plan);
    if (found.length === 0) carried.failures = 0;
    else {
      await this.#putRules(carried);
      await this.#bring(carried, plan);
      await this.#settle(carried);
    }
    const there = await this.#look(carried);
    this.#reached(carried, there);
    listen(carried, heardBy(plan, there, carried.sendId));
    return found;
  }

  /** What the kernel refuses keeps this network from it, and where it lacks WireGuard all; never anybody from the tunnel. */
  async #try<T>(carried: Carried, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (GONE_HELPER.has(codeOf(error))) throw error;
      await this.#refused(carried, error);
      return undefined;
    }
  }

  async #refused(carried: Carried, error: unknown): Promise<void> {
    const { log, lives } = this.#parts;
    const reason = sentenceOf(error);
    const errno = error instanceof StepError ? error.errno : 0;
    const isTaken = errno === constants.errno.EADDRINUSE && carried.attempts < ATTEMPTS_MAX;
    if (isTaken) carried.attempts += 1;
    else carried.failures += 1;
    if (carried.reason !== reason) {
      log.warn('the kernel’s WireGuard does not encrypt a network', { network: carried.name, reason });
    }
    carried.port = undefined;
    carried.plan = undefined;
    carried.leftovers = [];
    carried.peers.clear();
    carried.reason = reason;
    if (LACKS.has(errno)) this.#lacks = reason;
    this.#adopted.delete(carried.id);
    if (isTaken) await lives.end(carried.id);
    try {
      await this.#removeLinks(carried.name, carried.firstIndex);
    } catch (failure) {
      if (!(failure instanceof StepError)) throw failure;
      log.warn('links of WireGuard could not be taken out', { network: carried.name, error: failure });
    }
  }

  async #end(networkId: string): Promise<void> {
    const { lives, firstIndex, log } = this.#parts;
    const isThere = this.#networks.has(networkId) || (await lives.of(networkId)) !== undefined;
    this.#networks.delete(networkId);
    this.#adopted.delete(networkId);
    if (!isThere) return;
    try {
      await this.#removeLinks(networkId, firstIndex(networkId));
      if (this.#networks.size > 0) await this.#putRules();
    } catch (error) {
      // The namespace may have gone with all of it, or the kernel never had any.
      if (!(error instanceof StepError)) throw error;
      log.info('links of WireGuard were gone', { networkId, reason: sentenceOf(error) });
    }
    await lives.end(networkId);
  }

  async #removeLinks(name: string, firstIndex: number): Promise<void> {
    const { netd, namespacePath } = this.#parts;
    const left = await linksLeft(netd(), { namespacePath, firstIndex });
    await takeOut(netd(), `taking out what network ${name} had of WireGuard`, left.map(deletionOf));
  }

  /** Of all four links of a network, whichever are there: a turn of the ring changes no rule. */
  async #putRules(carried?: Carried): Promise<void> {
    const all = [...new Set([...this.#networks.values(), ...(carried ? [carried] : [])])];
    const links = all.flatMap(({ firstIndex, vni }) =>
      Array.from({ length: SLOTS }, (_, slot) => ({ name: wireguardName(firstIndex + slot), vni })),
    );
    const messages = planKernelRules(links, WIREGUARD_TABLE);
    const where = this.#parts.namespacePath;
    const step = { do: 'netlink', family: NETLINK_NETFILTER, where, messages } as const;
    await this.#parts.netd().do('setting the packet rules where WireGuard ends', [step]);
  }

  async #areRulesThere(): Promise<boolean> {
    const where = this.#parts.namespacePath;
    try {
      const bytes = await ask(this.#parts.netd(), NETLINK_NETFILTER, where, listRules.request(WIREGUARD_TABLE));
      return listRules.read(bytes, WIREGUARD_TABLE).length === ruleCount(SLOTS * this.#networks.size);
    } catch (error) {
      if (error instanceof StepError) return false;
      throw error;
    }
  }

  #look({ firstIndex }: Pick<Carried, 'firstIndex'>): Promise<FoundWireguard> {
    const { netd, namespacePath } = this.#parts;
    return lookAtWireguard(netd(), { namespacePath, firstIndex, family: this.#family });
  }
}

function deletionOf({ where, index }: { readonly where: string; readonly index: number }): Step {
  const writer = new MessageWriter();
  deleteLinkAt(writer, index);
  return { do: 'netlink', family: NETLINK_ROUTE, where, messages: writer.finish() };
}

/**
 * While keys turn, what a node sends comes by another link than that which leads to it; a namespace takes over from the
 * node whether the kernel would drop such packets. A link has what stands here when it comes.
 */
const settingSteps = (where: string): Step[] =>
  ['all', 'default'].map((of) => {
    return { do: 'write-sysctl', where, name: `ipv4/conf/${of}/rp_filter`, value: '0' };
  });

const isDeaf = ({ deafAudits, oldAudits }: Peer): boolean => deafAudits >= DEAF_AUDITS || oldAudits >= OLD_AUDITS;
const isUsed = (peer: Peer): boolean => peer.handshake !== '' && !isDeaf(peer);

/** Which ports are heard at, and who is sent to. */
const wayText = ({ port, peers }: Carried): string =>
  [port, ...[...peers].flatMap(([id, peer]) => (isUsed(peer) ? [id] : []))].join(' ');

function listen({ peers }: Carried, heard: ReadonlyMap<string, FoundPeer>): void {
  for (const [nodeId, peer] of peers) {
    const { handshake, sent, received } = heard.get(nodeId) ?? peer;
    const isNew = handshake !== peer.handshake;
    peer.oldAudits = isNew || handshake === '' ? 0 : peer.oldAudits + 1;
    if (isNew || received !== peer.received || handshake === '') peer.deafAudits = 0;
    else if (sent !== peer.sent) peer.deafAudits += 1;
    Object.assign(peer, { handshake, sent, received });
  }
}
