// Volumes with a file system of their own: mounted when the first who needs them comes, unmounted when the last one has
// gone. Whether one is mounted is always asked of the kernel: daemons come and go, and administrators unmount by hand.
import { CodedError, fail, sentenceOf } from '../../base/errors.ts';
import { mountPointsOf } from '../../base/mount-info.ts';
import { Mutex } from '../../base/mutex.ts';
import { type DriverOptions, type MountCall, mountCall, type Resolve, withoutPassword } from './volume-options.ts';

export interface VolumeMounter {
  /** Rejects with "mount DEVICE:TARGET: reason". */
  mount(call: MountCall & { readonly target: string }): Promise<void>;
  unmount(target: string): Promise<void>;
  /** The text of /proc/self/mountinfo. */
  mountInfo(): Promise<string>;
  readonly resolve: Resolve;
}

interface Entry {
  readonly holders: Set<string>;
  readonly turn: Mutex; // one volume's server may take its time; nobody else waits for it
}

export class VolumeMounts {
  readonly #entries = new Map<string, Entry>(); // by mount point
  readonly #mounter: VolumeMounter;

  constructor(mounter: VolumeMounter) {
    this.#mounter = mounter;
  }

  /** Mounted until `drop`. What fails leaves nothing mounted. */
  hold(target: string, options: DriverOptions, holder: string): Promise<void> {
    const { holders, turn } = this.#entry(target);
    return turn.run(async () => {
      if (!(await this.#isMounted(target))) await this.#mount(target, options);
      holders.add(holder);
    });
  }

  /** Of one that an earlier daemon mounted. */
  noteHeld(target: string, holder: string): void {
    this.#entry(target).holders.add(holder);
  }

  drop(target: string, holder: string): Promise<void> {
    const entry = this.#entries.get(target);
    if (!entry) return Promise.resolve();
    return entry.turn.run(async () => {
      if (entry.holders.delete(holder) && entry.holders.size === 0) await this.#clear(target);
    });
  }

  /** Unmounts those that nobody holds: an earlier daemon was ended between its steps. */
  async dropUnheld(targets: readonly string[]): Promise<void> {
    const mounted = new Set(mountPointsOf(await this.#mounter.mountInfo()));
    for (const target of targets.filter((each) => mounted.has(each))) {
      const { holders, turn } = this.#entry(target);
      await turn.run(async () => {
        if (holders.size === 0) await this.#clear(target);
      });
    }
  }

  /**
   * Before the volume's folder is deleted, with all in it: nothing may be mounted there or below, or another's files would
   * go. It need not be the volume's own: a container that shares its mounts leaves them, and people mount by hand.
   */
  async forget(target: string, folder: string): Promise<void> {
    const isBelow = (point: string): boolean => point.startsWith(`${folder}/`);
    await this.#entry(target).turn.run(() => this.#clear(folder, isBelow));
    this.#entries.delete(target);
  }

  #entry(target: string): Entry {
    const known = this.#entries.get(target) ?? { holders: new Set(), turn: new Mutex() };
    this.#entries.set(target, known);
    return known;
  }

  async #isMounted(target: string): Promise<boolean> {
    return mountPointsOf(await this.#mounter.mountInfo()).includes(target);
  }

  async #mount(target: string, options: DriverOptions): Promise<void> {
    try {
      await this.#mounter.mount({ ...(await mountCall(options, this.#mounter.resolve)), target });
    } catch (error) {
      await this.#clear(target).catch(() => undefined); // the first reason is the one that helps
      throw new CodedError('internal', `failed to mount local volume: ${withoutPassword(sentenceOf(error), options)}`);
    }
  }

  async #clear(what: string, isMeant = (point: string): boolean => point === what): Promise<void> {
    const meant = async (): Promise<string[]> => mountPointsOf(await this.#mounter.mountInfo()).filter(isMeant);
    const mounted = await meant();
    for (const point of mounted.reverse()) await this.#mounter.unmount(point); // what was mounted last is above
    const [left] = mounted.length > 0 ? await meant() : [];
    if (left !== undefined) fail('internal', `${left} is still mounted`);
  }
}
