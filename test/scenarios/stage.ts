// Where stories are played: cores, each with a disk that keeps what was flushed, and the messages between them.
import { seededRandom } from '../../base/random.ts';
import type { Membership } from '../../manager/raft/core/membership.ts';
import { Raft } from '../../manager/raft/core/raft.ts';
import {
  DEFAULT_LIMITS,
  type Entry,
  type InitialState,
  type MemberId,
  type Message,
  type RaftLimits,
  type Ready,
  type Write,
} from '../../manager/raft/core/types.ts';

export interface Cast {
  readonly members: string[];
  readonly learners: string[];
  /** Terms of the entries after the first, which is the membership's. */
  readonly logs: Map<string, number[]>;
  readonly terms: Map<string, number>;
  readonly votes: Map<string, string>;
  readonly limits: { -readonly [Name in keyof RaftLimits]?: number };
}

interface Player {
  core: Raft;
  disk: InitialState;
  applied: string[];
  /** A write that is under way, with what waits for it. */
  writing: Ready | undefined;
}

const ROUNDS_MAX = 1_000;

export class Stage {
  readonly #cast: Cast;
  readonly #players = new Map<MemberId, Player>();
  /** Members, or directions (`a>b`), over which nothing gets. */
  readonly cut = new Set<string>();
  /** Members whose disks do not finish a write before `flush`. */
  readonly held = new Set<string>();
  readonly reads = new Map<number, number>();
  readonly sent: Message[] = [];
  #saved: Message[] = [];

  constructor(cast: Cast) {
    this.#cast = cast;
    const membership: Membership = {
      members: [
        ...cast.members.map((id) => ({ id, address: id, learner: false })),
        ...cast.learners.map((id) => ({ id, address: id, learner: true })),
      ],
      removed: [],
    };
    for (const { id } of membership.members) this.#enter(id, this.#beginning(id, membership));
  }

  core(id: MemberId): Raft {
    return this.#player(id).core;
  }

  appliedBy(id: MemberId): readonly string[] {
    return this.#player(id).applied;
  }

  termsOf(id: MemberId): number[] {
    const { log } = this.core(id);
    return Array.from({ length: log.lastIndex }, (_, at) => log.termAt(at + 1) ?? 0).slice(log.base.index);
  }

  tick(id: MemberId, times: number): void {
    for (let time = 0; time < times; time += 1) this.core(id).tick();
  }

