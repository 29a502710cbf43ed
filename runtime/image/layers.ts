// Unpacked layers: <root>/layer/<first half of the chain id>. A folder appears by rename when it is complete.
// chain id of layer n = sha256(chain id of n-1 + ' ' + diff id of n), so equal stacks share their folders.
import { chmod, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../base/errors.ts';
import { sha256 } from './digest.ts';
import type { Unpacking } from './layer-pass.ts';

/** What layers need of the C helper: it applies a tar stream below `directory`, safely. */
export type Unpack = (directory: string, options: { layer: boolean }) => Promise<Unpacking>;

export function chainIds(diffIds: readonly string[]): string[] {
  const chain: string[] = [];
  for (const diffId of diffIds) {
    const parent = chain.at(-1);
    chain.push(parent === undefined ? diffId : sha256(`${parent} ${diffId}`));
  }
  return chain;
}

export class LayerFolders {
  readonly #directory: string;
  readonly #unpack: Unpack;

  private constructor(directory: string, unpack: Unpack) {
    this.#directory = directory;
    this.#unpack = unpack;
  }

  static async open(root: string, unpack: Unpack): Promise<LayerFolders> {
    const directory = join(root, 'layer');
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return new LayerFolders(directory, unpack);
  }

  path(chainId: string): string {
    return join(this.#directory, nameOf(chainId));
  }

  /** Begins to unpack a layer into `folder`, which the caller commits or removes. */
  async unpack(folder: string): Promise<Unpacking> {
    await mkdir(folder);
    await chmod(folder, 0o755); // whatever the umask; an entry for the root in the archive overrules it
    return await this.#unpack(folder, { layer: true });
  }

  async commit(folder: string, chainId: string): Promise<void> {
    try {
      await rename(folder, this.path(chainId));
    } catch (error) {
      if (errnoOf(error) !== 'ENOTEMPTY' && errnoOf(error) !== 'EEXIST') throw error;
      await this.remove(chainId); // left by a load that did not reach its record
      await rename(folder, this.path(chainId));
    }
  }

  async remove(chainId: string): Promise<void> {
    await rm(this.path(chainId), { recursive: true, force: true });
  }

  /** Deletes what nothing refers to; for the start, when nothing is being unpacked. */
  async keepOnly(chains: Iterable<string>): Promise<void> {
    const kept = new Set([...chains].map(nameOf));
    for (const name of await readdir(this.#directory)) {
      if (!kept.has(name)) await rm(join(this.#directory, name), { recursive: true, force: true });
    }
  }
}

// Half of the digest: short paths leave room for many lowers in one page of mount options.
const nameOf = (chainId: string): string => chainId.slice('sha256:'.length, 'sha256:'.length + 32);
