// The simulated world: nodes with production's member loop, core, log and recovery over a simulated disk and network, one
// queue of events, one seed. What happens is decided in chaos.ts, what must hold in oracle.ts.
import { CodedError } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { silentLog } from '../../base/log.ts';
import { type Random, seededRandom } from '../../base/random.ts';
import type { SnapshotChunk } from '../../manager/raft/contract.ts';
import type { Membership } from '../../manager/raft/core/membership.ts';
import type { Raft } from '../../manager/raft/core/raft.ts';
import {
  DEFAULT_LIMITS,
  type InitialState,
  type Message,
  type SnapshotMessage,
  type SnapshotMeta,
} from '../../manager/raft/core/types.ts';
import type { CommittedBatch, Machine, Member } from '../../manager/raft/member.ts';
import type { Storage } from '../../manager/raft/storage.ts';
import { Events } from './events.ts';
import type { Modules } from './modules.ts';
import { Oracle, Violation } from './oracle.ts';
import type { StoreClients } from './store-clients.ts';
import { SimDisk } from './sim-disk.ts';
import { SimMachine } from './sim-machine.ts';

export const TICK_MS = 50;
const CLUSTER = 'simulated';

/** How hostile the world is; each seed draws its own. */
export interface Weather {
  readonly dropRate: number;
  readonly doubleRate: number;
  readonly slowRate: number;
  readonly slowMsMax: number;
  readonly flushMs: number;
  readonly flushStallRate: number;
  readonly flushFailRate: number;
  readonly snapshotEntries: number;
  readonly trailingEntries: number;
  readonly segmentBytes: number;
}

export class World {
  readonly events = new Events();
  readonly oracle = new Oracle();
  readonly modules: Modules;
  readonly nodes = new Map<string, SimNode>();
  /** Directions in which nothing gets through: `from>to`. */
  readonly cut = new Set<string>();
  /** How often what was met. */
  readonly met = new Map<string, number>();
  weather: Weather;
  readonly #network: Random;
  readonly #seed: number;
  readonly trace: string[] = [];
  readonly #readStarts = new Map<number, number>();
  readonly #waiting = new Map<number, { resolve: (index: number) => void; reject: (error: CodedError) => void }>();
  /** With these the state machine is the real store, and clients run transactions. */
  storeClients: StoreClients | undefined;
  #failure: unknown;
  #nextId = 1;

  constructor(seed: number, weather: Weather, modules: Modules) {
    this.#seed = seed;
    this.weather = weather;
    this.modules = modules;
    this.#network = this.random('network');
  }

  /** A stream of its own for each purpose, so that one more draw here does not change everything there. */
  random(purpose: string): Random {
    let hash = this.#seed;
    for (const character of purpose) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
    return seededRandom(hash);
  }

  count(what: string): void {
    this.met.set(what, (this.met.get(what) ?? 0) + 1);
  }

  note(text: string): void {
    this.trace.push(`${this.events.nowMs.toFixed(1)} ${text}`);
    if (this.trace.length > 400) this.trace.splice(0, 200);
  }

  /** Something went wrong in work that nobody waits for. */
  fail(error: unknown): void {
    this.#failure ??= error;
  }

  node(id: string): SimNode {
    const known = this.nodes.get(id);
    if (known) return known;
    const node = new SimNode(this, id);
    this.nodes.set(id, node);
    return node;
  }

  alive(): SimNode[] {
    return [...this.nodes.values()].filter((node) => node.member !== undefined);
  }

  leader(): SimNode | undefined {
    const leaders = this.alive().filter((node) => node.raft?.role === 'leader');
    return leaders.sort((a, b) => (b.raft?.term ?? 0) - (a.raft?.term ?? 0))[0];
  }

