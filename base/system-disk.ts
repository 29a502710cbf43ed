// The real disk. One level of folders below the root; files are 0600, folders 0700.
import { type FileHandle, mkdir, open, readFile, readdir, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Disk, DiskFile } from './disk.ts';
import { errnoOf } from './errors.ts';
import { syncDirectory } from './files.ts';

export function systemDisk(root: string): Disk {
  const at = (path: string): string => join(root, path);
  return {
    create: async (path) => new SystemFile(await open(at(path), 'wx', 0o600)),
    read: (path) => readFile(at(path)),
    list: (path) => listOrNone(at(path)),
    makeDirectory: async (path) => void (await mkdir(at(path), { recursive: true, mode: 0o700 })),
    rename: (from, to) => rename(at(from), at(to)),
    remove: (path) => unlink(at(path)),
    syncDirectory: (path) => syncDirectory(at(path)),
  };
}

async function listOrNone(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).sort();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

class SystemFile implements DiskFile {
  readonly #file: FileHandle;
  #length = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async append(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, this.#length + done);
      done += bytesWritten;
    }
    this.#length += bytes.length;
  }

  sync(): Promise<void> {
    return this.#file.datasync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
