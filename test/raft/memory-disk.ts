// A disk in memory, every byte of which a test may look at and spoil.
import type { Disk, DiskFile } from '../../base/disk.ts';

export class MemoryDisk implements Disk {
  readonly files: Map<string, Buffer>;

  constructor(files: Iterable<readonly [string, Buffer]> = []) {
    this.files = new Map(files);
  }

  /** Another disk with the same content. */
  clone(): MemoryDisk {
    return new MemoryDisk([...this.files].map(([path, bytes]) => [path, Buffer.from(bytes)] as const));
  }

  file(pattern: RegExp): string {
    const path = [...this.files.keys()]
      .filter((name) => pattern.test(name))
      .sort()
      .at(-1);
    if (!path) throw new Error(`no file like ${pattern}`);
    return path;
  }

  async create(path: string): Promise<DiskFile> {
    if (this.files.has(path)) throw new Error(`${path} is there`);
    const state = { path };
    this.files.set(path, Buffer.alloc(0));
    return {
      append: async (bytes: Uint8Array) => {
        const at = [...this.files.keys()].includes(state.path) ? state.path : this.#renamed.get(state.path);
        if (!at) throw new Error(`${state.path} is gone`);
        this.files.set(at, Buffer.concat([this.#get(at), bytes]));
      },
      sync: async () => undefined,
      close: async () => undefined,
    };
  }

  readonly #renamed = new Map<string, string>();

  async read(path: string): Promise<Uint8Array> {
    return this.#get(path);
  }

  async list(directory: string): Promise<string[]> {
    const prefix = directory === '.' ? '' : `${directory}/`;
    const names = [...this.files.keys()]
      .filter((path) => path.startsWith(prefix))
      .map((path) => path.slice(prefix.length));
    return names.filter((name) => !name.includes('/')).sort();
  }

  async makeDirectory(): Promise<void> {}

  async rename(from: string, to: string): Promise<void> {
    this.files.set(to, this.#get(from));
    this.files.delete(from);
    this.#renamed.set(from, to);
  }

  async remove(path: string): Promise<void> {
    this.#get(path);
    this.files.delete(path);
  }

  async syncDirectory(): Promise<void> {}

  #get(path: string): Buffer {
    const bytes = this.files.get(path);
    if (!bytes) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
    return bytes;
  }
}

/** A disk with so much space left; what does not fit is written in part. */
export class SmallDisk extends MemoryDisk {
  bytesLeft = Number.POSITIVE_INFINITY;

  override async create(path: string): Promise<DiskFile> {
    const file = await super.create(path);
    return {
      ...file,
      append: async (bytes) => {
        if (bytes.length > this.bytesLeft) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
        this.bytesLeft -= bytes.length;
        await file.append(bytes);
      },
    };
  }
}
