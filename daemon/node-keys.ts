// The node's own keys: what its private key and its consensus log's data key are sealed with. The file holds them open
// (0600), or, on a manager that is locked, sealed with the unlock key, which is nowhere on this machine.
// One small file decides whether the node is locked, so locking and unlocking is one atomic replacement of it.
import { readFile } from 'node:fs/promises';
import { errnoOf, fail } from '../base/errors.ts';
import { writeFileAtomic } from '../base/files.ts';
import { asArray, asObject, asString, parseJson } from '../base/parse.ts';
import type { Random } from '../base/random.ts';
import { openBox, parseSealedBox, sealBox, type SealedBox, SECRET_BYTES } from '../base/sealed-box.ts';

/** The present one first; a former one is there only while things are being sealed anew. */
export type NodeKeySet = readonly [Uint8Array, ...Uint8Array[]];

export type StoredNodeKeys =
  | { readonly kind: 'open'; readonly keys: NodeKeySet }
  | { readonly kind: 'locked'; readonly boxes: readonly SealedBox[] };

const PURPOSE = 'key of the node';

export const newNodeKey = (random: Random): Uint8Array => random.bytes(SECRET_BYTES);

/** Undefined where an earlier version kept none. */
export async function readNodeKeys(path: string): Promise<StoredNodeKeys | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  const json = asObject(parseJson(text, path), path);
  if (json['locked'] !== undefined) return { kind: 'locked', boxes: asArray(json['locked'], 'locked', parseSealedBox) };
  return {
    kind: 'open',
    keys: keySet(asArray(json['keys'], 'keys', (key, at) => Buffer.from(asString(key, at), 'base64'))),
  };
}

/** Throws `forbidden` when it is not the key. */
export function unlockNodeKeys(boxes: readonly SealedBox[], unlockKey: Uint8Array): NodeKeySet {
  return keySet(boxes.map((box) => openBox(unlockKey, PURPOSE, box)));
}

export async function writeNodeKeys(
  path: string,
  keys: NodeKeySet,
  { unlockKey, random }: { unlockKey: Uint8Array | undefined; random: Random },
): Promise<void> {
  const content = unlockKey
    ? { locked: keys.map((key) => sealBox(unlockKey, PURPOSE, key, random)) }
    : { keys: keys.map((key) => Buffer.from(key).toString('base64')) };
  await writeFileAtomic(path, `${JSON.stringify(content)}\n`);
}

function keySet(keys: readonly Uint8Array[]): NodeKeySet {
  const [first, ...rest] = keys;
  if (!first) fail('internal', 'the file of the node keys holds none');
  return [first, ...rest];
}
