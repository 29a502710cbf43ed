// Keeps the kernel at what is wanted: every few seconds all of it, and the packet rules as soon as somebody else
// changed some. What was repaired is logged.
import type { Background } from '../../base/background.ts';
import type { Clock } from '../../base/clock.ts';
import { sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { type AuditParts, type AuditReport, auditKernel } from './audit.ts';
import type { Firewall } from './firewall.ts';

export interface UpkeepParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly background: Background;
  readonly firewall: Firewall;
  readonly audited: () => AuditParts;
  /** Before the containers of an earlier daemon are adopted, there is nothing to compare with. */
  readonly isReady: () => boolean;
}

export class Upkeep {
  readonly #parts: UpkeepParts;
  #auditing: Promise<AuditReport> | undefined;
  #rulesSuspect = false;
  #checkingRules = false;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
  }

  audit(): Promise<AuditReport> {
    this.#auditing ??= auditKernel(this.#parts.audited()).finally(() => {
      this.#auditing = undefined;
    });
    return this.#auditing;
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
        this.#report('periodic audit', await this.audit());
      } catch (error) {
        log.warn('network audit failed', { reason: sentenceOf(error) });
      }
    }
  }

  async #repairRules(): Promise<void> {
    const difference = await this.#parts.firewall.difference();
    if (!difference) return;
    await this.#parts.firewall.rebuild();
    this.#report('foreign change of packet rules', { repairs: [difference], failures: [] });
  }

  #report(reason: string, { repairs, failures }: AuditReport): void {
    if (repairs.length + failures.length > 0) this.#parts.log.warn('network repaired', { reason, repairs, failures });
  }
}
