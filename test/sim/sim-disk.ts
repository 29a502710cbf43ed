// A disk that can crash: nothing is kept for certain but what was synced, and of the rest any prefix, with holes.
// The same for names: a created, renamed or removed file is only certain after its directory was synced.
import type { Disk, DiskFile } from '../../base/disk.ts';
import type { Random } from '../../base/random.ts';

interface Inode {
  durable: Buffer;
  pending: Buffer[];
  /** What an append left that failed for lack of space; the next one overwrites it. */
  partial?: Buffer | undefined;
}

type NameChange = (names: Map<string, Inode>) => void;

export interface DiskFaults {
  /** How long a flush takes. */
  readonly flushMs: () => number;
  /** Whether this flush fails. The pages are then dropped, and the system takes them for clean. */
  readonly failsNow: () => boolean;
  /** Something was met that a run must have met. */
  readonly count: (what: string) => void;
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
  #operationsLeft = Number.POSITIVE_INFINITY;
  #onOperation: () => void = () => undefined;
  /** Nothing can be created or appended. */
  isFull = false;

  constructor(random: Random, time: DiskTime, faults: DiskFaults) {
    this.#random = random;
    this.#time = time;
    this.#faults = faults;
  }

  /** The disk for one life of a process; after the next `crash` it never answers again. */
  mount(): Disk {
    const mount = this.#mount;
    const alive = <T>(work: () => T): Promise<T> => {
      this.#operation();
      return mount === this.#mount ? Promise.resolve().then(work) : new Promise(() => undefined);
    };
    return {
      create: (path) => alive(() => this.#create(path, mount, alive)),
      read: (path) => alive(() => this.#read(this.#names, path)),
      list: (directory) => alive(() => this.#list(this.#names, directory)),
      makeDirectory: () => alive(() => undefined),
      rename: (from, to) => alive(() => this.#rename(from, to)),
      remove: (path) => alive(() => this.#remove(path)),
      syncDirectory: (path) => {
        this.#operation();
        return this.#flush(mount, () => this.#syncDirectory(path));
      },
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

  /** Calls back in the middle of the work, before the disk has taken the `count`-th operation from now on. */
  afterOperations(count: number, then: () => void): void {
    this.#operationsLeft = count;
    this.#onOperation = then;
  }

  #operation(): void {
    this.#operationsLeft -= 1;
    if (this.#operationsLeft !== 0) return;
    this.#operationsLeft = Number.POSITIVE_INFINITY;
    this.#onOperation();
  }

  /** Files that a crash would leave, by name. */
  durableNames(): string[] {
    return [...this.#durableNames.keys()].sort();
  }

  /** Everything is gone, as after a new installation. */
  wipe(): void {
    this.crash();
    this.#durableNames = new Map();
    this.#names = new Map();
  }

  /** Turns one bit of something durable, of which `choose` names the place in the file. */
  flip(path: string, choose: (content: Buffer) => number | undefined): boolean {
    const inode = this.#durableNames.get(path);
    const at = inode && choose(inode.durable);
    if (!inode || at === undefined) return false;
    const content = Buffer.from(inode.durable);
    content.writeUInt8(content.readUInt8(at) ^ (1 << this.#random.below(8)), at);
    inode.durable = content;
    return true;
  }

  crash(): void {
    this.#mount += 1;
    this.#operationsLeft = Number.POSITIVE_INFINITY;
    this.#crashNames();
    for (const inode of this.#names.values()) this.#crashFile(inode);
  }

  #crashNames(): void {
    for (const changes of this.#changes.values()) {
      const kept = this.#random.below(changes.length + 1);
      if (kept < changes.length) this.#faults.count('names lost by a crash');
      for (const change of changes.slice(0, kept)) change(this.#durableNames);
    }
    this.#changes = new Map();
    this.#names = new Map(this.#durableNames);
  }

  /** Keeps a prefix of what was not synced; of that, sectors may be missing. */
  #crashFile(inode: Inode): void {
    const pending = Buffer.concat([...inode.pending, ...(inode.partial ? [inode.partial] : [])]);
    inode.pending = [];
    inode.partial = undefined;
    if (pending.length === 0) return;
    this.#faults.count('writes lost or torn by a crash');
    const kept = Buffer.from(pending.subarray(0, this.#random.below(pending.length + 1)));
    if (this.#random.fraction() < 0.5) {
      for (let at = 0; at < kept.length; at += SECTOR) {
        if (this.#random.fraction() < 0.3) kept.fill(0, at, Math.min(kept.length, at + SECTOR));
      }
    }
    inode.durable = Buffer.concat([inode.durable, kept]);
  }

  #create(path: string, mount: number, alive: <T>(work: () => T) => Promise<T>): DiskFile {
    this.#refuseIfFull();
    if (this.#names.has(path)) throw Object.assign(new Error(`EEXIST: ${path}`), { code: 'EEXIST' });
    const inode: Inode = { durable: Buffer.alloc(0), pending: [] };
    this.#change(path, (names) => void names.set(path, inode));
    return {
      append: (bytes) =>
        alive(() => {
          // A full disk takes what still fits.
          inode.partial = this.isFull
            ? Buffer.from(bytes.subarray(0, this.#random.below(bytes.length + 1)))
            : undefined;
          this.#refuseIfFull();
          inode.pending.push(Buffer.from(bytes));
        }),
      sync: () => {
        this.#operation();
        const upTo = inode.pending.length;
        return this.#flush(
          mount,
          () => {
            inode.durable = Buffer.concat([inode.durable, ...inode.pending.splice(0, upTo)]);
          },
          () => this.#dropPages(inode),
        );
      },
      close: () => Promise.resolve(),
    };
  }

  #read(names: ReadonlyMap<string, Inode>, path: string): Buffer {
    const inode = names.get(path);
    if (!inode) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
    return Buffer.concat([inode.durable, ...inode.pending, ...(inode.partial ? [inode.partial] : [])]);
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

  #refuseIfFull(): void {
    if (!this.isFull) return;
    this.#faults.count('disk full');
    throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  }

  /** After a failed flush the cache may have let go of what it could not write: it reads as if it never was, or as zeros. */
  #dropPages(inode: Inode): void {
    this.#faults.count('pages dropped by a failed flush');
    const length = inode.pending.reduce((sum, part) => sum + part.length, 0);
    inode.pending = this.#random.fraction() < 0.5 ? [] : [Buffer.alloc(length)];
  }

  #flush(mount: number, commit: () => void, drop: () => void = () => undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      if (mount !== this.#mount) return;
      this.#time.after(this.#faults.flushMs(), () => {
        if (mount !== this.#mount) return;
        if (this.#faults.failsNow()) {
          drop();
          return reject(Object.assign(new Error('EIO: flush failed'), { code: 'EIO' }));
        }
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
