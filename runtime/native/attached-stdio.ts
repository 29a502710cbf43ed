// One attached client of a process: frames in, output out.
import { owning } from '../../base/owning.ts';
import type { AttachedStdio, OutputFrame } from './contract.ts';
import type { Connection } from './connection.ts';
import { stdinHeader } from './messages.ts';
import { CHUNK_BYTES, FRAME, FrameWriter } from './wire.ts';

export class ShimStdio implements AttachedStdio {
  readonly output: AsyncIterable<OutputFrame>;
  readonly #connection: Connection;
  #last: Promise<void> = Promise.resolve();

  /** `connection` has been turned into a stream by an attach or exec. */
  constructor(connection: Connection) {
    this.#connection = connection;
    this.output = owning(outputOf(connection), () => connection.close());
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
      const part = bytes.subarray(at, at + CHUNK_BYTES);
      await this.#send(Buffer.concat([stdinHeader(part.length), part]));
    }
  }

  async closeStdin(): Promise<void> {
    await this.#send(new FrameWriter(FRAME.stdinClose).finish());
  }

  detach(): void {
    this.#connection.close();
  }

  /** In order, whoever calls. Input for a process that is gone is dropped, as a pipe with a dead reader would. */
  #send(frame: Uint8Array): Promise<void> {
    const sent = this.#last.then(() => (this.#connection.isOpen ? this.#connection.send(frame) : undefined));
    this.#last = sent.catch(() => {});
    return this.#last;
  }
}

async function* outputOf(connection: Connection): AsyncGenerator<OutputFrame, void, void> {
  for (let frame = await connection.next(); frame !== undefined; frame = await connection.next()) {
    if (frame.type === FRAME.end) return;
    if (frame.type !== FRAME.output || frame.payload.length < 1) continue;
    yield { stream: frame.payload[0] === 2 ? 'stderr' : 'stdout', bytes: frame.payload.subarray(1) };
  }
}