  /** One event, everything that follows from it at once, and the judgement. */
  async step(): Promise<boolean> {
    if (!this.events.step()) return false;
    await new Promise<void>((resolve) => void setImmediate(resolve));
    if (this.#failure !== undefined) throw this.#failure;
    for (const node of this.nodes.values()) node.judge();
    return true;
  }

  // ---- Clients ----

  propose(node: SimNode): void {
    if (this.storeClients) return this.storeClients.increment(node);
    const id = this.#nextId++;
    node.asClient(() => {
      const payload = Buffer.from(`op${id}${'.'.repeat(id % 97)}`);
      node.member?.propose([{ id, bytes: payload }]);
    });
  }

  /** For a store: resolves with the index once applied there. */
  proposeBytes(node: SimNode, bytes: Uint8Array): Promise<number> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      node.asClient(() => node.member?.propose([{ id, bytes }]));
    });
  }

  read(node: SimNode): void {
    const id = this.#nextId++;
    this.#readStarts.set(id, this.oracle.ackedMax);
    node.asClient(() => node.member?.read([id]));
  }

  answered(id: number, text: string, index: number): void {
    this.#waiting.get(id)?.resolve(index);
    this.#waiting.delete(id);
    this.oracle.acknowledged(text, index);
    this.count('acknowledged');
  }

  readAnswered(id: number, index: number): void {
    this.oracle.readAnswered(index, this.#readStarts.get(id) ?? 0);
    this.#readStarts.delete(id);
    this.count('read');
  }

  refused(ids: readonly number[], why: string, error: CodedError): void {
    for (const id of ids) {
      this.#readStarts.delete(id);
      this.#waiting.get(id)?.reject(error);
      this.#waiting.delete(id);
    }
    this.count(`failed: ${why}`);
  }

  // ---- Network ----

  send(messages: readonly Message[], from: SimNode): void {
    const claim = from.claim;
    for (const message of messages) {
      this.oracle.sent(message);
      if (message.type === 'append-response' && message.rejected) this.count('append rejected');
      if (message.type === 'snapshot') void from.sendSnapshot(message);
      else this.transmit(message.from, message.to, () => this.node(message.to).receive(message, claim));
    }
  }

  transmit(from: string, to: string, deliver: () => void): void {
    if (this.#network.fraction() < this.weather.dropRate) return this.count('message lost');
    const doubled = this.#network.fraction() < this.weather.doubleRate;
    if (doubled) this.count('message doubled');
    for (let copy = 0; copy < (doubled ? 2 : 1); copy += 1) {
      this.events.after(this.#delayMs(), () => {
        if (this.cut.has(`${from}>${to}`)) return this.count('message cut off');
        deliver();
      });
    }
  }

  #delayMs(): number {
    const isSlow = this.#network.fraction() < this.weather.slowRate;
    if (isSlow) this.count('message delayed');
    return isSlow ? this.#network.fraction() * this.weather.slowMsMax : 0.1 + this.#network.fraction() * 3;
  }
}

export class SimNode {
  readonly id: string;
  readonly disk: SimDisk;
  readonly #world: World;
  readonly #random: Random;
  #life = 0;
  #bootingLife = -1;
  #membership: Membership | undefined;
  /** The commit index at which the present membership came into force here. */
  committedBeforeMembership = 0;
  #start: 'bootstrap' | 'join' = 'join';
  #pausedUntilMs = 0;
  #applyAtMs = 0;
  clockRate = 1;
  member: Member | undefined;
  machine = new SimMachine();
  #storage: Storage | undefined;
  #reads: { ids: readonly number[]; index: number }[] = [];

  constructor(world: World, id: string) {
    this.id = id;
    this.#world = world;
    this.#random = world.random(`node ${id}`);
    const faults = world.random(`disk ${id}`);
    this.disk = new SimDisk(
      world.random(`crash ${id}`),
      { after: (ms, then) => world.events.after(ms, () => this.whenAwake(then)) },
      {
        flushMs: () => {
          const stalls = faults.fraction() < world.weather.flushStallRate;
          if (stalls) world.count('flush stalled');
          return (stalls ? 1_000 : world.weather.flushMs) * faults.fraction();
        },
        failsNow: () => faults.fraction() < world.weather.flushFailRate,
      },
    );
  }

