// One simulated manager: production's loop, core, log and recovery on its own disk, with a clock of its own. It lives, dies,
// sleeps and comes back; what it is told it hears when it is awake.
import { sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { silentLog } from '../../base/log.ts';
import { type Random, seededRandom } from '../../base/random.ts';
import type { SnapshotChunk } from '../../manager/raft/contract.ts';
import { changed, decodeChange, type Membership } from '../../manager/raft/core/membership.ts';
import type { Raft } from '../../manager/raft/core/raft.ts';
import {
  DEFAULT_LIMITS,
  type InitialState,
  type Message,
  type SnapshotMessage,
} from '../../manager/raft/core/types.ts';
import type { Member } from '../../manager/raft/member.ts';
import type { Storage, StorageDeps } from '../../manager/raft/storage.ts';
import { isDiskFault, isRefusalToStart } from './faults.ts';
import { Violation } from './oracle.ts';
import { Saved } from './saved.ts';
import { BrokenStream, flow, SimApplier } from './sim-applier.ts';
import { SimDisk } from './sim-disk.ts';
import { SimMachine } from './sim-machine.ts';
import type { World } from './world.ts';

export const TICK_MS = 50;
const CLUSTER = 'simulated';

/** Small enough that the bounds are met. */
export const LIMITS = {
  ...DEFAULT_LIMITS,
  appendBytesMax: 1_000,
  inflightMessagesMax: 4,
  inflightBytesMax: 3_000,
  uncommittedBytesMax: 20_000,
  promotionLagMax: 8,
};

/** What a member says of itself when it connects. */
interface Claim {
  readonly membershipIndex: number;
  readonly epoch: number;
}

export class SimNode {
  readonly id: string;
  readonly disk: SimDisk;
  readonly #world: World;
  readonly #random: Random;
  /** Otherwise it ends when its disk is full. */
  readonly #waitsForSpace: boolean;
  #life = 0;
  #bootingLife = -1;
  #membership: Membership | undefined;
  #lastRaft: Raft | undefined;
  #seen: readonly unknown[] = [];
  /** The commit index at which the present membership came into force here. */
  committedBeforeMembership = 0;
  #start: 'bootstrap' | 'join' = 'join';
  /** Its directory was whole once: from then on an empty one is refused. */
  #hasBeenUp = false;
  /** Its disk is gone or damaged; it never comes back under this id. */
  isLost = false;
  /** Left down by the healing, for a while. */
  isHeldDown = false;
  #isToTakeOver = false;
  #epoch = 0;
  #pausedUntilMs = 0;
  #applyAtMs = 0;
  clockRate = 1;
  member: Member | undefined;
  machine = new SimMachine();
  #storage: Storage | undefined;
  #saved: Saved | undefined;

  constructor(world: World, id: string) {
    this.id = id;
    this.#world = world;
    this.#random = world.random(`node ${id}`);
    this.#waitsForSpace = this.#random.fraction() < 0.5;
    const faults = world.random(`disk ${id}`);
    this.disk = new SimDisk(
      world.random(`crash ${id}`),
      { after: (ms, then) => world.events.after(ms, () => this.whenAwake(then)) },
      {
        flushMs: () => {
          const stalls = faults.fraction() < world.weather.flushStallRate;
          if (stalls) world.count('flush stalled');
          return stalls ? 10_000 * faults.fraction() ** 3 : world.weather.flushMs * faults.fraction();
        },
        failsNow: () => faults.fraction() < world.weather.flushFailRate,
        count: (what) => world.count(what),
      },
    );
  }

  get claim(): Claim {
    return { membershipIndex: this.raft ? this.#world.modules.claimOf(this.raft) : 0, epoch: this.#epoch };
  }

  get raft(): Raft | undefined {
    return this.member?.raft;
  }

  /** Its membership when it was last up. */
  get lastMembership(): Membership | undefined {
    return this.#membership;
  }

  /** That one, and those that it will have when what its log holds is committed. */
  memberships(): Membership[] {
    if (!this.#membership) return [];
    const all = [this.#membership];
    const { log, applied = 0 } = this.#lastRaft ?? {};
    const entries = log && log.lastIndex > applied ? log.slice(applied + 1, Number.POSITIVE_INFINITY) : [];
    for (const { kind, bytes } of entries) {
      const last = all.at(-1);
      if (kind === 'membership' && last) all.push(changed(last, decodeChange(bytes)));
    }
    return all;
  }

  // ---- Life and death ----

  boot(start: 'bootstrap' | 'join'): void {
    this.#start = start;
    this.revive();
  }

  /** Starts as the only member that is left. */
  takeOver(): void {
    this.#isToTakeOver = true;
    this.revive();
  }

  /** Starts the process if it is down. Until its directory is whole it begins as it first did. */
  revive(): void {
    if (this.member || this.isLost || this.isHeldDown) return;
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
    const deps: StorageDeps = {
      disk,
      random: this.#random,
      clusterId: CLUSTER,
      nodeId: this.id,
      segmentBytesMax,
      space: this.#waitsForSpace ? { wait: () => this.#untilSpace(), found: () => undefined } : undefined,
    };
    if (!this.#hasBeenUp && !(await disk.list('.')).includes('format')) {
      await StorageClass.create(deps, this.#start === 'bootstrap' ? { raftAddress: this.id } : undefined);
    }
    if (this.#isToTakeOver) await world.modules.seizeDirectory(deps, { raftAddress: this.id });
    const { storage, initial, recovered } = await StorageClass.open(deps);
    if (world.isSpoilt(this.id))
      throw new Violation('damage is refused', `${this.id} starts from a disk that lost something`);
    if (recovered.tornBytes > 0) world.count('torn end cut off');
    const chunks = storage.snapshot && (await storage.readChunks(storage.snapshot));
    if (life !== this.#life) return;
    this.#hasBeenUp = true;
    this.#epoch = storage.epoch;
    if (this.#isToTakeOver) {
      this.#isToTakeOver = false;
      world.oracle.begunAnew(initial.hardState.term);
      world.count('begun anew');
    }
    const raft = new RaftClass({ id: this.id, limits: LIMITS, random: this.#random, initial });
    this.machine = world.storeClients?.machineFor(this) ?? new SimMachine();
    const applier = this.#applier(life);
    if (storage.snapshot && chunks) await applier.restoreNow(storage.snapshot, chunks);
    if (life !== this.#life) return;
    this.#storage = storage;
    this.#watchWrites(storage, new Saved(initial));
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
      machine: applier,
      onProgress: () => undefined,
      onFatal: (error) => this.#onError(error, life),
    });
    world.count('booted');
    this.#tick(life);
  }

  #watchWrites(storage: Storage, saved: Saved): void {
    const save = storage.save.bind(storage);
    storage.save = async (write) => {
      await save(write);
      saved.done(write);
    };
    this.#saved = saved;
  }

  /** What leaves must be true already, whatever happens to the member next. */
  vouches(message: Message): void {
    try {
      if (this.raft) this.#saved?.judge(message, this.raft);
    } catch (violation) {
      this.#world.fail(violation);
    }
  }

  #untilSpace(): Promise<void> {
    this.#world.count('waiting for space');
    return new Promise((resolve) => this.#world.events.after(200, () => this.whenAwake(resolve)));
  }

  /** A new data key, with which log and snapshots are sealed from now on. */
  async rotateKey(): Promise<void> {
    const life = this.#life;
    try {
      await this.#storage?.rekey({ nodeKeys: [], rotate: true });
      if (life === this.#life) this.#world.count('data key rotated');
    } catch (error) {
      this.#onError(error, life);
    }
  }

  #applier(life: number): SimApplier {
    const { events } = this.#world;
    return new SimApplier({
      world: this.#world,
      id: this.id,
      machine: this.machine,
      member: () => (life === this.#life ? this.member : undefined),
      isAlive: () => life === this.#life,
      inOrder: (then) => {
        this.#applyAtMs = Math.max(this.#applyAtMs, events.nowMs + this.#random.fraction() * 4);
        events.after(this.#applyAtMs - events.nowMs, () =>
          this.whenAwake(() => {
            if (life === this.#life) then();
          }),
        );
      },
    });
  }

  /** What it would do if somebody else asked for its vote in the term that it woke up in. It must remember. */
  #probeVote(initial: InitialState): void {
    const { term } = initial.hardState;
    const twin = new this.#world.modules.Raft({ id: this.id, limits: LIMITS, random: seededRandom(1), initial });
    const lastIndex = Number.MAX_SAFE_INTEGER;
    const request = { from: 'rival', to: this.id, term, lastIndex, lastTerm: term, transfer: true };
    twin.step({ type: 'vote-request', ...request });
    const ready = twin.ready();
    for (const answer of [...(ready?.messages ?? []), ...(ready?.messagesAfterWrite ?? [])]) {
      if (answer.type === 'vote-response' && answer.granted) this.#world.oracle.wouldVote(this.id, term, 'rival');
    }
  }

  crash(): void {
    this.#end();
    this.disk.crash();
    this.#world.count('crash');
    this.#world.note(`${this.id} crashes`);
  }

  /** The disk is emptied. It must be refused under its old id, whatever it says. */
  wipe(): void {
    this.#end();
    this.disk.wipe();
    this.#world.count('wiped');
    this.#world.note(`${this.id} is wiped`);
  }

  #end(): void {
    this.#life += 1;
    this.member?.end();
    this.member = undefined;
  }

  pause(ms: number): void {
    // Never shorter than a pause that goes on: what waits for its end would be overtaken.
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#world.events.nowMs + ms);
    this.#world.count('pause');
    this.#world.note(`${this.id} pauses for ${Math.round(ms)} ms`);
  }

  get isPaused(): boolean {
    return this.#world.events.nowMs < this.#pausedUntilMs;
  }

  /** A failed flush ends the process; it comes back, with what the disk then really holds. */
  #onError(error: unknown, life: number): void {
    if (life !== this.#life) return;
    if (isDiskFault(error)) {
      this.#world.count('ended by its disk');
      this.crash();
      this.#world.events.after(500, () => this.revive());
    } else if (isRefusalToStart(error) && this.#world.isSpoilt(this.id)) {
      this.#world.count('start refused');
      this.#world.note(`${this.id} refuses to start: ${error instanceof Error ? error.message : ''}`);
      this.#end();
      this.isLost = true;
    } else if (isRefusalToStart(error)) {
      this.#world.fail(new Violation('whole disks are accepted', `${this.id}: ${sentenceOf(error)}`));
    } else this.#world.fail(error);
  }

  /** Looks at it again if anything is different from when it was last looked at. */
  judge(): void {
    const { raft } = this;
    if (!raft) return;
    const { log, role, term, committed, membership } = raft;
    const { lastIndex } = log;
    const last = lastIndex > log.base.index ? log.slice(lastIndex, 0, lastIndex)[0] : undefined;
    const now = [raft, term, role, committed, lastIndex, last, membership];
    if (now.every((value, at) => value === this.#seen[at])) return;
    this.#seen = now;
    if (membership !== this.#membership) this.committedBeforeMembership = committed;
    this.#membership = membership;
    this.#lastRaft = raft;
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

  receive(message: Message, claim: Claim): void {
    this.whenAwake(() => {
      const { member } = this;
      if (!member || !this.#isWelcome(message, claim)) return;
      this.#countWhatItMeets(message, member.raft);
      member.receive([message]);
    });
  }

  #isWelcome(message: Message, { membershipIndex, epoch }: Claim): boolean {
    const { raft } = this;
    if (!raft || !this.#isOfThisEpoch(raft, epoch)) return false;
    const judgement = this.#world.modules.judge(raft, message.from, membershipIndex);
    if (judgement !== 'member') this.#world.count(`${judgement} refused`);
    return judgement === 'member';
  }

  /** As the listener for managers and the worker behind it have it. */
  #isOfThisEpoch(raft: Raft, epoch: number): boolean {
    const life = this.#life;
    const storage = this.#storage;
    if (epoch === this.#epoch || !storage) return true;
    if (epoch < this.#epoch) this.#world.count('earlier epoch refused');
    if (epoch < this.#epoch || raft.log.lastIndex > 0) return false;
    this.#world.count('later epoch followed');
    this.#epoch = epoch;
    storage.setEpoch(epoch).catch((error: unknown) => this.#onError(error, life));
    return true;
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
    const bytes = current.chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0);
    world.network.transmit(this.id, message.to, bytes, () => {
      void world
        .node(message.to)
        .receiveSnapshot({ ...message, snapshot: current.meta }, { chunks: current.chunks, claim }, report);
    });
  }

  async receiveSnapshot(
    message: SnapshotMessage,
    { chunks, claim }: { chunks: readonly SnapshotChunk[]; claim: Claim },
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
}

function simLog(world: World, id: string): Log {
  const at = (event: string): void => world.note(`${id} ${event}`);
  return { ...silentLog, info: at, warn: at, error: at };
}
