// The real disk, on which the process kills itself at a counted operation: before it, in the middle of it, or after it.
import type { Disk, DiskFile } from '../../base/disk.ts';

export interface Death {
  /** Counted from 1. */
  readonly operation: number;
  readonly moment: 'before' | 'within' | 'after';
}

export function dyingDisk(disk: Disk, death: Death): Disk {
  let operations = 0;
  const counted = async <T>(work: () => Promise<T>, half?: () => Promise<unknown>): Promise<T> => {
    operations += 1;
    if (operations !== death.operation) return work();
    if (death.moment === 'within') await half?.();
    if (death.moment === 'after') await work();
    process.kill(process.pid, 'SIGKILL');
    return new Promise<never>(() => undefined);
  };
  const dyingFile = (file: DiskFile): DiskFile => ({
    append: (bytes) =>
      counted(
        () => file.append(bytes),
        () => file.append(bytes.subarray(0, Math.ceil(bytes.length / 2))),
      ),
    sync: () => counted(() => file.sync()),
    close: () => counted(() => file.close()),
  });
  return {
    create: (path) => counted(async () => dyingFile(await disk.create(path))),
    read: (path) => disk.read(path),
    list: (path) => disk.list(path),
    makeDirectory: (path) => counted(() => disk.makeDirectory(path)),
    rename: (from, to) => counted(() => disk.rename(from, to)),
    remove: (path) => counted(() => disk.remove(path)),
    syncDirectory: (path) => counted(() => disk.syncDirectory(path)),
  };
}
