// Join tokens, in Docker's form: SWMTKN-1-<digest of the root certificate, base 36>-<secret>.
// The digest pins the cluster's root before anything is trusted; the secret says which role may be had.
import { createHash, timingSafeEqual, X509Certificate } from 'node:crypto';
import { fail } from '../base/errors.ts';
import { newId } from '../base/id.ts';
import type { Random } from '../base/random.ts';

export interface JoinToken {
  readonly rootDigest: string; // base 36, 50 characters
  readonly secret: string; // 25 characters
}

const FORM = /^SWMTKN-1-([0-9a-z]{50})-([0-9a-z]{25})$/;
const DIGEST_LENGTH = 50; // 256 bits in base 36

export function newJoinToken(rootPem: string, random: Random): string {
  return `SWMTKN-1-${rootDigest(rootPem)}-${newId<'secret'>(random)}`;
}

export function parseJoinToken(text: string): JoinToken {
  const [, digest, secret] = FORM.exec(text) ?? [];
  if (!digest || !secret) fail('invalid', 'invalid join token');
  return { rootDigest: digest, secret };
}

export function rootDigest(rootPem: string): string {
  const hex = createHash('sha256').update(new X509Certificate(rootPem).raw).digest('hex');
  return BigInt(`0x${hex}`).toString(36).padStart(DIGEST_LENGTH, '0');
}

/** In constant time for tokens of equal length. */
export function sameToken(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
