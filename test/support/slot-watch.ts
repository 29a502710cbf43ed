// Watches every commit for what must always hold of slots and states.
import assert from 'node:assert/strict';
import { codeOf } from '../../base/errors.ts';
import { slotKey } from '../../manager/store/kinds.ts';
import type { Store } from '../../manager/store/contract.ts';
import type { Task } from '../../proto/objects.ts';
import { DESIRED_STATE, TASK_STATE } from '../../proto/task-state.ts';

export class SlotWatch {
  readonly #store: Store;
  readonly #over = new AbortController();
  readonly #broken: string[] = [];
  readonly #tasks = new Map<string, Task>();
  readonly #slots = new Map<string, Set<string>>();
  /** Two tasks of a slot may be wanted to run while a start-first successor comes up. */
  overlapAllowed = false;

  constructor(store: Store) {
    this.#store = store;
    void this.#follow();
  }

  check(): void {
    assert.deepEqual(this.#broken, []);
  }

  stop(): void {
    this.#over.abort();
  }

  async #follow(): Promise<void> {
    const { changes } = this.#store.viewAndWatch(['task'], { abort: this.#over.signal });
    const touched = new Set<string>();
    try {
      for await (const change of changes) {
        if (change.kind !== 'task') continue;
        const key = slotKey(change.object.serviceId, change.object.identity);
        this.#note(key, change.action === 'remove' ? undefined : change.object, change.object.id);
        touched.add(key);
        if (!change.endsCommit) continue;
        for (const each of touched) this.#checkSlot(each);
        touched.clear();
      }
    } catch (error) {
      if (codeOf(error) !== 'aborted') throw error;
    }
  }

  #note(key: string, task: Task | undefined, id: string): void {
    const before = this.#tasks.get(id);
    const ids = this.#slots.get(key) ?? new Set();
    this.#slots.set(key, ids);
    if (!task) {
      this.#tasks.delete(id);
      ids.delete(id);
      return;
    }
    this.#tasks.set(id, task);
    ids.add(id);
    if (!before) return;
    if (TASK_STATE[task.status.state] < TASK_STATE[before.status.state]) this.#broken.push(`${id} fell back`);
    if (DESIRED_STATE[task.desired] < DESIRED_STATE[before.desired]) this.#broken.push(`${id} is wanted again`);
  }

  #checkSlot(key: string): void {
    const wanted = [...(this.#slots.get(key) ?? [])].filter((id) => this.#tasks.get(id)?.desired === 'running');
    const most = this.overlapAllowed ? 2 : 1;
    if (wanted.length > most) this.#broken.push(`slot ${key} has ${wanted.length} tasks that are to run`);
  }
}
