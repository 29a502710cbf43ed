// Keeps the kernel's nf_tables at the wanted ruleset. One transaction is in flight; changes that come meanwhile are
// gathered into the next.
// Invariant: `#applied` is what our last successful transaction left, or undefined when that is not known.
import { type CodedError, sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { type Netd, StepError } from './netd.ts';
import { NETLINK_NETFILTER } from './netd-protocol.ts';
import { describeDifferences, readTable } from './ruleset-audit.ts';
import { HOOK_TABLE, planHook } from './hook-table.ts';
import { listRules, listTables } from './nft-read.ts';
import { emptyRuleset, planChange, planRemoval, planReplacement, type Ruleset } from './ruleset.ts';

export class Firewall {
  readonly #netd: () => Netd;
  readonly #table: string;
  readonly #log: Log;
  #wanted: Ruleset = emptyRuleset;
  #applied: Ruleset | undefined;
  #inFlight: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(options: { netd: () => Netd; table: string; log: Log }) {
    this.#netd = options.netd;
    this.#table = options.table;
    this.#log = options.log;
  }

  get wanted(): Ruleset {
    return this.#wanted;
  }

  /** Changes what is wanted; the kernel gets it with the next `set` or `sync`. */
  prepare(edit: (wanted: Ruleset) => Ruleset): void {
    this.#wanted = edit(this.#wanted);
  }

  /** Resolves when the kernel has this ruleset or a later one. A caller whose edit is refused must take it back. */
  async set(edit: (wanted: Ruleset) => Ruleset): Promise<void> {
    this.#wanted = edit(this.#wanted);
    await this.sync();
  }

  /** Brings the kernel to what is wanted now. */
  sync(): Promise<void> {
    if (!this.#inFlight) {
      this.#inFlight = this.#apply().finally(() => {
        this.#inFlight = undefined;
      });
      return this.#inFlight;
    }
    this.#next ??= this.#afterCurrent();
    return this.#next;
  }

  /** Somebody else changed our table, or may have: replace all of it. */
  async rebuild(): Promise<void> {
    this.#applied = undefined;
    await this.sync();
  }

  /** How the kernel's table differs from what we last put there; none: not at all, or nothing was put there. */
  async differences(): Promise<readonly string[]> {
    await this.#inFlight?.catch(() => undefined);
    const applied = this.#applied;
    if (!applied) return [];
    const found = await readTable(this.#netd(), this.#table);
    if (this.#applied !== applied || this.#inFlight) return []; // changed while we looked: next time
    return describeDifferences(applied, found);
  }

  async remove(): Promise<void> {
    await this.#inFlight?.catch(() => undefined);
    this.#applied = undefined;
    this.#wanted = emptyRuleset;
    await this.#netd().exchange('removing the packet rules', NETLINK_NETFILTER, planRemoval(this.#table));
    await this.#removeHook();
  }

  /** The administrator's table goes with the last of our daemons, unless there are rules in it. */
  async #removeHook(): Promise<void> {
    const ask = (request: Buffer): Promise<Buffer> =>
      this.#netd().exchange('listing nf_tables', NETLINK_NETFILTER, request);
    const tables = listTables.read(await ask(listTables.request()));
    if (!tables.includes(HOOK_TABLE) || tables.some((name) => name.startsWith('shoal_'))) return;
    const rows = listRules.read(await ask(listRules.request(HOOK_TABLE)), HOOK_TABLE);
    if (rows.length === 0) await ask(planRemoval(HOOK_TABLE));
  }

  async #afterCurrent(): Promise<void> {
    await this.#inFlight?.catch(() => undefined);
    this.#next = undefined;
    await this.sync();
  }

  async #apply(): Promise<void> {
    const wanted = this.#wanted;
    if (this.#applied) {
      const change = planChange(this.#table, this.#applied, wanted);
      if (!change) return;
      const refused = await this.#send(change);
      if (!refused) {
        this.#applied = wanted;
        return;
      }
      this.#log.warn('packet rules are rebuilt', { table: this.#table, reason: sentenceOf(refused) });
    }
    this.#applied = undefined;
    const refused = (await this.#send(planHook())) ?? (await this.#send(planReplacement(this.#table, wanted)));
    if (refused) throw refused;
    this.#applied = wanted;
  }

  /** The kernel's refusal; other failures are thrown. */
  async #send(messages: Buffer): Promise<CodedError | undefined> {
    try {
      await this.#netd().exchange('changing the packet rules', NETLINK_NETFILTER, messages);
      return undefined;
    } catch (error) {
      this.#applied = undefined;
      if (error instanceof StepError) return error;
      throw error;
    }
  }
}
