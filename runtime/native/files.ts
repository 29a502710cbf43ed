// Files of containers, through a process of the zygote for each request: it answers with a stat, then with the bytes of
// an archive, and at last says whether that was all.
import type { Duplex } from 'node:stream';
import { fail } from '../../base/errors.ts';
import { owning } from '../../base/owning.ts';
import type { Connection } from './connection.ts';
import type { FileChange, FileStat, FileView, NativeFiles } from './contract.ts';
import { decodeFault, decodeFile, encodeFiles, type FilesRequest } from './messages.ts';
import { FRAME } from './wire.ts';
import type { Zygote } from './zygote.ts';

const KINDS: Readonly<Record<string, FileChange['kind']>> = { C: 'changed', A: 'added', D: 'deleted' };

export class HelperFiles implements NativeFiles {
  readonly #zygote: Pick<Zygote, 'ask'>;

  constructor(zygote: Pick<Zygote, 'ask'>) {
    this.#zygote = zygote;
  }

  async stat(view: FileView, path: string): Promise<FileStat> {
    return await this.#looked({ operation: 'stat', view, path });
  }

  async read(view: FileView, path: string, name: string): Promise<{ stat: FileStat; archive: AsyncIterable<Buffer> }> {
    const connection = await this.#ask({ operation: 'read', view, path, name });
    try {
      const stat = decodeFile(await connection.expect(FRAME.file));
      return { stat, archive: dataOf(connection) };
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  async write(
    view: FileView,
    path: string,
    options: { readonly keepsKind: boolean; readonly owner: string },
  ): Promise<{ input: Duplex; done: Promise<void> }> {
    const connection = await this.#ask({ operation: 'write', view, path, ...options });
    const done = connection.expect(FRAME.ok).then(() => undefined);
    return { input: connection.socket, done: done.finally(() => connection.close()) };
  }

  async exportRoot(view: FileView): Promise<AsyncIterable<Buffer>> {
    return dataOf(await this.#ask({ operation: 'export', view }));
  }

  async layer(view: FileView & { readonly kind: 'layers' }): Promise<AsyncIterable<Buffer>> {
    return dataOf(await this.#ask({ operation: 'layer', view }));
  }

  async changes(view: FileView & { readonly kind: 'layers' }): Promise<FileChange[]> {
    const chunks: Buffer[] = [];
    for await (const chunk of dataOf(await this.#ask({ operation: 'changes', view }))) chunks.push(Buffer.from(chunk));
    const records = Buffer.concat(chunks).toString('utf8').split('\0').slice(0, -1);
    return records.map(changeOf).sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  async sizeBytes(folder: string): Promise<number> {
    return (await this.#looked({ operation: 'size', view: { kind: 'folder', path: folder } })).sizeBytes;
  }

  async #looked(request: FilesRequest): Promise<FileStat> {
    const connection = await this.#ask(request);
    try {
      return decodeFile(await connection.expect(FRAME.file));
    } finally {
      connection.close();
    }
  }

  #ask(request: FilesRequest): Promise<Connection> {
    return this.#zygote.ask(encodeFiles(1, request));
  }
}

function changeOf(record: string): FileChange {
  const kind = KINDS[record.slice(0, 1)] ?? fail('internal', `unknown kind of change '${record.slice(0, 1)}'`);
  return { kind, path: record.slice(1) };
}

/** Ends well only if the helper said so; otherwise its reason is thrown. Leaving it early closes the connection. */
function dataOf(connection: Connection): AsyncIterable<Buffer> {
  return owning(framesOf(connection), () => connection.close());
}

async function* framesOf(connection: Connection): AsyncGenerator<Buffer, void, void> {
  for (;;) {
    const frame = await connection.next();
    if (frame === undefined) fail('unavailable', 'the helper closed the connection before the end of the archive');
    if (frame.type === FRAME.ok) return;
    if (frame.type === FRAME.fault) throw decodeFault(frame).error;
    if (frame.type !== FRAME.data) fail('internal', `the helper sent frame ${frame.type} within an archive`);
    yield frame.payload;
  }
}
