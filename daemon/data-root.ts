// The daemon's own folders: made with narrow rights, marked with their format, held by one daemon at a time.
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fail } from '../base/errors.ts';
import { writeFileAtomic } from '../base/files.ts';
import { newHexId } from '../base/id.ts';
import type { Random } from '../base/random.ts';

/** Version of what lies directly in the data root; each folder below has a format of its own. */
const FORMAT = 1;
const FOLDER_MODE = 0o710;

export function makeFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: FOLDER_MODE });
  chmodSync(path, FOLDER_MODE);
}

/** Where a node keeps what it is in its swarm; there only while it is in one. */
export const swarmFolder = (dataRoot: string): string => join(dataRoot, 'swarm');

/** Refuses a data root that a newer Shoal has written. */
export async function checkFormat(dataRoot: string): Promise<void> {
  const path = join(dataRoot, 'format');
  if (!existsSync(path)) return await writeFileAtomic(path, `${FORMAT}\n`, { mode: 0o644 });
  const found = Number(readFileSync(path, 'utf8'));
  if (found !== FORMAT) {
    fail(
      'conflict',
      `${dataRoot} has format ${found} and this Shoal reads format ${FORMAT}: use the version that wrote it`,
    );
  }
}

/** This daemon's id, made once. */
export async function daemonId(dataRoot: string, random: Random): Promise<string> {
  const path = join(dataRoot, 'id');
  if (existsSync(path)) return readFileSync(path, 'utf8').trim();
  const id = newHexId<'daemon'>(random);
  await writeFileAtomic(path, `${id}\n`, { mode: 0o644 });
  return id;
}

/**
 * Takes the data root for this process. Code `conflict`, naming the holder's pid, when another daemon has it.
 * Node has no file locks, so the C helper holds one and ends when its standard input does: with this process.
 */
export async function lockDataRoot(dataRoot: string, nativeBinary: string): Promise<Disposable> {
  const file = join(dataRoot, 'lock');
  const holder = spawn(nativeBinary, ['lock', file, String(process.pid)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const answer = await firstLine(holder);
  if (answer !== 'locked') {
    fail('conflict', `another daemon (pid ${answer || 'unknown'}) uses the data root ${dataRoot}`);
  }
  holder.unref();
  return { [Symbol.dispose]: () => void holder.stdin?.end() };
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.once('error', reject);
    child.once('close', () => resolve(text.trim()));
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes('\n')) resolve(text.trim());
    });
  });
}
