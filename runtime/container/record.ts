// What is known of a container and outlives the daemon: config.json says what it is, state.json how it fares.
// Both are replaced whole. They are not flushed at once: a crash of the daemon loses nothing, and after a crash of the
// machine no container runs anyway; RecordFlusher makes a new one durable soon after its creation was answered.
import { readFileSync } from 'node:fs';
import { mkdir, open, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Background } from '../../base/background.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import { CodedError, errnoOf, isDiskFull } from '../../base/errors.ts';
import { removeIfThere } from '../../base/files.ts';
import { asArray, asObject, asOneOf, asString, type Json, parseJson } from '../../base/parse.ts';
import type { Note } from '../native/contract.ts';
import type { Endpoint } from '../network/contract.ts';
import type { ContainerConfig, ContainerInfo, ContainerMount, ContainerState, HealthState } from './contract.ts';

export type MountPoint = ContainerInfo['mounts'][number] &
  Pick<ContainerMount, 'subpath' | 'below'> & { readonly tmpfsOptions: string };

export interface ContainerRecord {
  readonly id: string;
  readonly name: string;
  readonly createdAtMs: number;
  readonly imageId: string;
  readonly imageReference: string;
  readonly layers: readonly string[]; // chain ids
  readonly config: ContainerConfig;
  readonly args: readonly string[];
  readonly mounts: readonly MountPoint[];
  readonly appArmorProfile?: string;
}

export interface ContainerStatus {
  readonly state: ContainerState;
  readonly pid: number;
  readonly exitCode: number;
  readonly error: string;
  readonly oomKilled: boolean;
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  readonly restartCount: number;
  /** Stopped by a person: no restart policy brings it back, except `always` when the daemon starts. */
  readonly stoppedByHand: boolean;
  readonly health: HealthState | undefined;
  readonly endpoints: readonly Endpoint[];
  /** Of the network namespace, also while it is in no network; '' the machine's, or another container's. */
  readonly sandboxPath: string;
}

export const NEW_STATUS: ContainerStatus = {
  state: 'created',
  pid: 0,
  exitCode: 0,
  error: '',
  oomKilled: false,
  startedAtMs: 0,
  finishedAtMs: 0,
  restartCount: 0,
  stoppedByHand: false,
  health: undefined,
  endpoints: [],
  sandboxPath: '',
};

const CONFIG = 'config.json';
const STATUS = 'state.json';
const STATES = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'] as const;

export async function writeRecord(directory: string, record: ContainerRecord): Promise<void> {
  await replace(directory, CONFIG, JSON.stringify(record));
}

export async function writeStatus(directory: string, status: ContainerStatus): Promise<void> {
  await replace(directory, STATUS, JSON.stringify(status));
}

/** The same, for a shim to write. */
export const noteOfStatus = (status: ContainerStatus): Note => ({ name: STATUS, text: JSON.stringify(status) });

async function replace(directory: string, name: string, content: string): Promise<void> {
  const temporary = temporaryOf(directory, name);
  const path = join(directory, name);
  try {
    await writeFile(temporary, content, { mode: 0o600 });
    await rename(temporary, path);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    await removeIfThere(temporary);
    await overwrite(path, Buffer.from(content)).catch(() => Promise.reject(error as Error));
  }
}

/**
 * On a full disk what fits into the old file's blocks can still be written: who stops or removes containers to make room
 * must be able to. One write of less than a page, filled up with spaces, so that no half of it is ever read.
 */
async function overwrite(path: string, content: Buffer): Promise<void> {
  await using file = await open(path, 'r+');
  const { size } = await file.stat();
  await file.write(Buffer.concat([content, Buffer.alloc(Math.max(0, size - content.length), ' ')]), 0, null, 0);
}

const FLUSH_DELAY_MS = 500;

/** Makes new records durable soon after, one at a time: flushing is slow and must not hold up other work on files. */
export class RecordFlusher {
  readonly #waiting = new Set<string>();
  #timer: Timer | undefined;
  readonly #parts: { readonly clock: Clock; readonly background: Background };

  constructor(parts: { readonly clock: Clock; readonly background: Background }) {
    this.#parts = parts;
  }

  later(directory: string): void {
    this.#waiting.add(directory);
    this.#timer ??= this.#parts.clock.after(FLUSH_DELAY_MS, () => {
      this.#timer = undefined;
      this.#parts.background.run('flush records', () => this.flush());
    });
  }

  async flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const directory of this.#waiting) {
      this.#waiting.delete(directory);
      await flushRecord(directory);
    }
  }
}

/** A container that was removed meanwhile needs nothing. */
async function flushRecord(directory: string): Promise<void> {
  try {
    await using file = await open(join(directory, CONFIG), 'r');
    await file.sync();
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}

/**
 * Undefined for a folder without a record: its making was interrupted. At once: only a daemon that begins reads records,
 * all of them, and has nothing else to do.
 */
export function readRecord(directory: string): { record: ContainerRecord; status: ContainerStatus } | undefined {
  const config = readOrNone(join(directory, CONFIG));
  if (config === undefined) return undefined;
  const status = readOrNone(join(directory, STATUS));
  return { record: parseRecord(config), status: status === undefined ? NEW_STATUS : parseStatus(status) };
}

function readOrNone(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw new CodedError('internal', `reading ${path}`, { cause: error });
  }
}

/** Our own file, guarded by the folder's format number: what every use relies on is checked, the rest is taken as written. */
function parseRecord(text: string): ContainerRecord {
  const json = asObject(parseJson(text, CONFIG), CONFIG);
  for (const field of ['id', 'name', 'imageId', 'imageReference']) asString(json[field], field);
  for (const field of ['layers', 'args']) asArray(json[field], field, asString);
  asArray(json['mounts'], 'mounts', asObject);
  const config = asObject(json['config'], 'config');
  for (const field of ['limits', 'restart', 'logDriver', 'labels', 'asRequested'])
    asObject(config[field], `config.${field}`);
  for (const field of ['env', 'mounts', 'publish']) asArray(config[field], `config.${field}`, (value) => value);
  return restoreAbsent(json) as unknown as ContainerRecord;
}

/** JSON leaves undefined out; readers of the record expect the keys. */
function restoreAbsent(json: Json): Json {
  const config = asObject(json['config'], 'config');
  const { entrypoint, command, healthCheck } = config;
  return { ...json, config: { ...config, entrypoint, command, healthCheck } };
}

function parseStatus(text: string): ContainerStatus {
  const json = asObject(parseJson(text, STATUS), STATUS);
  asOneOf(json['state'], 'state', STATES);
  // Written before containers could be in several networks.
  const { endpoint, ...rest } = json;
  const first = endpoint as Endpoint | undefined;
  const places = first ? { endpoints: [first], sandboxPath: first.sandboxPath } : {};
  return { ...NEW_STATUS, ...places, ...rest };
}

/** All but the record's name: until `finishRecord` gives it that, the folder is one whose making was interrupted. */
export async function makeContainerFolders(directory: string, record: ContainerRecord): Promise<void> {
  await mkdir(directory, { mode: 0o710 });
  await Promise.all([
    mkdir(join(directory, 'upper'), { mode: 0o755 }),
    mkdir(join(directory, 'work'), { mode: 0o700 }),
    writeFile(temporaryOf(directory, CONFIG), JSON.stringify(record), { mode: 0o600 }),
  ]);
}

export function finishRecord(directory: string): Promise<void> {
  return rename(temporaryOf(directory, CONFIG), join(directory, CONFIG));
}

const temporaryOf = (directory: string, name: string): string => join(directory, `.${name}`);
