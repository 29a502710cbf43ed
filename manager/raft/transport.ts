// The way to the other members: a link to each, the listener for theirs, and where they are found.
import type { Clock, Timer } from '../../base/clock.ts';
import { sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { CertificateMaterial, SnapshotChunk } from './contract.ts';
import { type Membership, memberOf, NO_MEMBERS } from './core/membership.ts';
import type { MemberId, Message, SnapshotMessage } from './core/types.ts';
import { PeerCredentials } from './credentials.ts';
import type { Judgement } from './judgement.ts';
import type { Peers } from './member.ts';
import { helloOf, PeerLink } from './peer-link.ts';
import { merged } from './merge.ts';
import { PeerServer } from './peer-server.ts';
import type { OpenedSnapshot } from './snapshot-file.ts';
import type { Hello, Purpose } from './wire.ts';

export interface TransportOptions {
  readonly nodeId: MemberId;
  readonly clusterId: string;
  readonly raftAddress: string;
  readonly certificate: CertificateMaterial;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly judge: (id: MemberId, claimedIndex: number) => Judgement;
  /** Index of the membership that is known here, and that by which this node is a member. */
  readonly membershipIndex: () => number;
  readonly claimedIndex: () => number;
  readonly epoch: () => number;
  /** A member of a later epoch has come; throws where that is not to be followed. */
  readonly onLaterEpoch: (epoch: number) => void;
  readonly currentSnapshot: () => Promise<OpenedSnapshot | undefined>;
  readonly onMessages: (messages: readonly Message[]) => void;
  readonly onSnapshot: (message: SnapshotMessage, chunks: AsyncIterable<SnapshotChunk>) => Promise<void>;
  readonly onSnapshotSent: (to: MemberId, delivered: boolean) => void;
  readonly onUnreachable: (id: MemberId) => void;
  /** Nothing listens at this member's address any more. */
  readonly onGone: (id: MemberId) => void;
  readonly onConnectivity: () => void;
  readonly onRemoved: (by: MemberId, membershipIndex: number) => void;
}

/** A follower may apply what is committed by so much later, if nothing else is to be sent to it before. */
const NEWS_WITHIN_MS = 2;

export class Transport implements Peers {
  readonly #options: TransportOptions;
  readonly #credentials: PeerCredentials;
  readonly #server: PeerServer;
  readonly #links = new Map<MemberId, PeerLink>();
  /** What members say of their own addresses: newer than the membership, and all that a joining manager has. */
  readonly #told = new Map<MemberId, string>();
  readonly #sendingSnapshots = new Set<MemberId>();
  /** What leaves at the end of this turn of the event loop. */
  #leaving = new Map<MemberId, Exclude<Message, SnapshotMessage>[]>();
  #isFlushing = false;
  #flushSoon: Timer | undefined;
  #membership: Membership = NO_MEMBERS;
  #stopped = false;

  constructor(options: TransportOptions) {
    const { clusterId, nodeId, certificate } = options;
    this.#options = options;
    this.#credentials = new PeerCredentials(clusterId, certificate);
    this.#server = new PeerServer({
      ...options,
      clusterId,
      nodeId,
      credentials: this.#credentials,
      helloTo: (id, purpose) => this.#helloTo(id, purpose),
      onHello: (hello) => this.#onHello(hello),
    });
  }

  listen(address: string): Promise<number> {
    return this.#server.listen(address);
  }

  setCertificate(certificate: CertificateMaterial): void {
    this.#credentials.replace(certificate);
    for (const link of this.#links.values()) link.redial({ evenIfUp: true });
  }

  /** Members that can be talked to just now, itself included. */
  connected(): MemberId[] {
    const up = [...this.#links].filter(([, link]) => link.isUp).map(([id]) => id);
    return [this.#options.nodeId, ...up];
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.type === 'snapshot') void this.#sendSnapshot(message);
      else this.#leave(message);
    }
  }

  /** What only tells of the commit index waits a moment for something to travel with. */
  #leave(message: Exclude<Message, SnapshotMessage>): void {
    if (message.type === 'append' && message.entries.length === 0) {
      this.#flushSoon ??= this.#options.clock.after(NEWS_WITHIN_MS, () => this.#flush());
    } else if (!this.#isFlushing) {
      this.#isFlushing = true;
      setImmediate(() => this.#flush());
    }
    const others = this.#leaving.get(message.to);
    if (others) others.push(message);
    else this.#leaving.set(message.to, [message]);
  }

  #flush(): void {
    this.#isFlushing = false;
    this.#flushSoon?.cancel();
    this.#flushSoon = undefined;
    const leaving = this.#leaving;
    this.#leaving = new Map();
    for (const [to, batch] of leaving) {
      if (this.#linkTo(to)?.send(merged(batch))) continue;
      if (batch.some(({ type }) => type === 'append')) queueMicrotask(() => this.#options.onUnreachable(to));
    }
  }

  membershipChanged(membership: Membership): void {
    this.#membership = membership;
    for (const { id } of membership.members) this.#linkTo(id);
    for (const [id, link] of this.#links) {
      if (memberOf(membership, id) || this.#server.isConnected(id)) continue;
      this.#links.delete(id);
      this.#told.delete(id);
      void this.#stopLink(id, link);
    }
    this.#server.review();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#flush();
    await Promise.all([...this.#links.values()].map((link) => link.stop()));
    this.#server.stop();
  }

  async #stopLink(id: MemberId, link: PeerLink): Promise<void> {
    try {
      await link.stop();
    } catch (error) {
      this.#options.log.warn('closing the connection to a former member failed', { peer: id, error });
    }
  }

  #linkTo(id: MemberId): PeerLink | undefined {
    const { nodeId } = this.#options;
    const known = this.#links.get(id);
    if (known || this.#stopped || id === nodeId || this.#addressOf(id) === undefined) return known;
    if (this.#membership.removed.includes(id) && !this.#server.isConnected(id)) return undefined;
    const link = new PeerLink({
      ...this.#options,
      id,
      hello: (purpose) => this.#helloTo(id, purpose),
      credentials: this.#credentials,
      addressOf: () => this.#addressOf(id),
      onUp: () => this.#options.onConnectivity(),
      onDown: (how) => this.#onDown(id, how),
      onRemoved: (index) => this.#options.onRemoved(id, index),
    });
    this.#links.set(id, link);
    return link;
  }

  #onDown(id: MemberId, how: 'refused' | 'lost'): void {
    this.#options.onUnreachable(id);
    if (how === 'refused') this.#options.onGone(id);
    this.#options.onConnectivity();
  }

  #addressOf(id: MemberId): string | undefined {
    return this.#told.get(id) ?? memberOf(this.#membership, id)?.address;
  }

  #helloTo(id: MemberId, purpose: Purpose): Hello {
    return helloOf(this.#options, id, {
      membershipIndex: this.#options.claimedIndex(),
      epoch: this.#options.epoch(),
      purpose,
    });
  }

  #onHello(hello: Hello): void {
    if (hello.raft_address !== '') this.#told.set(hello.from, hello.raft_address);
    this.#linkTo(hello.from)?.redial();
  }

  /** One at a time to each member; the current one, which may be newer than the one that was asked for. */
  async #sendSnapshot(message: SnapshotMessage): Promise<void> {
    const { to } = message;
    const { log, currentSnapshot, onSnapshotSent } = this.#options;
    if (this.#sendingSnapshots.has(to)) return;
    this.#sendingSnapshots.add(to);
    let delivered = false;
    try {
      const link = this.#linkTo(to);
      const current = await currentSnapshot();
      if (!link || !current) return;
      log.info('sending a snapshot', { to, index: current.meta.index });
      await link.sendSnapshot({ ...message, snapshot: current.meta }, current.chunks);
      delivered = true;
    } catch (error) {
      log.warn('sending a snapshot failed', { to, reason: sentenceOf(error) });
    } finally {
      this.#sendingSnapshots.delete(to);
      if (!this.#stopped) onSnapshotSent(to, delivered);
    }
  }
}
