// A disk that can crash: nothing is kept for certain but what was synced, and of the rest any prefix, with holes.
// The same for names: a created, renamed or removed file is only certain after its directory was synced.
import type { Disk, DiskFile } from '../../base/disk.ts';
import type { Random } from '../../base/random.ts';

interface Inode {
  durable: Buffer;
  pending: Buffer[];
}

type NameChange = (names: Map<string, Inode>) => void;

export interface DiskFaults {
  /** How long a flush takes. */
  readonly flushMs: () => number;
  /** Whether this flush fails. */
  readonly failsNow: () => boolean;
}

export interface DiskTime {
  after(ms: number, then: () => void): void;
}

const SECTOR = 512;

export class SimDisk {
  readonly #random: Random;
  readonly #time: DiskTime;
  readonly #faults: DiskFaults;
  /** Names as a crash would leave them, and changes that it may lose, by directory. */
  #durableNames = new Map<string, Inode>();
  #names = new Map<string, Inode>();
  #changes = new Map<string, NameChange[]>();
  #mount = 0;
  tornWrites = 0;
  lostNames = 0;

  constructor(random: Random, time: DiskTime, faults: DiskFaults) {
    this.#random = random;
    this.#time = time;
    this.#faults = faults;
  }

  /** The disk for one life of a process; after the next `crash` it never answers again. */
  mount(): Disk {
    const mount = this.#mount;
    const alive = <T>(work: () => T): Promise<T> =>
      mount === this.#mount ? Promise.resolve().then(work) : new Promise(() => undefined);
    return {
      create: (path) => alive(() => this.#create(path, mount)),
      read: (path) => alive(() => this.#read(this.#names, path)),
      list: (directory) => alive(() => this.#list(this.#names, directory)),
      makeDirectory: () => alive(() => undefined),
      rename: (from, to) => alive(() => this.#rename(from, to)),
      remove: (path) => alive(() => this.#remove(path)),
      syncDirectory: (path) => this.#flush(mount, () => this.#syncDirectory(path)),
    };
  }

  /** What the disk would hold if the machine lost power now, in the worst case: a view for the judge. */
  durableView(): Pick<Disk, 'read' | 'list'> {
    return {
      read: async (path) => {
        const inode = this.#durableNames.get(path);
        if (!inode) throw new Error(`no file ${path}`);
        return inode.durable;
      },
      list: async (directory) => this.#list(this.#durableNames, directory),
    };
  }

  crash(): void {
    this.#mount += 1;
    this.#crashNames();
    for (const inode of this.#names.values()) this.#crashFile(inode);
  }

  #crashNames(): void {
    for (const changes of this.#changes.values()) {
      const kept = this.#random.below(changes.length + 1);
      if (kept < changes.length) this.lostNames += 1;
      for (const change of changes.slice(0, kept)) change(this.#durableNames);
    }
    this.#changes = new Map();
    this.#names = new Map(this.#durableNames);
  }

  /** Keeps a prefix of what was not synced; of that, sectors may be missing. */
  #crashFile(inode: Inode): void {
    const pending = Buffer.concat(inode.pending);
    inode.pending = [];
    if (pending.length === 0) return;
    this.tornWrites += 1;
    const kept = Buffer.from(pending.subarray(0, this.#random.below(pending.length + 1)));
    if (this.#random.fraction() < 0.5) {
      for (let at = 0; at < kept.length; at += SECTOR) {
        if (this.#random.fraction() < 0.3) kept.fill(0, at, Math.min(kept.length, at + SECTOR));
      }
    }
    inode.durable = Buffer.concat([inode.durable, kept]);
  }

  #create(path: string, mount: number): DiskFile {
    if (this.#names.has(path)) throw Object.assign(new Error(`EEXIST: ${path}`), { code: 'EEXIST' });
    const inode: Inode = { durable: Buffer.alloc(0), pending: [] };
    this.#change(path, (names) => void names.set(path, inode));
    return {
      append: (bytes) =>
        mount === this.#mount
          ? Promise.resolve(void inode.pending.push(Buffer.from(bytes)))
          : new Promise(() => undefined),
      sync: () => {
        const upTo = inode.pending.length;
        return this.#flush(mount, () => {
          inode.durable = Buffer.concat([inode.durable, ...inode.pending.splice(0, upTo)]);
        });
      },
      close: () => Promise.resolve(),
    };
  }

  #read(names: ReadonlyMap<string, Inode>, path: string): Buffer {
    const inode = names.get(path);
    if (!inode) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
    return Buffer.concat([inode.durable, ...inode.pending]);
  }

  #list(names: ReadonlyMap<string, Inode>, directory: string): string[] {
    const prefix = directory === '.' ? '' : `${directory}/`;
    const inside = [...names.keys()].filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length));
    return inside.filter((name) => !name.includes('/')).sort();
  }

  #rename(from: string, to: string): void {
    const inode = this.#names.get(from);
    if (!inode) throw Object.assign(new Error(`ENOENT: ${from}`), { code: 'ENOENT' });
    this.#change(to, (names) => {
      names.delete(from);
      names.set(to, inode);
    });
  }

  #remove(path: string): void {
    if (!this.#names.has(path)) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
    this.#change(path, (names) => void names.delete(path));
  }

  #change(path: string, change: NameChange): void {
    change(this.#names);
    const directory = directoryOf(path);
    this.#changes.set(directory, [...(this.#changes.get(directory) ?? []), change]);
  }

  #syncDirectory(path: string): void {
    for (const change of this.#changes.get(path) ?? []) change(this.#durableNames);
    this.#changes.delete(path);
  }

  #flush(mount: number, commit: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (mount !== this.#mount) return;
      this.#time.after(this.#faults.flushMs(), () => {
        if (mount !== this.#mount) return;
        if (this.#faults.failsNow()) return reject(Object.assign(new Error('EIO: flush failed'), { code: 'EIO' }));
        commit();
        resolve();
      });
    });
  }
}

function directoryOf(path: string): string {
  const at = path.lastIndexOf('/');
  return at < 0 ? '.' : path.slice(0, at);
}
