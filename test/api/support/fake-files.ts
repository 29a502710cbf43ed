// Files of containers without a kernel: each has the folder /data with one file in it.
import type { Readable } from 'node:stream';
import { fail } from '../../../base/errors.ts';
import type { ContainerFiles, ContainerInfo, FileStat } from '../../../runtime/container/contract.ts';

const FOLDER: FileStat = {
  linkTarget: '',
  sizeBytes: 4096,
  mode: 0o040755,
  mtimeSeconds: 1_700_000_000,
  mtimeNanoseconds: 500_000_000,
};

export class FakeFiles implements ContainerFiles {
  writtenBytes = 0;
  readonly #get: (reference: string) => ContainerInfo;

  constructor(get: (reference: string) => ContainerInfo) {
    this.#get = get;
  }

  async stat(reference: string, path: string): Promise<FileStat> {
    this.#get(reference);
    if (/^\/data\/?\.?$/.test(path)) return FOLDER;
    if (path === '/data/file') return { ...FOLDER, mode: 0o100644, sizeBytes: 4 };
    return fail('not-found', `Could not find the file ${path} in container ${reference}`);
  }

  async read(reference: string, path: string) {
    return { stat: await this.stat(reference, path), archive: pieces('a ', 'tar') };
  }

  async write(reference: string, path: string, archive: Readable): Promise<void> {
    const { mode } = await this.stat(reference, path);
    if ((mode & 0o170000) !== 0o040000) fail('invalid', 'extraction point is not a directory');
    for await (const chunk of archive.iterator({ destroyOnReturn: false }))
      this.writtenBytes += (chunk as Buffer).length;
  }

  async export(reference: string) {
    this.#get(reference);
    return pieces('a ', 'tar');
  }

  async changes(reference: string) {
    this.#get(reference);
    return [
      { path: '/data', kind: 'changed' },
      { path: '/data/file', kind: 'added' },
      { path: '/gone', kind: 'deleted' },
    ] as const;
  }

  async sizes(reference: string) {
    this.#get(reference);
    return { ownBytes: 12, rootBytes: 1_234_579 };
  }

  async commit(reference: string): Promise<string> {
    this.#get(reference);
    return `sha256:${'c'.repeat(64)}`;
  }
}

async function* pieces(...texts: string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text);
}
