// Damage to the files of a directory at rest: cut at a byte, one bit changed, sectors of zeros; and the judgement of what
// a start makes of it. Allowed are: all of it; the state after an earlier write, where only the end of the last segment
// was touched; and a refusal that names a place. Anything else is a silent loss.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sentenceOf } from '../../base/errors.ts';
import { type Random, systemRandom } from '../../base/random.ts';
import { systemDisk } from '../../base/system-disk.ts';
import { Storage } from '../../manager/raft/storage.ts';
import { keyOf, NODE_KEYS, stateOf } from './history.ts';

export type Outcome = 'whole' | 'cut' | 'refused';

export interface Damaged {
  readonly file: string;
  readonly how: 'cut' | 'bit' | 'zeros';
  readonly from: number;
  readonly bytes: Buffer;
}

const SECTOR = 512;

export async function isolated<T>(directory: string, work: (copy: string) => Promise<T>): Promise<T> {
  const copy = await mkdtemp(join(tmpdir(), 'shoal-damage-'));
  try {
    await cp(directory, copy, { recursive: true });
    return await work(copy);
  } finally {
    await rm(copy, { recursive: true });
  }
}

/** Every cut of the last segment. */
export async function* cuts(directory: string, file: string): AsyncGenerator<Damaged> {
  const bytes = await readFile(join(directory, file));
  for (let from = 0; from < bytes.length; from += 1) yield { file, how: 'cut', from, bytes: bytes.subarray(0, from) };
}

export async function bitFlip(directory: string, file: string, random: Random): Promise<Damaged> {
  const bytes = await readFile(join(directory, file));
  const from = random.below(bytes.length);
  bytes.writeUInt8(bytes.readUInt8(from) ^ (1 << random.below(8)), from);
  return { file, how: 'bit', from, bytes };
}

export async function zeros(directory: string, file: string, random: Random): Promise<Damaged> {
  const bytes = await readFile(join(directory, file));
  const from = SECTOR * random.below(Math.ceil(bytes.length / SECTOR));
  bytes.fill(0, from, Math.min(bytes.length, from + SECTOR * (1 + random.below(3))));
  return { file, how: 'zeros', from, bytes };
}

/** Opens the damaged copy. Throws a sentence when the outcome is not one that is allowed. */
export async function judgeDamage(
  copy: string,
  damaged: Damaged,
  { now, earlier, lastSegment }: { now: string; earlier: ReadonlySet<string>; lastSegment: string },
): Promise<Outcome> {
  const original = await readFile(join(copy, damaged.file));
  await writeFile(join(copy, damaged.file), damaged.bytes);
  const isChanged = Buffer.compare(original, damaged.bytes) !== 0;
  const where = `${damaged.how} in ${damaged.file} at byte ${damaged.from} of ${original.length}`;
  let opened: Awaited<ReturnType<typeof Storage.open>>;
  try {
    opened = await Storage.open({
      disk: systemDisk(copy),
      random: systemRandom,
      clusterId: 'crash',
      nodeId: 'n1',
      segmentBytesMax: 4_000,
      nodeKeys: NODE_KEYS,
    });
  } catch (error) {
    const why = sentenceOf(error);
    if (!isChanged) throw new Error(`${where}: refused though nothing was changed: ${why}`, { cause: error });
    if (
      !/byte|header|snapshot|key|format|owner|its number|does not begin|ends at|lacks segment|are missing|that of node/.test(
        why,
      )
    )
      throw new Error(`${where}: the refusal names no place: ${why}`, { cause: error });
    return 'refused';
  }
  await opened.storage.close();
  const found = keyOf(stateOf(opened.initial));
  if (found === now) return 'whole';
  if (damaged.file !== lastSegment || !earlier.has(found))
    throw new Error(`${where}: silent loss: ${found} for ${now}`);
  if (damaged.how !== 'cut' && opened.recovered.tornBytes === 0) throw new Error(`${where}: the cut was not told`);
  return 'cut';
}
