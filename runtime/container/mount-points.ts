// The folders and empty files that every container's mounts go onto, as one read-only layer below all others. An image that
// has them shows its own; for one that has not, nothing needs to be made in the container's own layer. That saves about
// ten inodes a container, which is most of the time of a start where the file system has just deleted many (ext4 walks
// past recently deleted inodes, one by one).
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const FOLDERS = ['dev', 'etc', 'proc', 'sys'];
const FILES = ['etc/hostname', 'etc/hosts', 'etc/resolv.conf'];
/** What programs look at to learn that they are in a container; Docker makes it too. */
const MARK = '.dockerenv';
/** Old programs read the mounts here. */
const MOUNT_TABLE = { link: 'etc/mtab', target: '/proc/mounts' };

/** Makes what is missing below `root`; resolves with it. */
export async function makeMountPoints(root: string): Promise<string> {
  for (const path of [root, ...FOLDERS.map((name) => join(root, name))]) {
    await mkdir(path, { recursive: true });
    await chmod(path, 0o755);
  }
  for (const name of FILES) await writeFile(join(root, name), '', { mode: 0o644 });
  await writeFile(join(root, MARK), '', { mode: 0o755 });
  await symlink(MOUNT_TABLE.target, join(root, MOUNT_TABLE.link)).catch(unlessThere);
  return root;
}

function unlessThere(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
}
