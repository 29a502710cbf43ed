// Is a history of operations linearizable? Every operation must seem to take effect at one moment between its call and
// its return. Objects (keys) are judged one by one, which is exact: linearizability is local.
// Algorithm: Wing and Gong (1993) with Lowe's memory of configurations already seen (2017).

/** One call of one client. Without `output` nobody knows whether it took effect, then or at any later time. */
export interface Operation<Input, Output> {
  readonly client: number;
  readonly key: string;
  readonly input: Input;
  readonly output?: Output;
  readonly calledAt: number;
  readonly returnedAt: number; // of one whose outcome is not known: when its client gave up, which says nothing
}

/** What one object does, one operation after the other. States are compared by their text. */
export interface Model<Input, Output> {
  readonly initial: string;
  /** The state after it; undefined if this answer can not be given in this state. */
  step(state: string, input: Input, output: Output | undefined): string | undefined;
}

export type Judgement<Input, Output> =
  | { readonly linearizable: true; readonly steps: number }
  | {
      readonly linearizable: false;
      readonly key: string;
      /** `undecided`: the search was given up after its budget; that proves nothing and counts as a failure. */
      readonly because: 'no-order' | 'undecided';
      /** The longest beginning that has an order, and the operation whose answer fits after none. */
      readonly longest: readonly Operation<Input, Output>[];
      readonly stuckAt: Operation<Input, Output> | undefined;
      readonly steps: number;
    };

const STEPS_MAX = 5_000_000;

export function checkLinearizable<Input, Output>(
  history: readonly Operation<Input, Output>[],
  model: Model<Input, Output>,
  options: { stepsMax?: number } = {},
): Judgement<Input, Output> {
  let steps = 0;
  for (const [key, operations] of byKey(history)) {
    const search = new Search(operations, model, options.stepsMax ?? STEPS_MAX);
    const because = search.run();
    steps += search.steps;
    if (because === 'ordered') continue;
    return { linearizable: false, key, because, longest: search.longest, stuckAt: search.stuckAt, steps };
  }
  return { linearizable: true, steps };
}

function byKey<Input, Output>(history: readonly Operation<Input, Output>[]): Map<string, Operation<Input, Output>[]> {
  const keys = new Map<string, Operation<Input, Output>[]>();
  for (const operation of history) {
    if (operation.returnedAt < operation.calledAt) throw new Error('an operation returned before it was called');
    const known = keys.get(operation.key);
    if (known) known.push(operation);
    else keys.set(operation.key, [operation]);
  }
  return keys;
}

/** A call or a return, in a list of those whose operation has no place yet. */
interface Event<Input, Output> {
  readonly operation: Operation<Input, Output>;
  readonly number: number;
  /** Of a call: its return, if it is known. */
  end: Event<Input, Output> | undefined;
  readonly isCall: boolean;
  before: Event<Input, Output> | undefined;
  after: Event<Input, Output> | undefined;
}

class Search<Input, Output> {
  steps = 0;
  longest: Operation<Input, Output>[] = [];
  stuckAt: Operation<Input, Output> | undefined;
  readonly #model: Model<Input, Output>;
  readonly #stepsMax: number;
  readonly #seen = new Set<string>();
  readonly #placed: { event: Event<Input, Output>; stateBefore: string }[] = [];
  #first: Event<Input, Output> | undefined;
  /** Operations with an answer that have no place yet; those without may stay out. */
  #toPlace: number;
  #mask = 0n;

  constructor(operations: readonly Operation<Input, Output>[], model: Model<Input, Output>, stepsMax: number) {
    this.#model = model;
    this.#stepsMax = stepsMax;
    this.#toPlace = operations.filter(isKnown).length;
    this.#first = linked(eventsOf(operations));
  }

