// Each directory under the data root says in a `format` file which version wrote it. A newer one is refused untouched.
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, fail } from './errors.ts';
import { writeFileAtomic } from './files.ts';

/** Makes `directory` if need be. Resolves with the version found, or `current` for a new directory. */
export async function openFormat(directory: string, current: number, mode = 0o710): Promise<number> {
  await mkdir(directory, { recursive: true, mode });
  const path = join(directory, 'format');
  const found = await readFound(path);
  if (found === undefined) {
    await writeFileAtomic(path, `${current}\n`);
    return current;
  }
  if (!Number.isInteger(found) || found < 1) fail('internal', `${path} does not hold a format number`);
  if (found > current) {
    fail('invalid', `${directory} was written by a newer version (format ${found}; this one reads up to ${current})`);
  }
  return found;
}

async function readFound(path: string): Promise<number | undefined> {
  try {
    return Number((await readFile(path, 'utf8')).trim());
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
