// The keys that log and snapshots are sealed with, and the file that holds them, itself sealed with a key of the node.
// A ring has more than one key only between the two steps of a rotation: the new one is durable before anything is
// sealed with it, and the old one goes when no file names it any more.
import type { Disk } from '../../base/disk.ts';
import { CodedError, fail } from '../../base/errors.ts';
import { asArray, asObject, asString, parseJson } from '../../base/parse.ts';
import type { Random } from '../../base/random.ts';
import { openBox, parseSealedBox, sealBox, secretId } from '../../base/sealed-box.ts';
import { type DataKey, dataKeyOf, newDataKey } from './seal.ts';
import { replaceFile } from './small-file.ts';

const KEY_FILE = 'data-key';
const PURPOSE = 'data key';

export class KeyRing {
  #keys: readonly [DataKey, ...DataKey[]];

  constructor(keys: readonly [DataKey, ...DataKey[]]) {
    this.#keys = keys;
  }

  /** What new files are sealed with. */
  get current(): DataKey {
    return this.#keys[0];
  }

  get all(): readonly DataKey[] {
    return this.#keys;
  }

  byId(id: Uint8Array): DataKey | undefined {
    return this.#keys.find((key) => Buffer.compare(key.id, id) === 0);
  }

  replace(keys: readonly [DataKey, ...DataKey[]]): void {
    this.#keys = keys;
  }
}

/** Without keys of a node, the file holds the data keys as they are. The present node key comes first. */
export type NodeKeys = readonly Uint8Array[];

/** Reads the data keys. `isCurrent`: the file is sealed as it should be now. */
export async function readKeyRing(
  disk: Pick<Disk, 'read'>,
  nodeKeys: NodeKeys,
): Promise<{ keys: KeyRing; isCurrent: boolean }> {
  try {
    return parseKeyFile(Buffer.from(await disk.read(KEY_FILE)).toString('utf8'), nodeKeys);
  } catch (cause) {
    throw new CodedError('internal', `reading the data key (${KEY_FILE}), without which the log can not be opened`, {
      cause,
    });
  }
}

function parseKeyFile(text: string, nodeKeys: NodeKeys): { keys: KeyRing; isCurrent: boolean } {
  const isFirstFormat = !text.startsWith('{');
  if (isFirstFormat) {
    return { keys: new KeyRing([dataKeyOf(Buffer.from(text.trim(), 'base64'))]), isCurrent: nodeKeys.length === 0 };
  }
  const json = asObject(parseJson(text, KEY_FILE), KEY_FILE);
  const wanted = nodeKeys[0] ? secretId(nodeKeys[0]) : '';
  let isCurrent = true;
  const [first, ...rest] = asArray(json['keys'], 'keys', (value, path) => {
    const { bytes, by } = openKey(value, path, nodeKeys);
    isCurrent &&= by === wanted;
    return dataKeyOf(bytes);
  });
  return { keys: new KeyRing([first ?? fail('internal', 'it holds no key'), ...rest]), isCurrent };
}

function openKey(value: unknown, path: string, nodeKeys: NodeKeys): { bytes: Buffer; by: string } {
  const json = asObject(value, path);
  if (json['plain'] !== undefined) {
    return { bytes: Buffer.from(asString(json['plain'], `${path}.plain`), 'base64'), by: '' };
  }
  const box = parseSealedBox(value, path);
  const nodeKey =
    nodeKeys.find((key) => secretId(key) === box.by) ??
    fail('forbidden', 'it is sealed with a key of the node that was not given');
  return { bytes: openBox(nodeKey, PURPOSE, box), by: box.by };
}

/** Makes the ring durable, sealed with the node's present key if there is one. */
export async function writeKeyRing(
  disk: Disk,
  keys: KeyRing,
  { nodeKeys, random }: { nodeKeys: NodeKeys; random: Random },
): Promise<void> {
  const [nodeKey] = nodeKeys;
  const stored = keys.all.map(({ bytes }) =>
    nodeKey ? sealBox(nodeKey, PURPOSE, bytes, random) : { plain: Buffer.from(bytes).toString('base64') },
  );
  await replaceFile(disk, KEY_FILE, `${JSON.stringify({ keys: stored })}\n`);
}

export const newKeyRing = (random: Random): KeyRing => new KeyRing([newDataKey(random)]);
