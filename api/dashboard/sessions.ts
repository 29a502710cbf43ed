// Who may see the dashboard: a link with a one-time token is exchanged for a session cookie.
// Only digests are kept, both expire, and both are bounded.
import { createHash } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import type { Random } from '../../base/random.ts';

const LINK_LIFETIME_MS = 60 * 60_000;
const SESSION_LIFETIME_MS = 12 * 60 * 60_000;
const KEPT_MAX = 1_000;
const TOKEN_BYTES = 32;
export const COOKIE = 'shoal-session';

export class Sessions {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #links = new Map<string, number>(); // digest → expiry
  readonly #sessions = new Map<string, number>();

  constructor(deps: { clock: Clock; random: Random }) {
    this.#clock = deps.clock;
    this.#random = deps.random;
  }

  /** A token that opens one session, once, within an hour. */
  createLinkToken(): string {
    return this.#issue(this.#links, LINK_LIFETIME_MS);
  }

  /** Trades a link's token for the value of a session cookie; undefined when it was used, is old, or was never given. */
  exchange(token: string): string | undefined {
    if (!this.#valid(this.#links, token)) return undefined;
    this.#links.delete(digest(token));
    return this.#issue(this.#sessions, SESSION_LIFETIME_MS);
  }

  /** True when the request's Cookie header carries a live session. */
  admits(cookieHeader: string | undefined): boolean {
    const values = (cookieHeader ?? '').split(';').map((part) => part.trim().split('='));
    return values.some(([name, value]) => name === COOKIE && value !== undefined && this.#valid(this.#sessions, value));
  }

  #issue(kept: Map<string, number>, lifetimeMs: number): string {
    const token = Buffer.from(this.#random.bytes(TOKEN_BYTES)).toString('base64url');
    kept.set(digest(token), this.#clock.nowMs() + lifetimeMs);
    const [oldest] = kept.keys();
    if (kept.size > KEPT_MAX && oldest) kept.delete(oldest);
    return token;
  }

  #valid(kept: Map<string, number>, token: string): boolean {
    const expiry = kept.get(digest(token));
    return expiry !== undefined && this.#clock.nowMs() < expiry;
  }
}

// Looking a digest up tells a timing attacker nothing that helps to find the token.
const digest = (token: string): string => createHash('sha256').update(token).digest('base64url');