  /** What it says of itself when it connects. */
  get claim(): number {
    return this.raft ? this.#world.modules.claimOf(this.raft) : 0;
  }

  get raft(): Raft | undefined {
    return this.member?.raft;
  }

  // ---- Life and death ----

  boot(start: 'bootstrap' | 'join'): void {
    this.#start = start;
    this.revive();
  }

  /** Starts the process if it is down. Until its directory is whole it begins as it first did. */
  revive(): void {
    if (this.member) return;
    const life = this.#life;
    if (this.#bootingLife === life) return;
    this.#bootingLife = life;
    void this.#boot(life).catch((error: unknown) => this.#onError(error, life));
  }

  async #boot(life: number): Promise<void> {
    const world = this.#world;
    const { Storage: StorageClass, Raft: RaftClass, Member: MemberClass } = world.modules;
    const disk = this.disk.mount();
    const { segmentBytes: segmentBytesMax } = world.weather;
    const deps = { disk, random: this.#random, clusterId: CLUSTER, nodeId: this.id, segmentBytesMax };
    if (!(await disk.list('.')).includes('format')) {
      await StorageClass.create(deps, this.#start === 'bootstrap' ? { raftAddress: this.id } : undefined);
    }
    const { storage, initial, recovered } = await StorageClass.open(deps);
    if (recovered.tornBytes > 0) world.count('torn end cut off');
    const chunks = storage.snapshot && (await storage.readChunks(storage.snapshot));
    if (life !== this.#life) return;
    const raft = new RaftClass({ id: this.id, limits: LIMITS, random: this.#random, initial });
    this.machine = world.storeClients?.machineFor(this) ?? new SimMachine();
    this.#reads = [];
    if (storage.snapshot && chunks) await this.#restore(storage.snapshot, chunks, life);
    if (life !== this.#life) return;
    this.#storage = storage;
    world.oracle.restarted(this.id, raft);
    this.#probeVote(initial);
    this.member = new MemberClass({
      raft,
      storage,
      log: simLog(world, this.id),
      snapshotIntervalEntries: world.weather.snapshotEntries,
      logEntriesForSlowFollowers: world.weather.trailingEntries,
      peers: {
        send: (messages) => world.send(messages, this),
        membershipChanged: () => world.count('membership changed'),
      },
      machine: this.#machineOf(life),
      onProgress: () => undefined,
      onFatal: (error) => this.#onError(error, life),
    });
    world.count('booted');
    this.#tick(life);
  }

  /** What it would do if somebody else asked for its vote in the term that it woke up in. It must remember. */
  #probeVote(initial: InitialState): void {
    const { term } = initial.hardState;
    const twin = new this.#world.modules.Raft({ id: this.id, limits: LIMITS, random: seededRandom(1), initial });
    const request = {
      from: 'rival',
      to: this.id,
      term,
      lastIndex: Number.MAX_SAFE_INTEGER,
      lastTerm: term,
      transfer: true,
    };
    twin.step({ type: 'vote-request', ...request });
    const ready = twin.ready();
    for (const answer of [...(ready?.messages ?? []), ...(ready?.messagesAfterWrite ?? [])]) {
      if (answer.type === 'vote-response' && answer.granted) this.#world.oracle.wouldVote(this.id, term, 'rival');
    }
  }

  crash(): void {
    this.#life += 1;
    this.member?.end();
    this.member = undefined;
    this.disk.crash();
    this.#world.count('crash');
    this.#world.note(`${this.id} crashes`);
  }

  pause(ms: number): void {
    // Never shorter than a pause that goes on: what waits for its end would be overtaken.
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#world.events.nowMs + ms);
    this.#world.count('pause');
    this.#world.note(`${this.id} pauses for ${Math.round(ms)} ms`);
  }

  /** A failed flush ends the process; it comes back, with what the disk then really holds. Anything else is a bug. */
  #onError(error: unknown, life: number): void {
    if (life !== this.#life) return;
    if (!isDiskFault(error)) return this.#world.fail(error);
    this.#world.count('flush failed');
    this.crash();
    this.#world.events.after(500, () => this.revive());
  }

  judge(): void {
    const { raft } = this;
    if (!raft) return;
    if (raft.membership !== this.#membership) this.committedBeforeMembership = raft.committed;
    this.#membership = raft.membership;
    this.#world.oracle.check(this.id, raft);
  }

  #tick(life: number): void {
    this.#world.events.after(TICK_MS * this.clockRate, () =>
      this.whenAwake(() => {
        if (life !== this.#life) return;
        this.member?.tick();
        this.#tick(life);
      }),
    );
  }

  /** A client's request comes by another socket than the members' messages: after a pause it may be read before them. */
  asClient(then: () => void): void {
    const { events } = this.#world;
    const waitMs = this.#pausedUntilMs - events.nowMs;
    if (waitMs > 0 && this.#random.fraction() < 0.5) events.after(Math.max(0, waitMs - 0.001), then);
    else this.whenAwake(then);
  }

  /** A stopped process does nothing; what came meanwhile it finds afterwards, in order. */
  whenAwake(then: () => void): void {
    const { events } = this.#world;
    if (events.nowMs >= this.#pausedUntilMs) return then();
    events.after(this.#pausedUntilMs - events.nowMs, () => this.whenAwake(then));
  }

  // ---- Network ----

  receive(message: Message, claim: number): void {
    this.whenAwake(() => {
      const { member } = this;
      if (!member || !this.#isWelcome(message, claim)) return;
      this.#countWhatItMeets(message, member.raft);
      member.receive([message]);
    });
  }

  #isWelcome(message: Message, claim: number): boolean {
    const { raft } = this;
    if (!raft) return false;
    const judgement = this.#world.modules.judge(raft, message.from, claim);
    if (judgement !== 'member') this.#world.count(`${judgement} refused`);
    return judgement === 'member';
  }

  #countWhatItMeets(message: Message, raft: Raft): void {
    const { log } = raft;
    if (message.type === 'append' && message.term >= raft.term) {
      const conflict = message.entries.some(
        ({ index, term }) => index <= log.lastIndex && index > log.base.index && log.termAt(index) !== term,
      );
      if (conflict && log.matches(message.prevIndex, message.prevTerm)) this.#world.count('log truncated');
    }
    if (message.type === 'pre-vote-request' && raft.inLease) this.#world.count('pre-vote held off');
    if (message.term < raft.term) this.#world.count('older term');
  }

  async sendSnapshot(message: SnapshotMessage): Promise<void> {
    const life = this.#life;
    const world = this.#world;
    const current = await this.#storage?.readCurrent();
    if (!current || life !== this.#life) return;
    world.count('snapshot sent');
    const { claim } = this;
    const report = (delivered: boolean): void => {
      if (life === this.#life) this.member?.snapshotReported(message.to, delivered);
    };
    // The sender hears of a loss, as its stream breaks.
    world.events.after(3_000, () => report(false));
    world.transmit(this.id, message.to, () => {
      void world
        .node(message.to)
        .receiveSnapshot({ ...message, snapshot: current.meta }, { chunks: current.chunks, claim }, report);
    });
  }

  async receiveSnapshot(
    message: SnapshotMessage,
    { chunks, claim }: { chunks: readonly SnapshotChunk[]; claim: number },
    report: (delivered: boolean) => void,
  ): Promise<void> {
    const { member } = this;
    if (!member || !this.#isWelcome(message, claim)) return report(false);
    const life = this.#life;
    const breaksAt = this.#random.fraction() < 0.1 ? this.#random.below(chunks.length + 1) : -1;
    try {
      await member.receiveSnapshot(message, flow(chunks, breaksAt));
      this.#world.count('snapshot received');
      report(true);
    } catch (error) {
      if (life !== this.#life) return;
      if (!isDiskFault(error) && !(error instanceof BrokenStream)) this.#world.fail(error);
      this.#world.count('snapshot broken off');
      report(false);
    }
  }

  // ---- State machine ----

  #machineOf(life: number): Machine {
    const world = this.#world;
    const inOrder = (then: () => void): void => {
      const { nowMs } = world.events;
      this.#applyAtMs = Math.max(this.#applyAtMs, nowMs + this.#random.fraction() * 4);
      world.events.after(this.#applyAtMs - nowMs, () =>
        this.whenAwake(() => {
          if (life === this.#life) then();
        }),
      );
    };
    return {
      apply: (batch) => inOrder(() => this.#apply(batch)),
      restore: (meta, chunks) => inOrder(() => void this.#restore(meta, chunks, life)),
      readsConfirmed: (ids, index) => {
        this.#reads.push({ ids, index });
        inOrder(() => this.#answerReads());
      },
      requestSnapshot: () => inOrder(() => void this.#makeSnapshot(life)),
      failed: (ids, reason) => {
        const isKnown = reason.kind === 'refused' || !reason.appended;
        const error = new CodedError(isKnown ? 'unavailable' : 'unknown-outcome', reason.kind);
        world.refused(ids, reason.kind === 'refused' ? reason.refusal : reason.kind, error);
      },
    };
  }

  #apply({ entries, proposals }: CommittedBatch): void {
    for (const { index, kind, bytes } of entries) {
      if (index !== this.machine.index + 1)
        throw new Violation('applied in order', `${this.id} ${index} after ${this.machine.index}`);
      this.machine.index = index;
      if (kind !== 'data') continue;
      const text = this.machine.apply(index, bytes);
      this.#world.oracle.applied(this.id, { index, text });
      const id = proposals.get(index);
      if (id !== undefined) this.#world.answered(id, text, index);
    }
    this.#answerReads();
    this.member?.appliedUpTo(this.machine.index);
  }

  async #restore(meta: SnapshotMeta, chunks: readonly SnapshotChunk[], life: number): Promise<void> {
    try {
      await this.machine.restore(meta.index, chunks);
      if (life !== this.#life) return;
      this.#world.oracle.restored(this.id, this.machine.applied);
      this.#world.count('snapshot restored');
      this.member?.appliedUpTo(meta.index);
    } catch (error) {
      this.#world.fail(error);
    }
  }

  #answerReads(): void {
    const { index } = this.machine;
    for (const read of this.#reads) {
      if (read.index > index) continue;
      for (const id of read.ids) this.#world.readAnswered(id, index);
    }
    this.#reads = this.#reads.filter((read) => read.index > index);
  }

  async #makeSnapshot(life: number): Promise<void> {
    try {
      const { index } = this.machine;
      const chunks = await this.machine.snapshot();
      await this.member?.snapshotMade(index, flow(chunks, -1));
      this.#world.count('snapshot made');
    } catch (error) {
      if (life === this.#life && !isDiskFault(error)) this.#world.fail(error);
    }
  }
}

/** Small enough that the bounds are met. */
const LIMITS = {
  ...DEFAULT_LIMITS,
  appendBytesMax: 1_000,
  inflightMessagesMax: 4,
  inflightBytesMax: 3_000,
  uncommittedBytesMax: 20_000,
  promotionLagMax: 8,
};

class BrokenStream extends Error {}

async function* flow(chunks: readonly SnapshotChunk[], breaksAt: number): AsyncGenerator<SnapshotChunk> {
  for (const [at, chunk] of chunks.entries()) {
    if (at === breaksAt) throw new BrokenStream('the stream broke');
    yield chunk;
  }
}

function isDiskFault(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return ('code' in error && error.code === 'EIO') || isDiskFault(error.cause);
}

function simLog(world: World, id: string): Log {
  const at = (event: string): void => world.note(`${id} ${event}`);
  return { ...silentLog, info: at, warn: at, error: at };
}
