// What the agent remembers over its own restart: tasks and their states, ingress, managers, its session. Written whole
// and atomically, a little behind the facts: the containers themselves are the last authority on what runs.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { CodedError, errnoOf, fail } from '../base/errors.ts';
import { writeFileAtomic } from '../base/files.ts';
import type { Log } from '../base/log.ts';
import { Mutex } from '../base/mutex.ts';
import { asArray, asInteger, asObject, asString, optional, parseJson } from '../base/parse.ts';
import {
  type IngressEntry,
  parseIngress,
  parsePeer,
  parseStatus,
  parseTask,
  type PeerEntry,
} from '../proto/assignment.ts';
import type { Task, TaskStatus } from '../proto/objects.ts';

export interface AgentMemory {
  readonly appliedIndex: number;
  readonly sessionId: string; // '' before the first session
  readonly managers: readonly string[];
  readonly tasks: readonly { readonly task: Task; readonly status: TaskStatus }[];
  readonly ingress: readonly IngressEntry[];
  readonly peers: readonly PeerEntry[];
}

export const EMPTY_MEMORY: AgentMemory = {
  appliedIndex: 0,
  sessionId: '',
  managers: [],
  tasks: [],
  ingress: [],
  peers: [],
};

const FORMAT = 1;
const WRITE_EVERY_MS = 250;

export class LocalDb {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Log;
  #read: () => AgentMemory = () => EMPTY_MEMORY;
  #dirty = false;
  #writing: Promise<void> | undefined;
  readonly #turn = new Mutex(); // writes follow one another

  constructor(options: { directory: string; clock: Clock; log: Log }) {
    this.#path = join(options.directory, 'agent.json');
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /** What was last written; empty when there is nothing. A newer format is refused. */
  async load(): Promise<AgentMemory> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return EMPTY_MEMORY;
      throw error;
    }
    return parseMemory(text, this.#path);
  }

  /** Where the present state is read from whenever it is time to write. */
  keep(read: () => AgentMemory): void {
    this.#read = read;
  }

  /** Something changed: it will be on disk soon. */
  touch(): void {
    this.#dirty = true;
    this.#writing ??= this.#writeSoon();
  }

  /** Writes what is not written yet. */
  async flush(): Promise<void> {
    await this.#writing;
    if (this.#dirty) await this.#write();
  }

  async #writeSoon(): Promise<void> {
    try {
      await this.#clock.sleep(WRITE_EVERY_MS);
      if (this.#dirty) await this.#write();
    } catch (error) {
      this.#log.error('the agent can not write its state', { path: this.#path, error });
    } finally {
      this.#writing = undefined;
      if (this.#dirty) this.touch();
    }
  }

  #write(): Promise<void> {
    return this.#turn.run(() => this.#replace());
  }

  async #replace(): Promise<void> {
    this.#dirty = false;
    try {
      await writeFileAtomic(this.#path, JSON.stringify({ format: FORMAT, ...this.#read() }));
    } catch (cause) {
      throw new CodedError('internal', `writing ${this.#path}`, { cause });
    }
  }
}

function parseMemory(text: string, path: string): AgentMemory {
  const json = asObject(parseJson(text, path), path);
  const format = asInteger(json['format'], 'format');
  if (format > FORMAT) fail('conflict', `${path} has format ${format}; this version reads up to ${FORMAT}`);
  const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
  const peers = optional(json['peers'], 'peers', (list, at) => asArray(list, at, (value) => parsePeer(bytes(value))));
  return {
    // An earlier version kept no nodes: the managers are to tell everything again.
    appliedIndex: peers ? asInteger(json['appliedIndex'], 'appliedIndex', { min: 0 }) : 0,
    sessionId: asString(json['sessionId'], 'sessionId'),
    managers: asArray(json['managers'], 'managers', asString),
    tasks: asArray(json['tasks'], 'tasks', (value, at) => {
      const entry = asObject(value, at);
      return { task: parseTask(bytes(entry['task'])), status: parseStatus(bytes(entry['status'])) };
    }),
    ingress: asArray(json['ingress'], 'ingress', (value) => parseIngress(bytes(value))),
    peers: peers ?? [],
  };
}
