// Splits the engine's multiplexed stream: 8 bytes of head (stream, three zeros, length), then that many bytes.
export interface Frame {
  readonly stream: 'stdout' | 'stderr';
  readonly bytes: Buffer;
}

const HEAD_BYTES = 8;

export async function* readFrames(source: AsyncIterable<Buffer>): AsyncGenerator<Frame> {
  let pending: Buffer = Buffer.alloc(0);
  for await (const chunk of source) {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    while (pending.length >= HEAD_BYTES) {
      const length = pending.readUInt32BE(4);
      if (pending.length < HEAD_BYTES + length) break;
      yield {
        stream: pending[0] === 2 ? 'stderr' : 'stdout',
        bytes: pending.subarray(HEAD_BYTES, HEAD_BYTES + length),
      };
      pending = pending.subarray(HEAD_BYTES + length);
    }
  }
}
