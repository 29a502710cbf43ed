// Keeps the kernel at what is wanted: every few seconds all of it, and at once what the kernel says somebody changed:
// packet rules, links, addresses. What was repaired is logged, and counted by its cause.
import type { Background } from '../../base/background.ts';
import type { Clock } from '../../base/clock.ts';
import { sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import {
  type AuditParts,
  type AuditReport,
  auditKernel,
  auditRules,
  type Cause,
  findDifferences,
  tablesOf,
} from './audit.ts';
import { ConnectionWatch } from './connection-table.ts';
import type { NetworkReport } from './contract.ts';
import type { LinkEvent } from './netd-protocol.ts';

export interface UpkeepParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly background: Background;
  readonly audited: () => AuditParts;
  /** Before the containers of an earlier daemon are adopted, there is nothing to compare with. */
  readonly isReady: () => boolean;
}

export class Upkeep {
  readonly #parts: UpkeepParts;
  #auditing: Promise<AuditReport> | undefined;
  readonly #repaired = new Map<Cause, number>();
  readonly #connections: ConnectionWatch;
  /** What could not be repaired, as it was told last. */
  readonly #failing = new Set<string>();
  #rulesSuspect = false;
  #checkingRules = false;
  #linksSuspect = false;
  #checkingLinks = false;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
    this.#connections = new ConnectionWatch(parts.log);
  }

  audit(): Promise<AuditReport> {
    this.#auditing ??= auditKernel(this.#parts.audited(), (cause) => this.#count(cause)).finally(() => {
      this.#auditing = undefined;
    });
    return this.#auditing;
  }

  /** What differs now, and what was put right since the daemon started. Changes nothing. */
  async report(): Promise<Pick<NetworkReport, 'differences' | 'repaired'>> {
    const findings = await findDifferences(this.#parts.audited());
    return {
      differences: findings.map(({ cause, sentence }) => ({ cause, sentence })),
      repaired: Object.fromEntries(this.#repaired),
    };
  }

  #count(cause: Cause): void {
    this.#repaired.set(cause, (this.#repaired.get(cause) ?? 0) + 1);
  }

  /** A link or an address went away, or a link went down or left its bridge. If it is one of ours, all are looked at. */
  onLink(event: LinkEvent): void {
    if (!this.#parts.isReady() || !isMissed(event, this.#parts.audited())) return;
    this.#linksSuspect = true;
    if (this.#checkingLinks) return;
    this.#checkingLinks = true;
    this.#parts.background.run('check-links', async () => {
      try {
        while (this.#linksSuspect && this.#parts.isReady()) {
          this.#linksSuspect = false;
          this.#report('foreign change of links', await this.audit());
        }
      } finally {
        this.#checkingLinks = false;
      }
    });
  }

  /** Somebody else changed packet rules. A change that comes while we look is looked at again. */
  checkRules(): void {
    if (!this.#parts.isReady()) return;
    this.#rulesSuspect = true;
    if (this.#checkingRules) return;
    this.#checkingRules = true;
    this.#parts.background.run('check-rules', async () => {
      try {
        while (this.#rulesSuspect && this.#parts.isReady()) {
          this.#rulesSuspect = false;
          await this.#repairRules();
        }
      } finally {
        this.#checkingRules = false;
      }
    });
  }

  async runPeriodically(periodMs: number, abort: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#parts;
    for (;;) {
      await clock.sleep(periodMs * (0.5 + random.fraction()), { abort });
      if (!this.#parts.isReady()) continue;
      try {
        const found = await this.audit();
        this.#report('periodic audit', found);
        this.#forgetFailuresBut(found.failures);
        this.#connections.review(await tablesOf(this.#parts.audited()));
      } catch (error) {
        log.warn('network audit failed', { reason: sentenceOf(error) });
      }
    }
  }

  async #repairRules(): Promise<void> {
    const repaired = (cause: Cause): void => this.#count(cause);
    this.#report('foreign change of packet rules', await auditRules(this.#parts.audited(), repaired));
  }

  /** What can not be repaired is told once, however often it is looked at, and once that it is over. */
  #report(reason: string, { repairs, failures }: AuditReport): void {
    const { log } = this.#parts;
    if (repairs.length > 0) log.warn('network repaired', { reason, repairs });
    const fresh = failures.filter((sentence) => !this.#failing.has(sentence));
    if (fresh.length > 0) log.warn('network could not be repaired', { reason, failures: fresh });
    for (const sentence of fresh) this.#failing.add(sentence);
  }

  /** After a look at everything. */
  #forgetFailuresBut(failures: readonly string[]): void {
    const over = [...this.#failing].filter((sentence) => !failures.includes(sentence));
    if (over.length > 0) this.#parts.log.info('what could not be repaired is over', { failures: over });
    for (const sentence of over) this.#failing.delete(sentence);
  }
}

/** Is it something that the records count on? What our own changes take away is no longer in them. */
function isMissed({ what, name, index, up, master }: LinkEvent, { networks, instance }: AuditParts): boolean {
  if (what === 'lost') return true;
  if (name === instance.wayLink) return what === 'link-gone' || !up;
  if (what === 'address-gone') return networks.some(({ bridgeIndex }) => bridgeIndex === index);
  if (networks.some(({ bridge }) => bridge?.name === name)) return what === 'link-gone' || !up;
  const isEndpoint = networks.some(({ endpoints }) =>
    [...endpoints.values()].some(({ endpoint }) => endpoint.hostInterfaceName === name),
  );
  return isEndpoint && (what === 'link-gone' || !up || master === 0);
}
