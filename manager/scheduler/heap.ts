// A binary heap: the least first.

export class Heap<T> {
  readonly #items: T[];
  readonly #compare: (a: T, b: T) => number;

  constructor(items: Iterable<T>, compare: (a: T, b: T) => number) {
    this.#items = [...items];
    this.#compare = compare;
    for (let index = (this.#items.length >> 1) - 1; index >= 0; index -= 1) this.#sink(index);
  }

  get size(): number {
    return this.#items.length;
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  pop(): T | undefined {
    const least = this.#items[0];
    const last = this.#items.pop();
    if (last !== undefined && this.#items.length > 0) {
      this.#items[0] = last;
      this.#sink(0);
    }
    return least;
  }

  /** The least has become greater: puts it where it belongs now. */
  settleLeast(): void {
    this.#sink(0);
  }

  #sink(from: number): void {
    const items = this.#items;
    for (let parent = from; ; ) {
      let least = parent;
      for (const child of [2 * parent + 1, 2 * parent + 2]) {
        if (child < items.length && this.#compare(items[child] as T, items[least] as T) < 0) least = child;
      }
      if (least === parent) return;
      [items[parent], items[least]] = [items[least] as T, items[parent] as T];
      parent = least;
    }
  }
}
