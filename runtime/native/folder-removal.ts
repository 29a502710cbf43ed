// Folders that nobody needs any more are taken away by a process of the zygote, many at a time. In the daemon each file of
// them would be two calls of the thread pool, each of which takes the main thread's turn on a busy machine.
import type { Clock } from '../../base/clock.ts';
import { within } from './connection.ts';
import { encodeRemove } from './messages.ts';
import { FRAME } from './wire.ts';
import type { Zygote } from './zygote.ts';

const GATHERED_MS = 20;
const PATHS_MAX = 1_000;
const REMOVE_MS_MAX = 10 * 60_000; // what a container wrote can be millions of files

interface Doomed {
  readonly path: string;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class FolderRemoval {
  readonly #zygote: Pick<Zygote, 'ask'>;
  readonly #clock: Clock;
  #gathered: Doomed[] = [];

  constructor(parts: { readonly zygote: Pick<Zygote, 'ask'>; readonly clock: Clock }) {
    this.#zygote = parts.zygote;
    this.#clock = parts.clock;
  }

  /** Resolves when the folder and all that is in it are gone. */
  remove(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#gathered.push({ path, resolve, reject });
      if (this.#gathered.length === PATHS_MAX) void this.#removeGathered();
      else if (this.#gathered.length === 1) this.#clock.after(GATHERED_MS, () => void this.#removeGathered());
    });
  }

  async #removeGathered(): Promise<void> {
    const all = this.#gathered;
    this.#gathered = [];
    if (all.length === 0) return; // there were so many that they did not wait
    try {
      await this.#ask(all.map(({ path }) => path));
      for (const { resolve } of all) resolve();
    } catch (error) {
      if (all.length === 1) all[0]?.reject(error);
      else await this.#oneByOne(all); // one that stays must not be blamed on the others, nor keep them
    }
  }

  async #oneByOne(all: readonly Doomed[]): Promise<void> {
    for (const { path, resolve, reject } of all) await this.#ask([path]).then(resolve, reject);
  }

  async #ask(paths: readonly string[]): Promise<void> {
    const connection = await this.#zygote.ask(encodeRemove(1, paths));
    try {
      await within(this.#clock, REMOVE_MS_MAX, 'removing folders', connection.expect(FRAME.ok));
    } finally {
      connection.close();
    }
  }
}
