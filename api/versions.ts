// The Engine API's versions: which we speak, and what every answer says about it.
import { fail } from '../base/errors.ts';

export const API_VERSION = '1.51';
export const API_VERSION_MIN = '1.24';

/** A version path prefix taken off a request path; bare paths mean the newest version. */
export interface VersionedPath {
  readonly version: string;
  readonly path: string;
}

export function splitVersion(path: string): VersionedPath {
  const match = /^\/v(\d+(?:\.\d+)*)(\/.*)$/.exec(path);
  if (!match) return { version: API_VERSION, path };
  return { version: match[1] ?? API_VERSION, path: match[2] ?? '/' };
}

const COMPOSE_1 = /^docker-compose\/1\./;
const COMPOSE_1_VERSION = '1.44';

/**
 * Compose 1 asks for the newest version whatever it is, and then misses what left the API with 1.45: the configuration
 * of a container in an image, and the short id among the aliases. It is answered as the last version that had them.
 */
export function spokenVersion(asked: string, userAgent: string | undefined): string {
  return COMPOSE_1.test(userAgent ?? '') && isBefore(COMPOSE_1_VERSION, asked) ? COMPOSE_1_VERSION : asked;
}

export function requireKnownVersion(version: string): void {
  if (isBefore(version, API_VERSION_MIN)) {
    fail(
      'invalid',
      `client version ${version} is too old. Minimum supported API version is ${API_VERSION_MIN}, please upgrade your client to a newer version`,
    );
  }
  if (isBefore(API_VERSION, version)) {
    fail('invalid', `client version ${version} is too new. Maximum supported API version is ${API_VERSION}`);
  }
}

/** Compares number by number: 1.9 is before 1.10. */
export function isBefore(a: string, b: string): boolean {
  const left = a.split('.').map(Number);
  const right = b.split('.').map(Number);
  for (let i = 0; i < Math.max(left.length, right.length); i += 1) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
