// One secret wrapped in another: AES-256-GCM under a key derived from the wrapping secret, with a nonce of its own for
// each box. For small things that are written seldom; logs and snapshots have a seal of their own.
import { createCipheriv, createDecipheriv, createHash, hkdfSync } from 'node:crypto';
import { fail } from './errors.ts';
import { asObject, asString } from './parse.ts';
import type { Random } from './random.ts';

const ALGORITHM = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
export const SECRET_BYTES = 32;

/** As it is stored: JSON with base64 in it. */
export interface SealedBox {
  /** Tells the wrapping secret from others without telling anything of it. */
  readonly by: string;
  readonly nonce: string;
  readonly sealed: string;
}

/** Names a secret of `SECRET_BYTES` random bytes. */
export const secretId = (secret: Uint8Array): string =>
  createHash('sha256').update('shoal secret id').update(secret).digest('hex').slice(0, 16);

/** `purpose` is authenticated: a box made for one purpose does not open for another. */
export function sealBox(secret: Uint8Array, purpose: string, plain: Uint8Array, random: Random): SealedBox {
  const nonce = Buffer.from(random.bytes(NONCE_BYTES));
  const cipher = createCipheriv(ALGORITHM, subkey(secret, purpose), nonce).setAAD(Buffer.from(purpose));
  const sealed = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  return { by: secretId(secret), nonce: nonce.toString('base64'), sealed: sealed.toString('base64') };
}

/** Throws `forbidden` when the secret is another one or the box was changed. */
export function openBox(secret: Uint8Array, purpose: string, box: SealedBox): Buffer {
  const sealed = Buffer.from(box.sealed, 'base64');
  const end = Math.max(0, sealed.length - TAG_BYTES);
  try {
    const decipher = createDecipheriv(ALGORITHM, subkey(secret, purpose), Buffer.from(box.nonce, 'base64'), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(Buffer.from(purpose)).setAuthTag(sealed.subarray(end));
    return Buffer.concat([decipher.update(sealed.subarray(0, end)), decipher.final()]);
  } catch (cause) {
    return fail('forbidden', `the key does not open the ${purpose}`, { cause });
  }
}

export function parseSealedBox(value: unknown, path: string): SealedBox {
  const json = asObject(value, path);
  return {
    by: asString(json['by'], `${path}.by`),
    nonce: asString(json['nonce'], `${path}.nonce`),
    sealed: asString(json['sealed'], `${path}.sealed`),
  };
}

const subkey = (secret: Uint8Array, purpose: string): Buffer =>
  Buffer.from(hkdfSync('sha256', secret, new Uint8Array(), `shoal box: ${purpose}`, SECRET_BYTES));