  run(): 'ordered' | 'no-order' | 'undecided' {
    let state = this.#model.initial;
    let event = this.#first;
    while (this.#toPlace > 0) {
      this.steps += 1;
      if (this.steps > this.#stepsMax) return 'undecided';
      if (event?.isCall) {
        const next = this.#tryPlace(event, state);
        event = next === undefined ? event.after : this.#first;
        state = next ?? state;
        continue;
      }
      // The return of an operation that must have taken effect by now: the last choice was wrong.
      if (this.#placed.length >= this.longest.length) this.#remember(event);
      const last = this.#placed.pop();
      if (!last) return 'no-order';
      this.#takeBack(last.event);
      state = last.stateBefore;
      event = last.event.after;
    }
    return 'ordered';
  }

  #tryPlace(event: Event<Input, Output>, state: string): string | undefined {
    const { input, output } = event.operation;
    const next = this.#model.step(state, input, output);
    if (next === undefined) return undefined;
    const mask = this.#mask | (1n << BigInt(event.number));
    const configuration = `${mask.toString(36)} ${next}`;
    if (this.#seen.has(configuration)) return undefined;
    this.#seen.add(configuration);
    this.#mask = mask;
    this.#placed.push({ event, stateBefore: state });
    this.#unlink(event);
    if (event.end) {
      this.#unlink(event.end);
      this.#toPlace -= 1;
    }
    return next;
  }

  #takeBack(event: Event<Input, Output>): void {
    this.#mask &= ~(1n << BigInt(event.number));
    if (event.end) {
      this.#link(event.end);
      this.#toPlace += 1;
    }
    this.#link(event);
  }

  #remember(stuckAt: Event<Input, Output> | undefined): void {
    this.longest = this.#placed.map(({ event }) => event.operation);
    this.stuckAt = stuckAt?.operation;
  }

  #unlink(event: Event<Input, Output>): void {
    if (event.before) event.before.after = event.after;
    else this.#first = event.after;
    if (event.after) event.after.before = event.before;
  }

  /** The reverse of `#unlink`, as long as they are undone in reverse order. */
  #link(event: Event<Input, Output>): void {
    if (event.before) event.before.after = event;
    else this.#first = event;
    if (event.after) event.after.before = event;
  }
}

const isKnown = (operation: Operation<unknown, unknown>): boolean => operation.output !== undefined;

function eventsOf<Input, Output>(operations: readonly Operation<Input, Output>[]): Event<Input, Output>[] {
  const timed: { at: number; event: Event<Input, Output> }[] = [];
  for (const [number, operation] of operations.entries()) {
    const common = { operation, number, end: undefined, before: undefined, after: undefined };
    const call: Event<Input, Output> = { ...common, isCall: true };
    timed.push({ at: operation.calledAt, event: call });
    if (!isKnown(operation)) continue;
    call.end = { ...common, isCall: false };
    timed.push({ at: operation.returnedAt, event: call.end });
  }
  // At one and the same moment calls come first: then the two may overlap, which is the milder reading.
  timed.sort((a, b) => a.at - b.at || Number(b.event.isCall) - Number(a.event.isCall));
  return timed.map(({ event }) => event);
}

function linked<Input, Output>(events: readonly Event<Input, Output>[]): Event<Input, Output> | undefined {
  for (const [at, event] of events.entries()) {
    event.before = events[at - 1];
    event.after = events[at + 1];
  }
  return events[0];
}

/** A register that can be read, written, and written if it holds a certain value. */
export type RegisterInput =
  | { readonly kind: 'read' }
  | { readonly kind: 'write'; readonly value: string }
  | { readonly kind: 'compare-and-set'; readonly from: string; readonly to: string };
/** Of a read the value; of a compare-and-set whether it was done; of a write `''`. */
export type RegisterOutput = string | boolean;

export function register(initial: string): Model<RegisterInput, RegisterOutput> {
  return {
    initial,
    step(state, input, output) {
      switch (input.kind) {
        case 'read':
          return output === undefined || output === state ? state : undefined;
        case 'write':
          return input.value;
        case 'compare-and-set': {
          const fits = state === input.from;
          if (output !== undefined && output !== fits) return undefined;
          return fits ? input.to : state;
        }
      }
    },
  };
}
