// Small files that are there whole or not at all: the old content or the new one after a crash at any instant.
import type { Disk } from '../../base/disk.ts';

export async function replaceFile(disk: Disk, name: string, content: string): Promise<void> {
  const temporary = `${name}.tmp`;
  if ((await disk.list('.')).includes(temporary)) await disk.remove(temporary);
  const file = await disk.create(temporary);
  await file.append(Buffer.from(content));
  await file.sync();
  await file.close();
  await disk.rename(temporary, name);
  await disk.syncDirectory('.');
}
