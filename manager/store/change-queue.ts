// Changes on their way to one reader. A reader that lags gets its backlog as one commit with each object once; one that
// lags further loses it and is told to scan again.
import { CodedError } from '../../base/errors.ts';
import type { Change, ChangeOrResync } from './contract.ts';

export class ChangeQueue {
  readonly #lengthMax: number;
  #changes: Change[] = [];
  #resync = false;
  #wake: (() => void) | undefined;

  constructor(options: { lengthMax: number }) {
    this.#lengthMax = options.lengthMax;
  }

  /** One commit, its last change marked. */
  push(commit: readonly Change[]): void {
    for (const change of commit) this.#changes.push(change);
    if (this.#changes.length > this.#lengthMax) this.#shorten();
    this.#wake?.();
  }

  /** What is queued is void: the reader scans again. */
  resync(): void {
    this.#changes = [];
    this.#resync = true;
    this.#wake?.();
  }

  /** Ends with `aborted` as soon as `abort` fires, whatever is queued: a loop that must stop, stops. */
  async *drain(abort: AbortSignal): AsyncGenerator<ChangeOrResync, void, void> {
    const onAbort = (): void => this.#wake?.();
    abort.addEventListener('abort', onAbort, { once: true });
    try {
      for (;;) {
        for (const change of this.#take()) {
          if (abort.aborted) break;
          yield change;
        }
        if (abort.aborted) throw new CodedError('aborted', 'the watch was ended');
        if (this.#changes.length > 0 || this.#resync) continue;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    } finally {
      abort.removeEventListener('abort', onAbort);
    }
  }

  #take(): readonly ChangeOrResync[] {
    const taken: ChangeOrResync[] = this.#resync ? [{ kind: 'resync' }, ...this.#changes] : this.#changes;
    this.#changes = [];
    this.#resync = false;
    return taken;
  }

  /** Merging must win at least half, or it would be tried again at every push. */
  #shorten(): void {
    this.#changes = coalesce(this.#changes);
    if (this.#changes.length > this.#lengthMax / 2) this.resync();
  }
}

/** Several commits as one: every object once, as it is at the end, `previous` as it was before all of them. */
export function coalesce(changes: readonly Change[]): Change[] {
  const merged = new Map<string, Change>();
  for (const change of changes) {
    const key = `${change.kind}/${change.object.id}`;
    const earlier = merged.get(key);
    merged.delete(key);
    const both = earlier ? merge(earlier, change) : change;
    if (both) merged.set(key, both);
  }
  const all = [...merged.values()];
  return all.map((change, position) => ({ ...change, endsCommit: position === all.length - 1 }));
}

/** Undefined: it came and went. */
function merge(earlier: Change, later: Change): Change | undefined {
  if (earlier.action === 'create') return later.action === 'remove' ? undefined : created(later);
  if (later.action === 'remove') return later;
  const previous = earlier.action === 'remove' ? earlier.object : earlier.previous;
  return { ...later, action: 'update', previous } as Change;
}

function created(change: Change): Change {
  const { previous: _, ...rest } = change;
  return { ...rest, action: 'create' };
}
