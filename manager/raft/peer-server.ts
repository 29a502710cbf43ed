// The listener for other managers: checks who dials, lets current members in, turns what they send into messages.
// Certificate and membership are both asked: a valid certificate of a removed member is refused and told so.
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { InvariantError } from '../../base/assert.ts';
import { BoundedQueue } from '../../base/bounded-queue.ts';
import type { Clock } from '../../base/clock.ts';
import { CodedError, fail, sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { asArray, asObject } from '../../base/parse.ts';
import type { SnapshotChunk } from './contract.ts';
import type { MemberId, Message, SnapshotMessage } from './core/types.ts';
import { managerOf, type PeerCredentials } from './credentials.ts';
import type { Judgement } from './judgement.ts';
import { splitAddress } from './dialled.ts';
import { LARGE_FRAME_BYTES_MAX, PeerStream } from './peer-stream.ts';
import {
  chunkFromWire,
  type Frame,
  type Hello,
  helloFromWire,
  messageFromWire,
  PROTOCOL,
  PROTOCOL_MIN,
  type Purpose,
  snapshotFromWire,
} from './wire.ts';

export interface ServerDeps {
  readonly clusterId: string;
  readonly nodeId: MemberId;
  readonly helloTo: (id: MemberId, purpose: Purpose) => Hello;
  readonly credentials: PeerCredentials;
  readonly clock: Clock;
  readonly log: Log;
  readonly judge: (id: MemberId, claimedIndex: number) => Judgement;
  readonly membershipIndex: () => number;
  readonly epoch: () => number;
  readonly onLaterEpoch: (epoch: number) => void;
  readonly onHello: (hello: Hello) => void;
  readonly onMessages: (messages: readonly Message[]) => void;
  readonly onSnapshot: (message: SnapshotMessage, chunks: AsyncIterable<SnapshotChunk>) => Promise<void>;
}

/** What comes after the hello. */
type Hearing = (frame: Frame) => void;

const HELLO_TIMEOUT_MS = 2_000;
const SNAPSHOT_CHUNKS_QUEUED_MAX = 64;
/** Two for each manager are in use; beyond that somebody dials without end. */
const CONNECTIONS_MAX = 256;

export class PeerServer {
  readonly #deps: ServerDeps;
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();
  /** Who is at the other end, and by which membership it claims to be a member. */
  readonly #streams = new Map<PeerStream, { peer: MemberId; claim: number }>();

  constructor(deps: ServerDeps) {
    this.#deps = deps;
    const { credentials, log } = deps;
    this.#server = createServer(credentials.forServer(), (socket) => this.#serve(socket));
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.on('tlsClientError', (error, socket) =>
      log.debug('a connection to the listener for managers failed', { from: socket.remoteAddress, error }),
    );
    credentials.onReplaced(() => this.#server.setSecureContext(credentials.forServer()));
  }

  /** Resolves with the port. */
  async listen(address: string): Promise<number> {
    const where = splitAddress(address) ?? fail('invalid', `'${address}' is not an address to listen on`);
    return new Promise((resolve, reject) => {
      const failed = (cause: Error): void =>
        reject(new CodedError('unavailable', `listening for managers on ${address}`, { cause }));
      this.#server.once('error', failed);
      this.#server.listen(where, () => {
        this.#server.off('error', failed);
        this.#server.on('error', (error) => this.#deps.log.warn('the listener for managers failed', { error }));
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  isConnected(id: MemberId): boolean {
    return [...this.#streams.values()].some(({ peer }) => peer === id);
  }

  /** Ends the streams of those who are not welcome any more, and tells them why. */
  review(): void {
    for (const [stream, { peer, claim }] of this.#streams) {
      if (this.#deps.judge(peer, claim) === 'removed') this.#sayGoodbye(stream, 'removed', removedText(peer));
    }
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Identifies the dialler and waits for its hello; anything wrong ends the connection with a sentence. */
  #serve(socket: TLSSocket): void {
    const { log, clock } = this.#deps;
    let hear: Hearing | undefined;
    let lost: (() => void) | undefined;
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    const refuse = (error: unknown): void => {
      log.warn('refused a peer', {
        peer: this.#streams.get(stream)?.peer,
        from: socket.remoteAddress,
        reason: sentenceOf(error),
      });
      this.#sayGoodbye(stream, error instanceof RemovedPeer ? 'removed' : 'refused', sentenceOf(error));
    };
    const begin = (frame: Frame): Hearing => {
      if (frame.name !== 'hello') fail('invalid', 'the first message of a stream must be hello');
      timer.cancel();
      const hello = helloFromWire(frame.body);
      const peer = this.#welcome(stream, socket, hello);
      stream.frameBytesMax = LARGE_FRAME_BYTES_MAX;
      if (hello.purpose === 'EXCHANGE') return this.#exchange(stream, peer);
      const { hear, lose } = this.#installSnapshot(stream, peer);
      lost = lose;
      return hear;
    };
    const onFrame = (frame: Frame): void => {
      try {
        if (hear) hear(frame);
        else hear = begin(frame);
      } catch (error) {
        // A broken invariant is ours, not the peer's: it ends the worker.
        if (error instanceof InvariantError) throw error;
        refuse(error);
      }
    };
    const onOver = (): void => {
      timer.cancel();
      this.#streams.delete(stream);
      lost?.();
    };
    const timer = clock.after(HELLO_TIMEOUT_MS, () => refuse(new CodedError('deadline', 'no hello came')));
    const stream = new PeerStream(socket, { clock, onFrame, onBroken: refuse, onOver });
  }

  #welcome(stream: PeerStream, socket: TLSSocket, hello: Hello): MemberId {
    const { clusterId, nodeId, judge, helloTo, onHello } = this.#deps;
    const peer = managerOf(socket.getPeerCertificate(), clusterId);
    if (!peer) fail('unauthenticated', 'the certificate is not that of a manager of this cluster');
    if (hello.from !== peer) fail('unauthenticated', `the certificate is that of ${peer}, not of ${hello.from}`);
    if (hello.cluster_id !== clusterId) fail('forbidden', `this is a manager of cluster ${clusterId}`);
    if (hello.to !== nodeId) fail('not-found', `this is manager ${nodeId}, not ${hello.to}`);
    if (hello.protocol_min > PROTOCOL || hello.protocol_max < PROTOCOL_MIN) {
      fail('not-implemented', `this manager speaks raft protocol ${PROTOCOL_MIN} to ${PROTOCOL}`);
    }
    const epoch = this.#deps.epoch();
    if (hello.epoch < epoch)
      fail(
        'forbidden',
        `${peer} is of epoch ${hello.epoch} of this cluster, which began anew without it: now ${epoch}`,
      );
    if (hello.epoch > epoch) this.#deps.onLaterEpoch(hello.epoch);
    const claim = hello.membership_index;
    const judgement = judge(peer, claim);
    if (judgement === 'removed') throw new RemovedPeer('forbidden', removedText(peer));
    if (judgement === 'stranger') fail('forbidden', `${peer} is not known as a member here`);
    this.#streams.set(stream, { peer, claim });
    stream.send({ hello: helloTo(peer, hello.purpose) });
    onHello(hello);
    return peer;
  }

  #exchange(stream: PeerStream, peer: MemberId): Hearing {
    return ({ name, body }) => {
      if (name !== 'batch') fail('invalid', `'${name}' is not expected here`);
      this.#refuseRemoved(stream);
      if (!this.#streams.has(stream)) return;
      const messages = asArray(asObject(body, 'batch')['messages'], 'messages', (value) =>
        messageFromWire(value, peer, this.#deps.nodeId),
      );
      this.#deps.onMessages(messages);
    };
  }

  #installSnapshot(stream: PeerStream, peer: MemberId): { hear: Hearing; lose: () => void } {
    const { nodeId, log, onSnapshot } = this.#deps;
    let queue: BoundedQueue<SnapshotChunk> | undefined;
    let received = 0;
    const lose = (): void => queue?.end(new CodedError('unavailable', 'the sender of the snapshot went away'));
    const hear: Hearing = ({ name, body }) => {
      this.#refuseRemoved(stream);
      if (name === 'begin') {
        if (queue) fail('invalid', 'one snapshot a stream');
        queue = new BoundedQueue({ lengthMax: SNAPSHOT_CHUNKS_QUEUED_MAX, whenFull: 'fail' });
        const message = snapshotFromWire(body, peer, nodeId);
        log.info('receiving a snapshot', { from: peer, index: message.snapshot.index });
        void onSnapshot(message, this.#flowing(stream, queue)).then(
          () => this.#end(stream, { receipt: {} }),
          (error: unknown) => {
            if (error instanceof InvariantError) throw error;
            log.warn('receiving a snapshot failed', { from: peer, error });
            this.#sayGoodbye(stream, 'failed', sentenceOf(error));
          },
        );
        return;
      }
      if (!queue) fail('invalid', `'${name}' is not expected before begin`);
      if (name === 'chunk') {
        queue.push(chunkFromWire(body));
        received += 1;
        if (queue.length >= SNAPSHOT_CHUNKS_QUEUED_MAX / 2) stream.pause();
      } else if (name === 'end') {
        const { chunks } = asObject(body, 'end');
        queue.end(chunks === received ? undefined : new CodedError('invalid', 'chunks of the snapshot are missing'));
      } else fail('invalid', `'${name}' is not expected here`);
    };
    return { hear, lose };
  }

  /** The chunks as they come, reading on only while they are taken. */
  async *#flowing(stream: PeerStream, queue: BoundedQueue<SnapshotChunk>): AsyncGenerator<SnapshotChunk> {
    for await (const chunk of queue.drain()) {
      if (chunk === 'resync') continue; // never with `fail`
      yield chunk;
      if (stream.isPaused && queue.length < SNAPSHOT_CHUNKS_QUEUED_MAX / 4) stream.resume();
    }
  }

  #refuseRemoved(stream: PeerStream): void {
    const { peer, claim } = this.#streams.get(stream) ?? { peer: '', claim: 0 };
    if (this.#deps.judge(peer, claim) === 'removed') throw new RemovedPeer('forbidden', removedText(peer));
  }

  #sayGoodbye(stream: PeerStream, reason: 'removed' | 'refused' | 'failed', message: string): void {
    this.#end(stream, { goodbye: { reason, message, membership_index: this.#deps.membershipIndex() } });
  }

  #end(stream: PeerStream, last: object): void {
    this.#streams.delete(stream);
    stream.end(last);
  }
}

class RemovedPeer extends CodedError {}

const removedText = (peer: MemberId): string => `${peer} was removed from the managers of this cluster`;
