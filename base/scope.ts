// Ownership: what was acquired is undone in reverse order, unless the work succeeded and it was handed over.
type Undo = () => unknown;

export class Scope implements AsyncDisposable {
  #undos: Undo[] = [];

  /** Owns a disposable resource and returns it. */
  own<T extends Disposable | AsyncDisposable>(resource: T): T {
    this.#undos.push(() =>
      Symbol.asyncDispose in resource ? resource[Symbol.asyncDispose]() : resource[Symbol.dispose](),
    );
    return resource;
  }

  /** Runs `undo` at the end. */
  defer(undo: Undo): void {
    this.#undos.push(undo);
  }

  /** The work succeeded: everything owned so far moves to the returned scope, whoever holds it. */
  handOver(): Scope {
    const heir = new Scope();
    heir.#undos = this.#undos;
    this.#undos = [];
    return heir;
  }

  /** Undoes everything, last first. All are tried; the first failure is thrown, the rest are its `errors`. */
  async [Symbol.asyncDispose](): Promise<void> {
    const errors: unknown[] = [];
    for (let undo = this.#undos.pop(); undo; undo = this.#undos.pop()) {
      try {
        await undo();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) throw new AggregateError(errors, 'several steps of undoing failed');
  }
}
