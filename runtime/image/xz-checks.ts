// What an xz file says of each block's bytes: nothing, CRC-32, CRC-64 or SHA-256.
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { fail } from '../../base/errors.ts';

export interface Check {
  readonly sizeBytes: number;
  readonly begin: () => CheckSum;
}

export interface CheckSum {
  add(bytes: Uint8Array): void;
  end(): Uint8Array;
}

export function checkOf(id: number): Check {
  return CHECKS[id] ?? fail('not-implemented', `xz archives with the check ${id} are not read: there is none known`);
}

class Crc32 implements CheckSum {
  #sum = 0;

  add(bytes: Uint8Array): void {
    this.#sum = crc32(bytes, this.#sum);
  }

  end(): Uint8Array {
    return littleEndian(this.#sum);
  }
}

/** By its low and high half, four bytes at a time. */
class Crc64 implements CheckSum {
  #low = -1;
  #high = -1;

  add(bytes: Uint8Array): void {
    const { lows, highs } = tables();
    let low = this.#low;
    let high = this.#high;
    let at = 0;
    for (const end = bytes.length - 3; at < end; at += 4) {
      const first = (low ^ (bytes[at] as number)) & 0xff;
      const second = ((low >>> 8) ^ (bytes[at + 1] as number)) & 0xff;
      const third = ((low >>> 16) ^ (bytes[at + 2] as number)) & 0xff;
      const fourth = (low >>> 24) ^ (bytes[at + 3] as number);
      low =
        high ^
        (lows[0x300 + first] as number) ^
        (lows[0x200 + second] as number) ^
        (lows[0x100 + third] as number) ^
        (lows[fourth] as number);
      high =
        (highs[0x300 + first] as number) ^
        (highs[0x200 + second] as number) ^
        (highs[0x100 + third] as number) ^
        (highs[fourth] as number);
    }
    for (; at < bytes.length; at += 1) {
      const index = (low ^ (bytes[at] as number)) & 0xff;
      low = ((low >>> 8) | (high << 24)) ^ (lows[index] as number);
      high = (high >>> 8) ^ (highs[index] as number);
    }
    this.#low = low;
    this.#high = high;
  }

  end(): Uint8Array {
    return Buffer.concat([littleEndian(~this.#low), littleEndian(~this.#high)]);
  }
}

function littleEndian(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value | 0);
  return bytes;
}

interface Tables {
  readonly lows: Int32Array;
  readonly highs: Int32Array;
}

let made: Tables | undefined;
const tables = (): Tables => (made ??= makeTables());

/** The sums of one byte, then of that byte with one, two and three zeros behind it. */
function makeTables(): Tables {
  const lows = new Int32Array(4 * 256);
  const highs = new Int32Array(4 * 256);
  for (let index = 0; index < 4 * 256; index += 1) {
    let low = index < 256 ? index : (lows[index - 256] as number);
    let high = index < 256 ? 0 : (highs[index - 256] as number);
    for (let bit = 0; bit < 8; bit += 1) {
      const odd = low & 1;
      low = (low >>> 1) | (high << 31);
      high >>>= 1;
      if (odd) {
        low ^= 0xd7870f42;
        high ^= 0xc96c5795;
      }
    }
    lows[index] = low;
    highs[index] = high;
  }
  return { lows, highs };
}

const CHECKS: Readonly<Record<number, Check>> = {
  0: { sizeBytes: 0, begin: () => ({ add: () => undefined, end: () => new Uint8Array(0) }) },
  1: { sizeBytes: 4, begin: () => new Crc32() },
  4: { sizeBytes: 8, begin: () => new Crc64() },
  10: {
    sizeBytes: 32,
    begin: () => {
      const hash = createHash('sha256');
      return { add: (bytes) => void hash.update(bytes), end: () => hash.digest() };
    },
  },
};
