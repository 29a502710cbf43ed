// DNS over TCP: every message after its length. Pure.
export function frameOf(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

/** Cuts what comes in into messages. */
export class StreamFrames {
  #kept: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Buffer[] {
    this.#kept = this.#kept.length === 0 ? chunk : Buffer.concat([this.#kept, chunk]);
    const frames: Buffer[] = [];
    let at = 0;
    while (this.#kept.length - at >= 2) {
      const length = this.#kept.readUInt16BE(at);
      if (this.#kept.length - at - 2 < length) break;
      frames.push(this.#kept.subarray(at + 2, at + 2 + length));
      at += 2 + length;
    }
    this.#kept = this.#kept.subarray(at);
    return frames;
  }
}
