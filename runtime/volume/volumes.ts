// Named volumes of the `local` driver: <root>/<name>/_data and a record beside it. A volume exists once its record does.
// One with options has a file system of its own there, while somebody needs it: volume-mounts.ts.
import { mkdir, readdir, readFile, realpath, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { errnoOf, fail } from '../../base/errors.ts';
import { writeFileAtomic } from '../../base/files.ts';
import { openFormat } from '../../base/format-file.ts';
import { newHexId } from '../../base/id.ts';
import type { Log } from '../../base/log.ts';
import { Mutex } from '../../base/mutex.ts';
import { asBoolean, asMap, asNumber, asObject, asString, parseJson } from '../../base/parse.ts';
import type { Random } from '../../base/random.ts';
import { type VolumeMounter, VolumeMounts } from './volume-mounts.ts';
import { checkOptions, needsMount } from './volume-options.ts';

export interface Volume {
  readonly name: string;
  readonly driver: string;
  readonly mountpoint: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  readonly createdAtMs: number;
  readonly anonymous: boolean;
}

export interface VolumeRequest {
  readonly name: string; // '' chosen: 64 hex digits
  readonly driver: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  readonly anonymous?: boolean;
}

export interface VolumeOptions {
  readonly root: string; // <data-root>/volumes
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Bytes of the files below a folder. */
  readonly sizeOf: (folder: string) => Promise<number>;
  /** Of containers' making, so of any depth; it must not leave the file system, nor follow a link. */
  readonly removeFolder: (folder: string) => Promise<void>;
  readonly mounter: VolumeMounter;
  readonly onEvent: (action: string, name: string, attributes: Readonly<Record<string, string>>) => void;
}

const FORMAT = 1;
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
const RECORD = 'volume.json';

export class VolumeStore {
  readonly #volumes = new Map<string, Volume>();
  readonly #users = new Map<string, Set<string>>(); // name → container ids
  readonly #mutex = new Mutex();
  readonly #options: VolumeOptions;
  readonly #mounts: VolumeMounts;
  readonly #mountRoot: string; // the root as the kernel names it

  private constructor(options: VolumeOptions, mountRoot: string) {
    this.#options = options;
    this.#mounts = new VolumeMounts(options.mounter);
    this.#mountRoot = mountRoot;
  }

  static async open(options: VolumeOptions): Promise<VolumeStore> {
    await openFormat(options.root, FORMAT, 0o701);
    const store = new VolumeStore(options, await realpath(options.root));
    for (const entry of await readdir(options.root, { withFileTypes: true })) {
      if (entry.isDirectory()) await store.#restore(entry.name);
    }
    return store;
  }

  list(): readonly (Volume & { usedBy: readonly string[] })[] {
    return [...this.#volumes.values()].map((volume) => this.#shown(volume));
  }

  get(name: string): Volume & { usedBy: readonly string[] } {
    return this.#shown(this.#volumes.get(name) ?? fail('not-found', `get ${name}: no such volume`));
  }

  find(name: string): Volume | undefined {
    return this.#volumes.get(name);
  }

  usersOf(name: string): readonly string[] {
    return [...(this.#users.get(name) ?? [])];
  }

  /** As Docker: an existing volume of that name is the answer, unless it has another driver. */
  create(request: VolumeRequest): Promise<Volume & { usedBy: readonly string[] }> {
    return this.#mutex.run(async () => {
      check(request);
      const known = this.#volumes.get(request.name);
      if (known) return this.#shown(known);
      checkOptions(request.name, request.options);
      const anonymous = request.anonymous ?? request.name === '';
      const name = request.name === '' ? newHexId(this.#options.random) : request.name;
      const volume = await this.#write({ ...request, name, driver: 'local', anonymous });
      this.#options.onEvent('create', name, { driver: 'local' });
      return this.#shown(volume);
    });
  }

  async remove(name: string, choice: { force: boolean }): Promise<void> {
    const doomed = await this.#mutex.run(() => this.#takeOut(name, choice));
    if (doomed === undefined) return;
    await this.#options.removeFolder(doomed); // others need not wait for it
    this.#options.onEvent('destroy', name, { driver: 'local' });
  }

  /** Where its folder waits to be deleted; undefined when it was not there. */
  async #takeOut(name: string, { force }: { force: boolean }): Promise<string | undefined> {
    const volume = this.#volumes.get(name);
    if (!volume && force) return undefined;
    if (!volume) fail('not-found', `get ${name}: no such volume`);
    const users = [...(this.#users.get(name) ?? [])];
    if (users.length > 0) fail('conflict', `remove ${name}: volume is in use - [${users.join(', ')}]`);
    await this.#mounts.forget(this.#mountTarget(volume), join(this.#mountRoot, name));
    // Renamed first: a crash leaves no half of a volume under its name.
    const doomed = join(this.#options.root, `.${newHexId(this.#options.random).slice(0, 16)}`);
    await rename(join(this.#options.root, name), doomed);
    this.#volumes.delete(name);
    return doomed;
  }

  async sizeBytes(name: string): Promise<number> {
    return await this.#options.sizeOf(this.get(name).mountpoint);
  }

  /** The container keeps the volume from being removed until it releases it. */
  use(name: string, containerId: string): void {
    const users = this.#users.get(name) ?? new Set();
    this.#users.set(name, users.add(containerId));
  }

  release(name: string, containerId: string): void {
    const users = this.#users.get(name);
    users?.delete(containerId);
    if (users?.size === 0) this.#users.delete(name);
  }

  /** What its options name is mounted until `unmountFor` of everybody who asked; most volumes have nothing to mount. */
  async mountFor(name: string, holder: string): Promise<void> {
    const volume = this.#mountable(name);
    if (volume) await this.#mounts.hold(this.#mountTarget(volume), volume.options, holder);
  }

  async unmountFor(name: string, holder: string): Promise<void> {
    const volume = this.#mountable(name);
    if (volume) await this.#mounts.drop(this.#mountTarget(volume), holder);
  }

  /** As `mountFor`, of one whose container an earlier daemon started. */
  noteMounted(name: string, holder: string): void {
    const volume = this.#mountable(name);
    if (volume) this.#mounts.noteHeld(this.#mountTarget(volume), holder);
  }

  /** Once all containers of an earlier daemon are known. */
  async unmountUnused(): Promise<void> {
    const mountable = [...this.#volumes.values()].filter(({ options }) => needsMount(options));
    if (mountable.length > 0) await this.#mounts.dropUnheld(mountable.map((volume) => this.#mountTarget(volume)));
  }

  needsMount(name: string): boolean {
    return this.#mountable(name) !== undefined;
  }

  #mountable(name: string): Volume | undefined {
    const volume = this.#volumes.get(name);
    return volume && needsMount(volume.options) ? volume : undefined;
  }

  #mountTarget({ name }: Volume): string {
    return join(this.#mountRoot, name, '_data');
  }

  #shown(volume: Volume): Volume & { usedBy: readonly string[] } {
    return { ...volume, usedBy: [...(this.#users.get(volume.name) ?? [])] };
  }

  async #write(request: VolumeRequest & { name: string; anonymous: boolean }): Promise<Volume> {
    const { root, clock } = this.#options;
    const directory = join(root, request.name);
    const mountpoint = join(directory, '_data');
    await mkdir(directory, { recursive: true, mode: 0o701 });
    await mkdir(mountpoint, { recursive: true, mode: 0o755 });
    const { name, driver, labels, options, anonymous } = request;
    const volume = { name, driver, labels, options, anonymous, createdAtMs: Math.round(clock.nowMs()), mountpoint };
    await writeFileAtomic(join(directory, RECORD), JSON.stringify(volume));
    this.#volumes.set(name, volume);
    return volume;
  }

  async #restore(name: string): Promise<void> {
    const { root, log } = this.#options;
    try {
      this.#volumes.set(name, parseVolume(await readFile(join(root, name, RECORD), 'utf8'), join(root, name, '_data')));
    } catch (error) {
      const leftOver =
        name.startsWith('.') || (errnoOf(error) === 'ENOENT' && (await isEmpty(join(root, name, '_data'))));
      if (leftOver) await this.#options.removeFolder(join(root, name));
      else log.error('volume left out: its record can not be read', { volume: name, error });
    }
  }
}

/** A volume whose making was interrupted holds nothing; one that holds something is never deleted for a missing record. */
async function isEmpty(directory: string): Promise<boolean> {
  try {
    return (await readdir(directory)).length === 0;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return true;
    throw error;
  }
}

function check({ name, driver }: VolumeRequest): void {
  if (name !== '' && !NAME.test(name)) {
    const rule =
      'only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path';
    fail('invalid', `create ${name}: "${name}" includes invalid characters for a local volume name, ${rule}`);
  }
  if (name.length > 255) fail('invalid', `create ${name.slice(0, 20)}…: volume name is too long`);
  if (driver !== '' && driver !== 'local') {
    fail('not-found', `create ${name}: error looking up volume plugin ${driver}: plugin "${driver}" not found`);
  }
}

function parseVolume(text: string, mountpoint: string): Volume {
  const json = asObject(parseJson(text, RECORD), RECORD);
  return {
    name: asString(json['name'], 'name'),
    driver: asString(json['driver'], 'driver'),
    labels: asMap(json['labels'], 'labels', asString),
    options: asMap(json['options'], 'options', asString),
    createdAtMs: asNumber(json['createdAtMs'], 'createdAtMs'),
    anonymous: asBoolean(json['anonymous'], 'anonymous'),
    mountpoint,
  };
}
