// Drives the kernel's ESP for encrypted networks: carries out what esp-plan.ts plans, takes up what an earlier daemon left,
// compares every few seconds, and says why where the kernel does not do it.
// Invariants: what the kernel has is looked at before each change; a state is made once in a life (kernel-lives.ts); where
// one was lost a new life begins, and nothing is sent in it before the managers have told others of it.
import { codeOf, sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { Mutex } from '../../base/mutex.ts';
import { ask, asPlan, espDifferences, type FoundEsp, type Helper, lookAtEsp, lostStates } from './esp-kernel.ts';
import { bringEspLink, type EspLink, espLinkFault } from './esp-link.ts';
import { espLinkEnd, type EspPlan, type EspPlace, espLinkName, espPlan, espSteps, NO_ESP } from './esp-plan.ts';
import type { KernelEnd, KernelRing } from './kernel-pairs.ts';
import type { KernelLives } from './kernel-lives.ts';
import { FAILURES_MAX, GONE_HELPER, LACKS, takeOut } from './kernel-refusals.ts';
import { KERNEL_TABLE, planKernelRules, ruleCount } from './kernel-ruleset.ts';
import { StepError } from './netd.ts';
import { NETLINK_NETFILTER, type Step } from './netd-protocol.ts';
import { listRules } from './nft-read.ts';

export interface EspDriverParts {
  readonly netd: () => Helper;
  readonly lives: KernelLives;
  readonly log: Log;
  /** Of the tunnel: where the packets of encrypted networks leave. */
  readonly namespacePath: string;
  readonly ensureNamespace: () => Promise<void>;
  /** Of its link, and of what belongs to it: no other network or daemon on this machine has it. */
  readonly interfaceId: (networkId: string) => number;
  /** Why the kernel has no ESP; undefined: it has. Asked once, with the first encrypted network. */
  readonly probe: () => Promise<string | undefined>;
}

/** An encrypted network, as this node is on it. */
export interface EspNetworkHere {
  readonly id: string;
  readonly name: string;
  readonly vni: number;
  readonly nodeId: string;
  readonly mtu: number;
}

interface Carried extends EspLink {
  readonly name: string;
  readonly vni: number;
  /** Undefined: not by the kernel, for `reason`. */
  life: string | undefined;
  reason: string | undefined;
  /** In force; undefined: none in this life by this daemon yet. */
  plan: EspPlan | undefined;
  /** What is taken out when nobody sends that way any more. */
  leftovers: readonly Step[];
  failures: number;
  readonly peers: Map<string, Peer>; // by node
}

/** Another node, as far as it was heard by ESP in its life. */
interface Peer {
  readonly life: string;
  isHeard: boolean;
  /** At the last audit. */
  sent: number;
  /** Audits in which packets had gone to it and none had come. */
  quietAudits: number;
}

export interface EspCounts {
  readonly sent: number;
  readonly received: number;
  readonly replayed: number;
  readonly altered: number;
}

const NOTHING: EspCounts = { sent: 0, received: 0, replayed: 0, altered: 0 };
/** A firewall that lets no ESP pass says nothing: then the tunnel is used, which goes by UDP. */
const QUIET_AUDITS = 2;

export class EspDriver {
  readonly #parts: EspDriverParts;
  readonly #networks = new Map<string, Carried>();
  readonly #turn = new Mutex();
  #probed: Promise<string | undefined> | undefined;
  #lacks: string | undefined;
  #isThere: boolean | undefined; // undefined: the kernel was not asked
  /** Of an earlier daemon: its kernel still takes what others send. */
  readonly #adopted = new Map<string, string>();

  constructor(parts: EspDriverParts) {
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

  /** Networks that others may send to by ESP, each in its life. */
  lives(): Record<string, string> {
    if (!this.isOffered) return {};
    const ready = [...this.#networks.values()].flatMap(({ id, life }) => (life ? [[id, life] as const] : []));
    return Object.fromEntries([...this.#adopted, ...ready]);
  }

  /** Why a network, or one of its nodes, is not reached by ESP; undefined: it may be. */
  reason(networkId: string, nodeId: string): string | undefined {
    const network = this.#networks.get(networkId);
    if (this.#lacks !== undefined) return this.#lacks;
    if (network?.reason !== undefined) return network.reason;
    if (this.#isQuiet(networkId, nodeId)) return 'no packet of ESP came from it, though some went to it (a firewall?)';
    return network?.plan?.refused.get(nodeId);
  }

  /** Once, before the first network: others go on to send in the lives of an earlier daemon, as its kernel does. */
  async adopt(): Promise<void> {
    const { lives } = this.#parts;
    for (const id of await lives.ids()) this.#adopted.set(id, (await lives.of(id))?.life ?? '');
  }

  /** Makes ready to carry the network: link and packet rules. Answers its life; undefined: the kernel does not, see `reason`. */
  open(network: EspNetworkHere): Promise<string | undefined> {
    return this.#turn.run(async () => {
      this.#adopted.delete(network.id);
      if (!(await this.#has())) return undefined;
      const interfaceId = this.#parts.interfaceId(network.id);
      const known = this.#networks.get(network.id);
      if (known?.life !== undefined) return known.life;
      const fresh = {
        life: undefined,
        reason: undefined,
        plan: undefined,
        leftovers: [],
        failures: 0,
        peers: new Map(),
      };
      const carried: Carried = known ?? { ...network, interfaceId, ...fresh };
      this.#networks.set(network.id, carried);
      if (carried.failures >= FAILURES_MAX) return undefined;
      return await this.#try(carried, () => this.#open(carried));
    });
  }

  /**
   * Makes what is new for this ring and these nodes; what nobody uses then is taken out by `settle`. Answers which nodes
   * are reached so; undefined: none, as the kernel has refused or this life is over.
   */
  carry(
    networkId: string,
    ring: KernelRing,
    self: Omit<KernelEnd, 'life'>,
    peers: readonly KernelEnd[],
  ): Promise<ReadonlySet<string> | undefined> {
    return this.#turn.run(async () => {
      const carried = this.#networks.get(networkId);
      const { life } = carried ?? {};
      if (!carried || life === undefined) return undefined;
      const { interfaceId } = carried;
      knowPeers(carried, peers);
      return await this.#try(carried, async () => {
        const plan = espPlan({ id: networkId, interfaceId, ...ring }, { ...self, life }, peers);
        if (!(await this.#bring(carried, plan))) return undefined;
        return new Set(
          peers.map(({ id }) => id).filter((id) => !plan.refused.has(id) && !this.#isQuiet(networkId, id)),
        );
      });
    });
  }

  /** Whoever sent by what was before sends by what is now. */
  settle(networkId: string): Promise<void> {
    return this.#turn.run(async () => {
      const carried = this.#networks.get(networkId);
      if (!carried) return;
      const { leftovers } = carried;
      carried.leftovers = [];
      await this.#takeOut(carried, leftovers);
    });
  }

  /** By node, of the states that are in force: they begin anew with the keys. */
  counts(networkId: string): Promise<ReadonlyMap<string, EspCounts>> {
    return this.#turn.run(async () => {
      const carried = this.#networks.get(networkId);
      return carried?.plan ? countsOf(carried.plan, await this.#look(carried)) : new Map<string, EspCounts>();
    });
  }

  /** A sentence for each difference; nothing is changed. */
  differences(): Promise<string[]> {
    return this.#turn.run(async () => {
      const sentences: string[] = [];
      for (const carried of this.#networks.values()) sentences.push(...(await this.#compare(carried)));
      return sentences;
    });
  }

  /** As `differences`, and repairs. `changed`: networks whose packets have to take another way than before. */
  audit(): Promise<{ readonly repairs: readonly string[]; readonly changed: readonly string[] }> {
    return this.#turn.run(async () => {
      const [repairs, changed] = [[] as string[], [] as string[]];
      for (const carried of this.#networks.values()) {
        const before = carried.life;
        const quiet = quietOf(carried);
        await this.#try(carried, async () => void repairs.push(...(await this.#audit(carried))));
        if (carried.life !== before || quietOf(carried) !== quiet) changed.push(carried.id);
      }
      return { repairs, changed };
    });
  }

  /** The node is not on the network any more: link, states, policies and life. Also what an earlier daemon made. */
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
          this.#parts.log.warn('what the kernel encrypted could not be taken out', { networkId: id, error });
        }
      }
    });
  }

  async #has(): Promise<boolean> {
    if (this.#lacks !== undefined) return false;
    this.#probed ??= this.#parts.probe();
    try {
      const refused = await this.#probed;
      this.#isThere = refused === undefined;
      return this.#isThere;
    } catch (error) {
      this.#probed = undefined; // asked again with the next one
      throw error;
    }
  }

  async #open(carried: Carried): Promise<string> {
    const { lives, netd, ensureNamespace } = this.#parts;
    await ensureNamespace();
    await this.#putRules(carried);
    await bringEspLink(netd(), carried, this.#placeOf(carried));
    carried.life = (await lives.of(carried.id))?.life ?? (await lives.begin(carried.id));
    carried.reason = undefined;
    return carried.life;
  }

  /** False: a state was lost, or this life is full. The next one begins, of which nobody was told yet. */
  async #bring(carried: Carried, plan: EspPlan): Promise<boolean> {
    const { lives, netd } = this.#parts;
    const found = await this.#look(carried);
    if (carried.plan) noteHeard(carried, countsOf(carried.plan, found));
    const made = (await lives.of(carried.id))?.made ?? new Set<string>();
    const fresh = [...plan.states.keys()].filter((key) => !found.states.has(key));
    if (lostStates(plan, found, made).length > 0 || !(await lives.note(carried.id, fresh))) {
      await this.#begin(carried);
      return false;
    }
    const { make, remove } = espSteps(asPlan(found), plan, this.#placeOf(carried));
    if (make.length > 0) await netd().do(`encrypting network ${carried.name} by ESP`, make);
    carried.plan = plan;
    carried.leftovers = remove;
    return true;
  }

  /** What is there of the life before goes when there is a plan of the new one. */
  async #begin(carried: Carried): Promise<void> {
    carried.life = await this.#parts.lives.begin(carried.id);
    carried.plan = undefined;
    carried.leftovers = [];
    carried.peers.clear();
    this.#parts.log.warn('the kernel has lost what it had counted: a network begins a new life', {
      network: carried.name,
    });
  }

  async #compare(carried: Carried): Promise<string[]> {
    const { plan, life, name } = carried;
    if (life === undefined || !plan) return [];
    const fault = await espLinkFault(this.#parts.netd(), carried, this.#placeOf(carried));
    const rules = await this.#areRulesThere();
    const found = await this.#look(carried);
    return [
      ...(fault === undefined ? [] : [fault]),
      ...(rules ? [] : ['lacked packet rules where ESP ends']),
      ...espDifferences(plan, found),
      ...this.#lostIn(plan, found),
    ].map((words) => `network ${name} ${words}`);
  }

  #lostIn(plan: EspPlan, found: FoundEsp): string[] {
    const others = lostStates(plan, found, new Set()).length; // there, and not what was made
    return others > 0 ? [`had ${others} states of ESP that somebody else made`] : [];
  }

  async #audit(carried: Carried): Promise<string[]> {
    if (carried.life === undefined) {
      if (this.#lacks === undefined && carried.failures < FAILURES_MAX) await this.#open(carried);
      return [];
    }
    const found = await this.#compare(carried);
    const { plan } = carried;
    if (!plan) {
      await this.#clear(carried); // what the life before had; that others still sent to it has had its time
      return [];
    }
    if (found.length === 0) carried.failures = 0;
    else {
      await this.#putRules(carried);
      await bringEspLink(this.#parts.netd(), carried, this.#placeOf(carried));
      if (await this.#bring(carried, plan)) {
        await this.#takeOut(carried, carried.leftovers);
        carried.leftovers = [];
      }
    }
    if (carried.plan) listen(carried, countsOf(carried.plan, await this.#look(carried)));
    return found;
  }

  #isQuiet(networkId: string, nodeId: string): boolean {
    return (this.#networks.get(networkId)?.peers.get(nodeId)?.quietAudits ?? 0) >= QUIET_AUDITS;
  }

  /** What the kernel refuses keeps this network from it, and where it lacks ESP all; never anybody from the tunnel. */
  async #try<T>(carried: Carried, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (GONE_HELPER.has(codeOf(error))) throw error;
      carried.failures += 1;
      carried.life = undefined;
      carried.plan = undefined;
      carried.leftovers = [];
      const reason = sentenceOf(error);
      if (carried.reason !== reason) {
        this.#parts.log.warn('the kernel does not encrypt a network: the tunnel does', {
          network: carried.name,
          reason,
        });
      }
      carried.reason = reason;
      if (error instanceof StepError && LACKS.has(error.errno)) this.#lacks = reason;
      await this.#clear(carried);
      return undefined;
    }
  }

  /** States and policies that nobody keeps up: nothing is to be taken under keys that are out of use. */
  async #clear(carried: Carried): Promise<void> {
    try {
      await this.#takeOut(carried, espSteps(asPlan(await this.#look(carried)), NO_ESP, this.#placeOf(carried)).remove);
    } catch (error) {
      if (!(error instanceof StepError)) throw error;
      this.#parts.log.warn('what a network had of ESP could not be taken out', { network: carried.name, error });
    }
  }

  async #end(networkId: string): Promise<void> {
    const { lives, interfaceId, namespacePath, netd } = this.#parts;
    const known = this.#networks.get(networkId);
    const isThere = known !== undefined || (await lives.of(networkId)) !== undefined;
    this.#networks.delete(networkId);
    this.#adopted.delete(networkId);
    if (!isThere) return;
    const place = { index: interfaceId(networkId), namespacePath };
    try {
      const found = await lookAtEsp(netd(), place.index, place);
      await this.#takeOut({ name: networkId }, espSteps(asPlan(found), NO_ESP, place).remove);
      await this.#takeOut({ name: networkId }, espLinkEnd(place));
      if (this.#networks.size > 0) await this.#putRules();
    } catch (error) {
      // The namespace may have gone with all of it, or the kernel never had any: the life is over in either case.
      if (!(error instanceof StepError)) throw error;
      this.#parts.log.info('what the kernel encrypted was gone', { networkId, reason: sentenceOf(error) });
    }
    await lives.end(networkId);
  }

  async #takeOut({ name }: { readonly name: string }, steps: readonly Step[]): Promise<void> {
    await takeOut(this.#parts.netd(), `taking out what network ${name} had of ESP`, steps);
  }

  async #putRules(carried?: Carried): Promise<void> {
    const links = this.#links(carried).map(({ interfaceId, vni }) => ({ name: espLinkName(interfaceId), vni }));
    const messages = planKernelRules(links);
    const where = this.#parts.namespacePath;
    const step = { do: 'netlink', family: NETLINK_NETFILTER, where, messages } as const;
    await this.#parts.netd().do('setting the packet rules where ESP ends', [step]);
  }

  /** Before a link is there it has its rules. */
  #links(carried?: Carried): readonly Carried[] {
    return [...new Set([...this.#networks.values(), ...(carried ? [carried] : [])])];
  }

  async #areRulesThere(): Promise<boolean> {
    const where = this.#parts.namespacePath;
    try {
      const bytes = await ask(this.#parts.netd(), NETLINK_NETFILTER, where, listRules.request(KERNEL_TABLE));
      return listRules.read(bytes, KERNEL_TABLE).length === ruleCount(this.#networks.size);
    } catch (error) {
      if (error instanceof StepError) return false;
      throw error;
    }
  }

  #look({ interfaceId, ...rest }: Carried): Promise<FoundEsp> {
    return lookAtEsp(this.#parts.netd(), interfaceId, this.#placeOf({ interfaceId, ...rest }));
  }

  #placeOf({ interfaceId }: Pick<Carried, 'interfaceId'>): EspPlace {
    return { index: interfaceId, namespacePath: this.#parts.namespacePath };
  }
}

/** Who begins a new life is heard anew. */
function knowPeers({ peers: known }: Carried, peers: readonly KernelEnd[]): void {
  const before = new Map(known);
  known.clear();
  for (const { id, life } of peers) {
    const same = before.get(id);
    known.set(id, same?.life === life ? same : { life, isHeard: false, sent: 0, quietAudits: 0 });
  }
}

/** Once somebody was heard, silence means that there is nothing to say. */
function listen({ peers }: Carried, counts: ReadonlyMap<string, EspCounts>): void {
  for (const [nodeId, peer] of peers) {
    const { sent, received } = counts.get(nodeId) ?? NOTHING;
    peer.isHeard ||= received > 0;
    if (peer.isHeard) peer.quietAudits = 0;
    else if (sent > 0 && sent !== peer.sent) peer.quietAudits += 1;
    peer.sent = sent;
  }
}

/** Before the states that have counted it go. */
function noteHeard({ peers }: Carried, counts: ReadonlyMap<string, EspCounts>): void {
  for (const [nodeId, peer] of peers) peer.isHeard ||= (counts.get(nodeId)?.received ?? 0) > 0;
}

const quietOf = ({ peers }: Carried): string =>
  [...peers].flatMap(([id, { quietAudits }]) => (quietAudits >= QUIET_AUDITS ? [id] : [])).join();

function countsOf({ ends }: EspPlan, { states }: FoundEsp): Map<string, EspCounts> {
  const counts = new Map<string, EspCounts>();
  for (const [key, { nodeId, isOut }] of ends) {
    const { sent, received, replayed, altered } = counts.get(nodeId) ?? NOTHING;
    const state = states.get(key);
    const packets = state?.packets ?? 0;
    counts.set(nodeId, {
      sent: sent + (isOut ? packets : 0),
      received: received + (isOut ? 0 : packets),
      replayed: replayed + (state?.replayed ?? 0),
      altered: altered + (state?.altered ?? 0),
    });
  }
  return counts;
}
