// From staged files to an image: verify digests, unpack the layers that are not there, then name it all in one record.
// Nothing is visible before that record is written; the staging folder removes the rest.
import { writeFile } from 'node:fs/promises';
import { fail } from '../../base/errors.ts';
import type { Blobs } from './blobs.ts';
import type { ProgressLine } from './contract.ts';
import { compressionOfFile, type LayerDigest, sha256 } from './digest.ts';
import type { Digester } from './digester.ts';
import { parseImageConfig } from './image-config.ts';
import { type ImageTable, withImage } from './image-table.ts';
import { chainIds, type LayerFolders } from './layers.ts';
import type { LayerRecord } from './records.ts';
import type { Staging } from './staging.ts';

export interface LayerFile {
  readonly path: string;
  readonly digest: string | undefined; // if the format names it
  readonly digested?: LayerDigest; // if the caller has read it already
}

export interface Installer {
  readonly table: ImageTable;
  readonly blobs: Blobs;
  readonly folders: LayerFolders;
  readonly digester: Digester;
}

export interface Incoming {
  readonly staging: Staging;
  readonly config: Uint8Array;
  readonly layers: readonly LayerFile[];
  readonly tags: readonly string[];
  readonly onProgress: (line: ProgressLine) => void;
  readonly abort?: AbortSignal | undefined;
}

export async function installImage(parts: Installer, incoming: Incoming): Promise<string> {
  const id = sha256(incoming.config);
  const facts = parseImageConfig(incoming.config);
  if (facts.layers.length !== incoming.layers.length) {
    fail(
      'invalid',
      `invalid manifest, layers length mismatch: expected ${facts.layers.length}, got ${incoming.layers.length}`,
    );
  }
  const chain = chainIds(facts.layers);
  const lease = parts.table.hold(id, chain);
  try {
    const records: Record<string, LayerRecord> = {};
    for (const [index, file] of incoming.layers.entries()) {
      const chainId = chain[index] ?? '';
      if (Object.hasOwn(parts.table.records.layers, chainId) || Object.hasOwn(records, chainId)) continue;
      records[chainId] = await installLayer(parts, incoming, { file, chainId, diffId: facts.layers[index] ?? '' });
    }
    await storeConfig(parts, incoming, id);
    parts.table.learn(id, facts);
    await parts.table.change((now) =>
      withImage({ ...now, layers: { ...now.layers, ...records } }, { id, layers: chain, tags: incoming.tags }),
    );
    return id;
  } finally {
    lease.release();
  }
}

async function installLayer(
  parts: Installer,
  incoming: Incoming,
  layer: { file: LayerFile; chainId: string; diffId: string },
): Promise<LayerRecord> {
  const { file, diffId } = layer;
  const folder = incoming.staging.next();
  const unpacked = compressionOfFile(file.path).then((compression) =>
    parts.folders.unpack(file.path, compression, folder, incoming.abort),
  );
  // Both are awaited whatever happens: nothing may still write into the folder when it is removed.
  const [digested, applied] = await Promise.allSettled([file.digested ?? parts.digester.digest(file.path), unpacked]);
  if (digested.status === 'rejected') throw digested.reason;
  check(digested.value, file, diffId);
  if (applied.status === 'rejected') throw applied.reason;
  incoming.abort?.throwIfAborted();
  await parts.folders.commit(folder, layer.chainId);
  await parts.blobs.take(file.path, digested.value.digest);
  const { storedBytes, contentBytes, digest, opaqueFolders } = digested.value;
  incoming.onProgress({
    status: 'Loading layer',
    id: diffId.slice('sha256:'.length, 'sha256:'.length + 12),
    progress: { current: storedBytes, total: storedBytes },
  });
  return { diffId, blob: digest, contentBytes, opaqueFolders };
}

function check(found: LayerDigest, file: LayerFile, diffId: string): void {
  if (file.digest !== undefined && file.digest !== found.digest) {
    fail('invalid', `the digest of a layer does not match: expected ${file.digest}, got ${found.digest}`);
  }
  if (found.diffId !== diffId) {
    fail('invalid', `layers from manifest don't match image configuration: expected ${diffId}, got ${found.diffId}`);
  }
}

async function storeConfig(parts: Installer, incoming: Incoming, id: string): Promise<void> {
  const path = incoming.staging.next();
  await writeFile(path, incoming.config, { mode: 0o600 });
  await parts.blobs.take(path, id);
  await parts.blobs.sync();
}
