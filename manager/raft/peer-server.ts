// The listener for other managers: checks who dials, lets current members in, turns what they send into messages.
// Certificate and membership are both asked: a valid certificate of a removed member is refused and told so.
import { Server, type ServerDuplexStream, type ServiceDefinition } from '@grpc/grpc-js';
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
import {
  bodyOf,
  chunkFromWire,
  type Hello,
  helloFromWire,
  messageFromWire,
  PROTOCOL,
  PROTOCOL_MIN,
  snapshotFromWire,
} from './wire.ts';

export interface ServerDeps {
  readonly clusterId: string;
  readonly nodeId: MemberId;
  readonly helloTo: (id: MemberId) => Hello;
  readonly service: ServiceDefinition;
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

type Stream = ServerDuplexStream<unknown, object>;

const HELLO_TIMEOUT_MS = 2_000;
const SNAPSHOT_CHUNKS_QUEUED_MAX = 64;
const SERVER_OPTIONS = {
  'grpc.keepalive_time_ms': 2_000,
  'grpc.keepalive_timeout_ms': 2_000,
  'grpc.max_receive_message_length': 64 * 1024 * 1024,
  'grpc.max_concurrent_streams': 64,
};

export class PeerServer {
  readonly #deps: ServerDeps;
  readonly #server = new Server(SERVER_OPTIONS);
  /** Who is at the other end, and by which membership it claims to be a member. */
  readonly #streams = new Map<Stream, { peer: MemberId; claim: number }>();

  constructor(deps: ServerDeps) {
    this.#deps = deps;
    this.#server.addService(deps.service, {
      Exchange: (stream: Stream) => this.#serve(stream, (peer) => this.#exchange(stream, peer)),
      InstallSnapshot: (stream: Stream) => this.#serve(stream, (peer) => this.#installSnapshot(stream, peer)),
    });
  }

  /** Resolves with the port. */
  async listen(address: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, this.#deps.credentials.forServer(), (cause, port) => {
        if (cause) reject(new CodedError('unavailable', `listening for managers on ${address}`, { cause }));
        else resolve(port);
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
    this.#server.forceShutdown();
  }

  /** Identifies the dialler and waits for its hello; anything wrong ends the stream with a sentence. */
  #serve(stream: Stream, begin: (peer: MemberId) => (body: { name: string; body: unknown }) => void): void {
    const { log, clock } = this.#deps;
    let onBody: ((body: { name: string; body: unknown }) => void) | undefined;
    const refuse = (error: unknown): void => {
      log.warn('refused a peer stream', {
        peer: this.#streams.get(stream)?.peer,
        from: stream.getPeer(),
        reason: sentenceOf(error),
      });
      this.#sayGoodbye(stream, error instanceof RemovedPeer ? 'removed' : 'refused', sentenceOf(error));
    };
    const timer = clock.after(HELLO_TIMEOUT_MS, () => refuse(new CodedError('deadline', 'no hello came')));
    stream.on('data', (value: unknown) => {
      try {
        const body = bodyOf(value);
        if (onBody) return onBody(body);
        if (body.name !== 'hello') fail('invalid', 'the first message of a stream must be hello');
        timer.cancel();
        const peer = this.#welcome(stream, helloFromWire(body.body));
        onBody = begin(peer);
      } catch (error) {
        // A broken invariant is ours, not the peer's: it ends the worker.
        if (error instanceof InvariantError) throw error;
        refuse(error);
      }
    });
    const over = (): void => {
      timer.cancel();
      this.#streams.delete(stream);
    };
    stream.on('end', () => {
      over();
      if (!stream.writableEnded) stream.end();
    });
    stream.on('error', over);
    stream.on('close', over);
    stream.on('cancelled', over);
  }

  #welcome(stream: Stream, hello: Hello): MemberId {
    const { clusterId, nodeId, judge, helloTo, onHello } = this.#deps;
    const certificate = stream.getAuthContext().sslPeerCertificate;
    const peer = certificate && managerOf(certificate, clusterId);
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
    stream.write({ hello: helloTo(peer) });
    onHello(hello);
    return peer;
  }

  #exchange(stream: Stream, peer: MemberId): (body: { name: string; body: unknown }) => void {
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

  #installSnapshot(stream: Stream, peer: MemberId): (body: { name: string; body: unknown }) => void {
    const { nodeId, log, onSnapshot } = this.#deps;
    let queue: BoundedQueue<SnapshotChunk> | undefined;
    let received = 0;
    const lost = (): void => queue?.end(new CodedError('unavailable', 'the sender of the snapshot went away'));
    stream.on('close', lost);
    stream.on('cancelled', lost);
    return ({ name, body }) => {
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
  }

  /** The chunks as they come, reading on only while they are taken. */
  async *#flowing(stream: Stream, queue: BoundedQueue<SnapshotChunk>): AsyncGenerator<SnapshotChunk> {
    for await (const chunk of queue.drain()) {
      if (chunk === 'resync') continue; // never with `fail`
      yield chunk;
      if (stream.isPaused() && queue.length < SNAPSHOT_CHUNKS_QUEUED_MAX / 4) stream.resume();
    }
  }

  #refuseRemoved(stream: Stream): void {
    const { peer, claim } = this.#streams.get(stream) ?? { peer: '', claim: 0 };
    if (this.#deps.judge(peer, claim) === 'removed') throw new RemovedPeer('forbidden', removedText(peer));
  }

  #sayGoodbye(stream: Stream, reason: 'removed' | 'refused' | 'failed', message: string): void {
    this.#end(stream, { goodbye: { reason, message, membership_index: this.#deps.membershipIndex() } });
  }

  #end(stream: Stream, last: object): void {
    this.#streams.delete(stream);
    if (stream.writableEnded || stream.destroyed) return;
    stream.write(last);
    stream.end();
  }
}

class RemovedPeer extends CodedError {}

const removedText = (peer: MemberId): string => `${peer} was removed from the managers of this cluster`;
