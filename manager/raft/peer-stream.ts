// One connection between two managers: frames (proto/raft.proto) over a socket that TLS has already vouched for.
// Plain frames and not gRPC's streams: a lone client's writes went a third faster, sixteen clients' a tenth (docs/performance.md).
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../base/clock.ts';
import { CodedError, fail } from '../../base/errors.ts';
import { decodeFrame, encodeFrame, type Frame } from './wire.ts';

export interface StreamDeps {
  readonly clock: Clock;
  /** A throw of it goes to nobody: it is a broken invariant. */
  readonly onFrame: (frame: Frame) => void;
  /** The other side sent what can not be read. */
  readonly onBroken: (error: unknown) => void;
  /** Once, however it came to an end. */
  readonly onOver: (error: unknown) => void;
}

const LENGTH_BYTES = 4;
const PING_EVERY_MS = 1_000;
/** Who has said nothing for so long, not even a ping, is gone. */
const SILENCE_MAX_MS = 2_500;
/** Larger ones are written beside their length instead of being copied behind it. */
const COPIED_BYTES_MAX = 64 * 1024;
/** Until one knows who is at the other end, and from someone of whom nothing large is expected. */
export const SMALL_FRAME_BYTES_MAX = 64 * 1024;
export const LARGE_FRAME_BYTES_MAX = 64 * 1024 * 1024;

export class PeerStream {
  /** Of what comes; a larger frame ends the connection. */
  frameBytesMax = SMALL_FRAME_BYTES_MAX;
  readonly #socket: Socket;
  readonly #deps: StreamDeps;
  readonly #unread = new Unread();
  #isPaused = false;
  #isEnding = false;
  #isOver = false;
  #heardAtMs: number;
  #saidAtMs: number;
  #beat: Timer;
  #onDrained: (() => void) | undefined;

  constructor(socket: Socket, deps: StreamDeps) {
    this.#socket = socket;
    this.#deps = deps;
    this.#heardAtMs = deps.clock.monotonicMs();
    this.#saidAtMs = this.#heardAtMs;
    this.#beat = deps.clock.after(PING_EVERY_MS, () => this.#onBeat());
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('drain', () => this.#onDrained?.());
    socket.on('end', () => this.#over(new CodedError('unavailable', 'the peer closed the connection')));
    socket.on('error', (error) => this.#over(error));
    socket.on('close', () => this.#over(new CodedError('unavailable', 'the connection was closed')));
  }

  /** Bytes that the system has not taken yet. */
  get bytesWaiting(): number {
    return this.#socket.writableLength;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** False if more waits than should; the frame is sent all the same. */
  send(frame: object): boolean {
    if (this.#isOver || this.#isEnding) return true;
    this.#saidAtMs = this.#deps.clock.monotonicMs();
    const body = encodeFrame(frame);
    const length = Buffer.allocUnsafe(LENGTH_BYTES);
    length.writeUInt32BE(body.length);
    if (body.length <= COPIED_BYTES_MAX) return this.#socket.write(Buffer.concat([length, body]));
    this.#socket.cork();
    this.#socket.write(length);
    const hasRoom = this.#socket.write(body);
    this.#socket.uncork();
    return hasRoom;
  }

  /** Calls `then` when the system has taken what waits. */
  whenDrained(then: () => void): void {
    if (this.#socket.writableNeedDrain) this.#onDrained = then;
    else then();
  }

  /** No frame is handed out until `resume`, not even of those that have come. */
  pause(): void {
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#heardAtMs = this.#deps.clock.monotonicMs();
    this.#deliver();
    if (!this.#isPaused) this.#socket.resume();
  }

  /** Sends what waits, and `last`, and closes. What still comes is not read. */
  end(last: object): void {
    if (this.#isOver || this.#isEnding) return;
    this.send(last);
    this.#isEnding = true;
    this.#socket.end();
    this.#socket.resume();
  }

  destroy(): void {
    this.#over(new CodedError('aborted', 'the connection was given up'));
    this.#socket.destroy();
  }

  #onData(chunk: Buffer): void {
    if (this.#isEnding) return;
    this.#heardAtMs = this.#deps.clock.monotonicMs();
    this.#unread.push(chunk);
    this.#deliver();
  }

  #deliver(): void {
    while (!this.#isPaused && !this.#isOver && !this.#isEnding) {
      let frame: Frame;
      try {
        const body = this.#unread.take(this.frameBytesMax);
        if (!body) return;
        frame = decodeFrame(body);
      } catch (error) {
        return this.#deps.onBroken(error);
      }
      if (frame.name !== 'ping') this.#deps.onFrame(frame);
    }
  }

  #onBeat(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs - this.#heardAtMs > SILENCE_MAX_MS && !this.#isPaused) {
      this.#over(new CodedError('unavailable', `the peer has been silent for ${SILENCE_MAX_MS} ms`));
      return void this.#socket.destroy();
    }
    if (nowMs - this.#saidAtMs >= PING_EVERY_MS / 2) this.send({ ping: {} });
    this.#beat = this.#deps.clock.after(PING_EVERY_MS, () => this.#onBeat());
  }

  #over(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#beat.cancel();
    this.#onDrained?.();
    this.#deps.onOver(error);
  }
}

/** Bytes that have come, taken out frame by frame. */
class Unread {
  #chunks: Buffer[] = [];
  #bytes = 0;

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** The body of the next frame if all of it has come; throws if it is to be larger than `bytesMax`. */
  take(bytesMax: number): Buffer | undefined {
    if (this.#bytes < LENGTH_BYTES) return undefined;
    const length = this.#head(LENGTH_BYTES).readUInt32BE();
    if (length > bytesMax) fail('invalid', `a frame of ${length} bytes is over the limit of ${bytesMax}`);
    const end = LENGTH_BYTES + length;
    if (this.#bytes < end) return undefined;
    const head = this.#head(end);
    this.#bytes -= end;
    if (head.length === end) this.#chunks.shift();
    else this.#chunks[0] = head.subarray(end);
    return head.subarray(LENGTH_BYTES, end);
  }

  /** The first chunk, made at least `length` bytes long; joined once and not with every chunk that comes. */
  #head(length: number): Buffer {
    let [head] = this.#chunks;
    if (!head || head.length < length) {
      head = Buffer.concat(this.#chunks, this.#bytes);
      this.#chunks = [head];
    }
    return head;
  }
}
