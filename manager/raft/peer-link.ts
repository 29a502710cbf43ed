// Our side of the connection to one other member: dials, says hello, sends batches of messages, dials again.
// What can not be sent now is dropped: consensus repeats what matters, and old messages are worth nothing.
import { connect } from 'node:net';
import { backoffMs } from '../../base/backoff.ts';
import type { Clock } from '../../base/clock.ts';
import { codeOf, errnoOf, fail, sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { SnapshotChunk } from './contract.ts';
import type { MemberId, Message, SnapshotMessage } from './core/types.ts';
import type { PeerCredentials } from './credentials.ts';
import { dial, type Dialled, RemovedError, splitAddress } from './dialled.ts';
import { type Hello, messageToWire, PROTOCOL, PROTOCOL_MIN, type Purpose, snapshotToWire } from './wire.ts';

export interface LinkDeps {
  readonly id: MemberId;
  readonly hello: (purpose: Purpose) => Hello;
  readonly credentials: PeerCredentials;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly addressOf: () => string | undefined;
  readonly onUp: () => void;
  /** `refused`: nothing listens there any more. */
  readonly onDown: (how: 'refused' | 'lost') => void;
  /** The peer says that we are not a member any more, by the membership at this index. */
  readonly onRemoved: (membershipIndex: number) => void;
}

const SNAPSHOT_STALL_MS = 30_000;
const BACKOFF = { baseMs: 50, maxMs: 500 };
/** What may wait for the connection; the core's window keeps it far below. */
const WAITING_BYTES_MAX = 16 * 1024 * 1024;

export class PeerLink {
  readonly #deps: LinkDeps;
  readonly #controller = new AbortController();
  #current: Dialled | undefined;
  #redial = new AbortController();
  readonly #done: Promise<void>;

  constructor(deps: LinkDeps) {
    this.#deps = deps;
    this.#done = this.#run();
  }

  get isUp(): boolean {
    return this.#current !== undefined;
  }

  /** False if they were dropped. */
  send(messages: readonly Exclude<Message, SnapshotMessage>[]): boolean {
    const stream = this.#current?.stream;
    if (!stream || stream.bytesWaiting > WAITING_BYTES_MAX) return false;
    stream.send({ batch: { messages: messages.map(messageToWire) } });
    return true;
  }

  /** Sends a snapshot on a connection of its own. Resolves when the peer has it durable. */
  async sendSnapshot(message: SnapshotMessage, chunks: readonly SnapshotChunk[]): Promise<void> {
    using dialled = await this.#dial('INSTALL_SNAPSHOT');
    await dialled.send({ begin: snapshotToWire(message) }, SNAPSHOT_STALL_MS);
    for (const chunk of chunks) await dialled.send({ chunk }, SNAPSHOT_STALL_MS);
    await dialled.send({ end: { chunks: chunks.length } }, SNAPSHOT_STALL_MS);
    await dialled.expect('receipt', SNAPSHOT_STALL_MS);
  }

  /** There is reason to believe that dialling works now, or that it should be done with other means. */
  redial(options: { evenIfUp: boolean } = { evenIfUp: false }): void {
    if (options.evenIfUp) this.#current?.stream.destroy();
    this.#redial.abort();
  }

  async stop(): Promise<void> {
    this.#controller.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const abort = this.#controller.signal;
    for (let attempt = 0; !abort.aborted; attempt += 1) {
      const wasUp = await this.#connection();
      if (wasUp) attempt = 0;
      if (abort.aborted) return;
      await this.#pause(backoffMs(attempt, BACKOFF, this.#deps.random));
    }
  }

  /** One connection from dialling to its end; true if it had come up. Never throws. */
  async #connection(): Promise<boolean> {
    const { log } = this.#deps;
    let wasUp = false;
    try {
      using dialled = await this.#dial('EXCHANGE');
      wasUp = true;
      this.#current = dialled;
      this.#deps.onUp();
      await dialled.untilEnd();
    } catch (error) {
      if (this.#controller.signal.aborted) return wasUp;
      if (error instanceof RemovedError) this.#deps.onRemoved(error.membershipIndex);
      else log.debug('connection to manager ended', { peer: this.#deps.id, reason: sentenceOf(error) });
    } finally {
      this.#current = undefined;
    }
    if (this.#controller.signal.aborted) return wasUp;
    if (wasUp) this.#deps.onDown((await this.#isRefused()) ? 'refused' : 'lost');
    return wasUp;
  }

  /** Whether the peer's machine is there but nobody listens: its manager is gone, not the way to it. */
  #isRefused(): Promise<boolean> {
    const address = splitAddress(this.#deps.addressOf());
    if (!address) return Promise.resolve(false);
    return new Promise((resolve) => {
      const socket = connect(address);
      const answer = (refused: boolean): void => {
        timer.cancel();
        socket.destroy();
        resolve(refused);
      };
      const timer = this.#deps.clock.after(200, () => answer(false));
      socket.once('connect', () => answer(false));
      socket.once('error', (error) => answer(errnoOf(error) === 'ECONNREFUSED'));
    });
  }

  async #pause(ms: number): Promise<void> {
    this.#redial = new AbortController();
    const abort = AbortSignal.any([this.#controller.signal, this.#redial.signal]);
    try {
      await this.#deps.clock.sleep(ms, { abort });
    } catch (error) {
      if (codeOf(error) !== 'aborted') throw error;
    }
  }

  #dial(purpose: Purpose): Promise<Dialled> {
    const { id, hello, credentials, clock } = this.#deps;
    const address =
      splitAddress(this.#deps.addressOf()) ?? fail('unavailable', `the address of manager ${id} is not known`);
    return dial(id, address, hello(purpose), { credentials, clock, abort: this.#controller.signal });
  }
}

export function helloOf(
  self: { clusterId: string; nodeId: MemberId; raftAddress: string },
  to: MemberId,
  { membershipIndex, epoch, purpose }: { membershipIndex: number; epoch: number; purpose: Purpose },
): Hello {
  return {
    protocol_min: PROTOCOL_MIN,
    protocol_max: PROTOCOL,
    features: [],
    cluster_id: self.clusterId,
    from: self.nodeId,
    to,
    raft_address: self.raftAddress,
    membership_index: membershipIndex,
    epoch,
    purpose,
  };
}
