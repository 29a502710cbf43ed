// Simulated time: a queue of events by time, then by order of arrival.
interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

export class Events {
  #heap: Event[] = [];
  #order = 0;
  nowMs = 0;

  get size(): number {
    return this.#heap.length;
  }

  after(ms: number, run: () => void): void {
    this.#order += 1;
    this.#heap.push({ atMs: this.nowMs + Math.max(0, ms), order: this.#order, run });
    this.#up(this.#heap.length - 1);
  }

  /** Runs the next event; false if there is none. */
  step(): boolean {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (!first || !last) return false;
    if (last !== first) {
      this.#heap[0] = last;
      this.#down(0);
    }
    this.nowMs = first.atMs;
    first.run();
    return true;
  }

  #before(a: number, b: number): boolean {
    const [x, y] = [this.#heap[a], this.#heap[b]];
    if (!x || !y) return false;
    return x.atMs < y.atMs || (x.atMs === y.atMs && x.order < y.order);
  }

  #up(from: number): void {
    let at = from;
    while (at > 0 && this.#before(at, (at - 1) >> 1)) at = this.#swap(at, (at - 1) >> 1);
  }

  #down(from: number): void {
    let at = from;
    for (;;) {
      const left = 2 * at + 1;
      const child = this.#before(left + 1, left) ? left + 1 : left;
      if (!this.#before(child, at)) return;
      at = this.#swap(at, child);
    }
  }

  #swap(a: number, b: number): number {
    const [x, y] = [this.#heap[a], this.#heap[b]];
    if (x && y) {
      this.#heap[a] = y;
      this.#heap[b] = x;
    }
    return b;
  }
}