  /** Lets only the time of `id` pass until it leads; the others take their leader for gone. */
  elect(id: MemberId): void {
    for (let time = 0; time < 100 && this.core(id).role !== 'leader'; time += 1) {
      for (const { core } of this.#players.values())
        if (core.id !== id && core.role !== 'leader') core.suspectLeader(core.leaderId ?? '');
      this.core(id).tick();
      this.run();
    }
    if (this.core(id).role !== 'leader') throw new Error(`${id} is not elected`);
  }

  run(): void {
    for (let rounds = 0; rounds < ROUNDS_MAX; rounds += 1) if (!this.round()) return;
    throw new Error('it never comes to rest');
  }

  /** Everybody does what there is to do; then what was said is heard. */
  round(): boolean {
    const messages = [...this.#players.values()].flatMap((player) => this.#carryOut(player));
    this.#deliver(messages);
    return messages.length > 0;
  }

  flush(id: MemberId): void {
    const player = this.#player(id);
    this.held.delete(id);
    if (player.writing) this.#deliver(this.#finish(player, player.writing));
  }

  /** Everything that was not flushed is gone. */
  crash(id: MemberId): void {
    const { disk } = this.#player(id);
    this.held.delete(id);
    this.#enter(id, disk);
    this.cut.add(id);
  }

  restart(id: MemberId): void {
    const player = this.#player(id);
    this.#enter(id, player.disk);
    this.cut.delete(id);
  }

  /** What `from>to` says of this kind next is kept instead of delivered; `replay` delivers it. */
  save(link: string, type: Message['type']): void {
    const messages = [...this.#players.values()].flatMap((player) => this.#carryOut(player));
    const isMeant = (message: Message): boolean => message.type === type && `${message.from}>${message.to}` === link;
    this.#saved.push(...messages.filter(isMeant));
    this.#deliver(messages.filter((message) => !isMeant(message)));
  }

  replay(): void {
    if (this.#saved.length === 0) throw new Error('nothing was saved');
    const saved = this.#saved;
    this.#saved = [];
    this.#deliver(saved);
  }

  compact(id: MemberId, index: number): void {
    const { core } = this.#player(id);
    const term = core.log.termAt(index) ?? 0;
    core.compact({ index, term, membership: core.membershipAt(index) }, index);
  }

  /** `send a vote-request from b term 5 last 3 of 2`, `send a heartbeat from b term 5 round 1`: a message by hand. */
  send(to: MemberId, [type, , from = '', ...rest]: readonly string[]): void {
    const number = (word: string): number => (rest.includes(word) ? Number(rest[rest.indexOf(word) + 1]) : 0);
    const envelope = { from, to, term: number('term') };
    const vote = { lastIndex: number('last'), lastTerm: number('of'), transfer: rest.includes('transfer') };
    const core = this.core(to);
    if (type === 'vote-request' || type === 'pre-vote-request') core.step({ ...envelope, type, ...vote });
    else if (type === 'timeout-now') core.step({ ...envelope, type });
    else if (type === 'heartbeat') core.step({ ...envelope, type, commit: number('commit'), round: number('round') });
    else throw new Error(`no message '${type}' by hand`);
  }

  #player(id: MemberId): Player {
    const player = this.#players.get(id);
    if (!player) throw new Error(`nobody is called ${id}`);
    return player;
  }

  #beginning(id: MemberId, membership: Membership): InitialState {
    const terms = this.#cast.logs.get(id) ?? [];
    const entries = terms.map(
      (term, at): Entry => ({ index: at + 2, term, kind: 'data', bytes: Buffer.from(`old${at + 2}`) }),
    );
    const term = this.#cast.terms.get(id) ?? terms.at(-1) ?? 1;
    return {
      hardState: { term, vote: this.#cast.votes.get(id), commit: 1 },
      snapshot: { index: 1, term: 1, membership },
      base: { index: 1, term: 1 },
      entries,
    };
  }

  #enter(id: MemberId, disk: InitialState): void {
    const limits = { ...DEFAULT_LIMITS, ...this.#cast.limits };
    const core = new Raft({ id, limits, random: seededRandom(id.charCodeAt(0)), initial: disk });
    this.#players.set(id, { core, disk, applied: [], writing: undefined });
  }

  #carryOut(player: Player): Message[] {
    const messages: Message[] = [];
    for (let ready = player.core.ready(); ready; ready = player.core.ready()) {
      messages.push(...ready.messages);
      player.applied.push(...ready.committed.filter(({ kind }) => kind === 'data').map(textOf));
      for (const { token, index } of ready.reads) this.reads.set(token, index);
      if (!ready.write) messages.push(...ready.messagesAfterWrite);
      else if (this.held.has(player.core.id)) player.writing = ready;
      else messages.push(...this.#finish(player, ready));
    }
    return messages;
  }

  #finish(player: Player, ready: Ready): readonly Message[] {
    if (ready.write) player.disk = written(player.disk, ready.write);
    player.writing = undefined;
    player.core.advance(ready);
    return ready.messagesAfterWrite;
  }

  #deliver(messages: readonly Message[]): void {
    for (const message of messages) {
      const { from, to } = message;
      if ([from, to, `${from}>${to}`].some((name) => this.cut.has(name))) continue;
      this.sent.push(message);
      if (!this.#players.has(to)) this.#join(to);
      this.#players.get(to)?.core.step(message);
    }
  }

  /** Somebody new, with nothing on its disk. */
  #join(id: MemberId): void {
    const hardState = { term: 0, vote: undefined, commit: 0 };
    this.#enter(id, { hardState, snapshot: undefined, base: { index: 0, term: 0 }, entries: [] });
  }
}

function written(disk: InitialState, write: Write): InitialState {
  const { snapshot, hardState } = write;
  const start = snapshot ? { snapshot, base: { index: snapshot.index, term: snapshot.term }, entries: [] } : disk;
  const first = write.entries[0]?.index ?? Number.POSITIVE_INFINITY;
  const kept = start.entries.filter(({ index }) => index < first);
  return { ...start, hardState, entries: [...kept, ...write.entries] };
}

const textOf = ({ bytes }: Entry): string => Buffer.from(bytes).toString();
