// The key that unlocks a manager's disk, as people see it: Docker's form, a prefix and 32 bytes in base64 without padding.
import { fail } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import { SECRET_BYTES } from '../base/sealed-box.ts';

const PREFIX = 'SWMKEY-1-';

export const newUnlockKey = (random: Random): string =>
  PREFIX + Buffer.from(random.bytes(SECRET_BYTES)).toString('base64').replace(/=+$/, '');

/** The text is never part of the error. */
export function parseUnlockKey(text: string): Uint8Array {
  const encoded = text.trim();
  const bytes = Buffer.from(encoded.slice(PREFIX.length), 'base64');
  if (!encoded.startsWith(PREFIX) || bytes.length !== SECRET_BYTES) fail('invalid', 'invalid key string');
  return bytes;
}
