// Keeps the node's certificate fresh: asks for the next one at a random moment between half and four fifths of its life,
// or at once when its role is about to change. The new material replaces the old in place; nothing is restarted.
import { X509Certificate } from 'node:crypto';
import { backoffMs } from '../base/backoff.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { materialOf, newCertificateRequest, newKeyPair } from '../proto/certificate-request.ts';
import type { Credentials } from '../proto/credentials.ts';
import { type CertificateMaterial, identityOfPem } from '../proto/identity.ts';
import { CodedError, fail } from '../base/errors.ts';
import { Channel } from '../proto/rpc.ts';
import { Certificates } from '../proto/services.ts';
import type { Remotes } from './remotes.ts';

export interface RenewalDeps {
  readonly credentials: Credentials;
  readonly remotes: Remotes;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Makes the material durable; called before it is used. */
  readonly save: (material: CertificateMaterial) => Promise<void>;
}

const EARLIEST = 0.5;
const LATEST = 0.8;
/** Timers hold 24 days at most, and a machine may have slept. */
const LOOK_EVERY_MS = 3_600_000;
const BACKOFF = { baseMs: 500, maxMs: 3_600_000 } as const;
const ROLE_BACKOFF = { baseMs: 100, maxMs: 5_000 } as const;
const CALL_WITHIN_MS = 5_000;

export class CertificateRenewal {
  readonly #deps: RenewalDeps;
  #urgent = false;
  #wake: (() => void) | undefined;

  constructor(deps: RenewalDeps) {
    this.#deps = deps;
  }

  /** Do not wait for the certificate to age: its role is wrong, or somebody asked. */
  renewNow(): void {
    this.#urgent = true;
    this.#wake?.();
  }

  async run(abort: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#deps;
    let failures = 0;
    while (!abort.aborted) {
      await this.#due(abort);
      const urgent = this.#urgent;
      try {
        this.#urgent = false;
        await this.#renew(abort);
        failures = 0;
      } catch (error) {
        if (abort.aborted) break;
        log.warn('the certificate could not be renewed yet', { error });
        this.#urgent = urgent;
        await clock.sleep(backoffMs(failures++, urgent ? ROLE_BACKOFF : BACKOFF, random), { abort });
      }
    }
  }

  async #due(abort: AbortSignal): Promise<void> {
    const { clock, random, credentials } = this.#deps;
    const dueMs = renewalDueMs(credentials.material.certificatePem, random.fraction());
    while (!this.#urgent) {
      const leftMs = dueMs - clock.nowMs();
      if (leftMs <= 0) return;
      await this.#sleep(Math.min(leftMs, LOOK_EVERY_MS), abort);
    }
  }

  async #sleep(ms: number, abort: AbortSignal): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    try {
      await this.#deps.clock.sleep(ms, { abort: AbortSignal.any([abort, woken.signal]) });
    } catch (error) {
      if (abort.aborted) throw error;
    } finally {
      this.#wake = undefined;
    }
  }

  async #renew(abort: AbortSignal): Promise<void> {
    const { credentials, remotes, save, log } = this.#deps;
    const address = remotes.next() ?? fail('unavailable', 'no manager is known');
    const keys = await newKeyPair();
    const requestPem = await newCertificateRequest(keys);
    using channel = new Channel(address, credentials.channelCredentials());
    try {
      const options = { withinMs: CALL_WITHIN_MS, abort };
      const issued = await channel.call(Certificates.RenewCertificate, { requestPem }, options);
      const material = materialOf(issued, keys);
      refuseStranger(credentials, material);
      await save(material);
      credentials.replace(material);
      log.info('certificate renewed', { role: credentials.identity.role });
    } catch (error) {
      remotes.failed(address);
      throw error;
    }
  }
}

/** When a certificate is due, for a share of luck from 0 to 1. */
export function renewalDueMs(certificatePem: string, luck: number): number {
  const { validFrom, validTo } = new X509Certificate(certificatePem);
  const [fromMs, toMs] = [Date.parse(validFrom), Date.parse(validTo)];
  return fromMs + (toMs - fromMs) * (EARLIEST + luck * (LATEST - EARLIEST));
}

function refuseStranger(credentials: Credentials, material: CertificateMaterial): void {
  const [mine, next] = [credentials.identity, identityOfPem(material.certificatePem)];
  if (mine.nodeId !== next.nodeId || mine.clusterId !== next.clusterId) {
    throw new CodedError('unauthenticated', 'the certificate that came back is for somebody else');
  }
}
