// `service logs` and `task logs`: one stream from each task's node, merged. A node that cannot answer costs one line on
// stderr, never a wait. Without follow the lines come in order of time; with it, as they arrive, and tasks that appear
// later join in.
import { BoundedQueue } from '../../base/bounded-queue.ts';
import type { Clock } from '../../base/clock.ts';
import { CodedError, codeOf, fail, sentenceOf } from '../../base/errors.ts';
import { encodeJson } from '../../proto/assignment.ts';
import type { LogOptions, LogSelector, TaskLogLine } from '../../proto/control.ts';
import { LogRecordReader } from '../../proto/log-record.ts';
import type { NodeId, Service, Task } from '../../proto/objects.ts';
import { TASK_STATE } from '../../proto/task-state.ts';
import type { Store } from '../store/contract.ts';
import type { Streams } from './streams.ts';

export interface LogBrokerDeps {
  readonly store: Store;
  readonly streams: Pick<Streams, 'open'>;
  readonly clock: Clock;
}

type Placed = Task & { readonly nodeId: NodeId };

/** Lines that are read ahead of a slow reader, over all tasks. */
const AHEAD_MAX = 1_000;

export class LogBroker {
  readonly #deps: LogBrokerDeps;

  constructor(deps: LogBrokerDeps) {
    this.#deps = deps;
  }

  logs(selector: LogSelector, options: LogOptions, abort: AbortSignal): AsyncIterable<TaskLogLine> {
    const selected = this.#selection(selector);
    return options.follow ? this.#follow(selected, options, abort) : this.#merge(selected(), options, abort);
  }

  /** Resolves the names once, so that a wrong one fails before the first line. */
  #selection({ service, task }: LogSelector): () => readonly Placed[] {
    const { store } = this.#deps;
    if (task !== undefined) {
      const { id } = findTask(store, task);
      return () => [store.view().tasks.get(id)].filter(isPlaced);
    }
    const { id } = findService(store, service ?? fail('invalid', 'logs of which service or task?'));
    return () => store.view().tasks.ofService(id).filter(isPlaced);
  }

  async *#merge(tasks: readonly Placed[], options: LogOptions, abort: AbortSignal): AsyncGenerator<TaskLogLine> {
    const warnings: TaskLogLine[] = [];
    const heads: { line: TaskLogLine; lines: AsyncIterator<TaskLogLine> }[] = [];
    const advance = async (lines: AsyncIterator<TaskLogLine>): Promise<void> => {
      const next = await lines.next();
      if (!next.done) heads.push({ line: next.value, lines });
    };
    await Promise.all(tasks.map((task) => advance(this.#linesOf(task, options, abort, (line) => warnings.push(line)))));
    while (heads.length > 0) {
      const first = heads.reduce((a, b) => (b.line.timestamp < a.line.timestamp ? b : a));
      heads.splice(heads.indexOf(first), 1);
      yield first.line;
      await advance(first.lines);
    }
    yield* warnings;
  }

  async *#follow(
    selected: () => readonly Placed[],
    options: LogOptions,
    abort: AbortSignal,
  ): AsyncGenerator<TaskLogLine> {
    const over = new AbortController();
    const signal = AbortSignal.any([abort, over.signal]);
    const lines = new Merge<TaskLogLine>(AHEAD_MAX);
    const known = new Set<string>();
    const admit = (opened: LogOptions): void => {
      for (const task of selected()) {
        if (known.has(task.id)) continue;
        known.add(task.id);
        void lines.pour(this.#linesOf(task, opened, signal, (line) => lines.offer(line)));
      }
    };
    // Subscribed before the first look, so that no task falls between the two.
    const { changes } = this.#deps.store.viewAndWatch(['task'], { abort: signal });
    admit(options);
    const { tailLines: _tailLines, ...whole } = options;
    const watching = (async () => {
      for await (const _change of changes) admit(whole);
    })().catch(() => lines.end());
    try {
      yield* lines.drain(signal);
    } finally {
      over.abort(new CodedError('aborted', 'the reader went away'));
      await watching;
    }
  }

  async *#linesOf(
    task: Placed,
    options: LogOptions,
    abort: AbortSignal,
    warn: (line: TaskLogLine) => void,
  ): AsyncGenerator<TaskLogLine> {
    const reader = new LogRecordReader();
    const about = { serviceId: task.serviceId, taskId: task.id, nodeId: task.nodeId };
    try {
      this.#refuseIfDown(task.nodeId);
      const request = { nodeId: task.nodeId, kind: 'logs', taskId: task.id, caller: '' } as const;
      for await (const chunk of this.#deps.streams.open({ ...request, request: encodeJson(options) }, abort)) {
        for (const record of reader.read(chunk)) yield { ...about, ...record };
      }
    } catch (error) {
      if (abort.aborted || codeOf(error) === 'not-found') return;
      const timestamp = new Date(this.#deps.clock.nowMs()).toISOString();
      const text = `warning: incomplete log stream: task ${task.id} on node ${task.nodeId}: ${sentenceOf(error)}\n`;
      warn({ ...about, stream: 'stderr', timestamp, bytes: Buffer.from(text) });
    }
  }

  #refuseIfDown(nodeId: NodeId): void {
    const node = this.#deps.store.view().nodes.get(nodeId);
    if (!node) fail('unavailable', 'the node was removed from the cluster');
    if (node.status.state === 'down') fail('unavailable', 'the node is down');
  }
}

/** Several sources into one reader; a source waits while `aheadMax` items are unread. */
class Merge<T> {
  readonly #queue: BoundedQueue<T>;
  readonly #aheadMax: number;
  #room: (() => void)[] = [];

  constructor(aheadMax: number) {
    this.#aheadMax = aheadMax;
    this.#queue = new BoundedQueue<T>({ lengthMax: aheadMax * 2, whenFull: 'drop-and-resync' });
  }

  async pour(source: AsyncIterable<T>): Promise<void> {
    for await (const item of source) {
      while (this.#queue.length >= this.#aheadMax) await new Promise<void>((resolve) => this.#room.push(resolve));
      this.#queue.push(item);
    }
  }

  /** For the odd item that may be lost when the reader is far behind. */
  offer(item: T): void {
    if (this.#queue.length < this.#aheadMax) this.#queue.push(item);
  }

  end(): void {
    this.#queue.end();
  }

  async *drain(abort: AbortSignal): AsyncGenerator<T, void, void> {
    try {
      for await (const item of this.#queue.drain(abort)) {
        if (item !== 'resync') yield item;
        for (const wake of this.#room.splice(0)) wake();
      }
    } finally {
      for (const wake of this.#room.splice(0)) wake();
    }
  }
}

function isPlaced(task: Task | undefined): task is Placed {
  return task?.nodeId !== undefined && TASK_STATE[task.status.state] >= TASK_STATE.assigned;
}

function findService(store: Store, name: string): Service {
  const { services } = store.view();
  const [only, ...more] = services.byIdPrefix(name);
  const found = services.get(name) ?? services.byName(name) ?? (more.length === 0 ? only : undefined);
  return found ?? fail('not-found', `service ${name} not found`);
}

function findTask(store: Store, name: string): Task {
  const { tasks } = store.view();
  const [only, ...more] = tasks.byIdPrefix(name);
  return tasks.get(name) ?? (more.length === 0 ? only : undefined) ?? fail('not-found', `task ${name} not found`);
}
