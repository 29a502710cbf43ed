// Sealing of what lies on disk: AES-256-GCM under a key derived for each file from the node's data key and the file's own
// salt. The nonce is the number of the batch within the file, so a file is never written to again after it was recovered:
// a second text under one key and nonce would break the cipher.
import { createCipheriv, createDecipheriv, createHash, hkdfSync } from 'node:crypto';
import { fail } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';

const ALGORITHM = 'aes-256-gcm';
const KEY_BYTES = 32;
const TAG_BYTES = 16;
export const SALT_BYTES = 32;
export const KEY_ID_BYTES = 8;
/** The number under which files name this way of sealing. */
export const SEAL_AES_256_GCM = 1;

export interface DataKey {
  readonly bytes: Uint8Array;
  /** Tells keys apart without telling anything of them. */
  readonly id: Uint8Array;
}

export interface Seal {
  seal(number: number, context: Uint8Array, plain: Uint8Array): Buffer;
  /** Throws when bytes, number, context or key differ from what was sealed. */
  open(number: number, context: Uint8Array, sealed: Uint8Array): Buffer;
}

export function dataKeyOf(bytes: Uint8Array): DataKey {
  if (bytes.length !== KEY_BYTES) fail('internal', `the data key has ${bytes.length} bytes instead of ${KEY_BYTES}`);
  return {
    bytes,
    id: createHash('sha256').update('shoal data key id').update(bytes).digest().subarray(0, KEY_ID_BYTES),
  };
}

export const newDataKey = (random: Random): DataKey => dataKeyOf(random.bytes(KEY_BYTES));

export function sealFor(key: DataKey, options: { salt: Uint8Array; purpose: string }): Seal {
  const subkey = Buffer.from(hkdfSync('sha256', key.bytes, options.salt, options.purpose, KEY_BYTES));
  return {
    seal(number, context, plain) {
      const cipher = createCipheriv(ALGORITHM, subkey, nonceOf(number)).setAAD(context);
      return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    },
    open(number, context, sealed) {
      const end = sealed.length - TAG_BYTES;
      const decipher = createDecipheriv(ALGORITHM, subkey, nonceOf(number)).setAAD(context);
      decipher.setAuthTag(sealed.subarray(Math.max(0, end)));
      return Buffer.concat([decipher.update(sealed.subarray(0, Math.max(0, end))), decipher.final()]);
    },
  };
}

function nonceOf(number: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(Math.floor(number / 2 ** 32), 4);
  nonce.writeUInt32BE(number % 2 ** 32, 8);
  return nonce;
}
