// Files that are there whole or not at all.
import { open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf } from './errors.ts';

/** Replaces `path` with `content` so that a crash at any instant leaves the old or the new content, and it is durable. */
export async function writeFileAtomic(
  path: string,
  content: string | Uint8Array,
  options: { mode?: number } = {},
): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await writeDurably(temporary, content, options.mode ?? 0o600);
    await rename(temporary, path);
  } catch (error) {
    await removeIfThere(temporary); // on a full disk it would keep what little is left
    throw error;
  }
  await syncDirectory(dirname(path));
}

async function writeDurably(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  await using file = await open(path, 'w', mode);
  await file.writeFile(content);
  await file.sync();
}

/** Makes the content of `path` durable. */
export async function syncFile(path: string): Promise<void> {
  await using file = await open(path, 'r');
  await file.sync();
}

/** Makes renames and removals inside `path` durable. */
export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r');
  await directory.sync();
}

/** Removes `path`; true if it was there. */
export async function removeIfThere(path: string): Promise<boolean> {
  try {
    await unlink(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}
