// Which networks of the cluster this machine is ready for. A task may be told of a moment before its network is there.
import { CodedError } from '../../base/errors.ts';

/** The managers tell of a network together with the task. */
const WITHIN_MS = 30_000;

export class KnownNetworks {
  readonly #known = new Set<string>();
  readonly #refused = new Map<string, string>();
  readonly #waiters = new Set<() => void>();

  add(id: string): void {
    this.#refused.delete(id);
    this.#known.add(id);
    for (const look of [...this.#waiters]) look();
  }

  delete(id: string): void {
    this.#refused.delete(id);
    this.#known.delete(id);
  }

  /** This machine can not carry it; whoever waits for it is told why. */
  refuse(id: string, reason: string): void {
    this.#refused.set(id, reason);
    for (const look of [...this.#waiters]) look();
  }

  /** Resolves once all of them are there; the task waits, and says that it is preparing. */
  async have(ids: readonly string[], abort: AbortSignal): Promise<void> {
    const isReady = (): boolean => ids.every((id) => this.#known.has(id));
    const refusal = (): CodedError | undefined => {
      const reason = ids.map((id) => this.#refused.get(id)).find((each) => each !== undefined);
      return reason === undefined ? undefined : new CodedError('not-implemented', reason);
    };
    if (isReady()) return;
    const refused = refusal();
    if (refused) throw refused;
    const late = AbortSignal.timeout(WITHIN_MS);
    await new Promise<void>((resolve, reject) => {
      const end = (): void => {
        this.#waiters.delete(look);
        abort.removeEventListener('abort', onAbort);
        late.removeEventListener('abort', onLate);
      };
      const look = (): void => {
        const why = refusal();
        if (!why && !isReady()) return;
        end();
        if (why) reject(why);
        else resolve();
      };
      const onAbort = (): void => {
        end();
        reject(new CodedError('aborted', 'no longer waited for'));
      };
      const onLate = (): void => {
        end();
        const missing = ids.filter((id) => !this.#known.has(id)).join(', ');
        reject(new CodedError('deadline', `network ${missing} was not ready within ${WITHIN_MS / 1000} s`));
      };
      if (abort.aborted) return onAbort();
      this.#waiters.add(look);
      abort.addEventListener('abort', onAbort, { once: true });
      late.addEventListener('abort', onLate, { once: true });
    });
  }
}
