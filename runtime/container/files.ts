// Files of containers from outside: docker cp, diff, export, commit and sizes. A running container is entered where it
// is; one that does not run has its layers mounted by the helper for as long as the work takes, and can not start meanwhile.
import { join, posix } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CodedError, codeOf, sentenceOf } from '../../base/errors.ts';
import { owning } from '../../base/owning.ts';
import { Scope } from '../../base/scope.ts';
import { archiveFault } from '../image/archive.ts';
import { decompressor, sniff } from '../image/compression.ts';
import { applyChanges } from '../image/changes.ts';
import type { FileChange, FileStat, FileView } from '../native/contract.ts';
import type { Container } from './container.ts';
import type { CommitRequest, ContainerFiles } from './contract.ts';
import { cleanTarget } from './merge.ts';
import { byDepth, nativeMount } from './mounts.ts';
import { type ContainerParts, publishContainer } from './parts.ts';
import { discardAhead } from './prepare-ahead.ts';
import { isAlive } from './state.ts';
import { pause, unpause } from './stop.ts';
import { mountVolumes } from './volume-mounts.ts';

type LayersView = FileView & { readonly kind: 'layers' };

export class FilesOfContainers implements ContainerFiles {
  readonly #parts: ContainerParts;

  constructor(parts: ContainerParts) {
    this.#parts = parts;
  }

  async stat(reference: string, path: string): Promise<FileStat> {
    const container = this.#parts.find(reference);
    await using access = await this.#enter(container);
    return await saying(reference, this.#parts.native.files.stat(access.view, cleanPath(path)));
  }

  async read(reference: string, path: string): Promise<{ stat: FileStat; archive: AsyncIterable<Buffer> }> {
    const container = this.#parts.find(reference);
    const access = await this.#enter(container);
    try {
      const clean = cleanPath(path);
      const found = await saying(reference, this.#parts.native.files.read(access.view, clean, baseName(clean)));
      publishContainer(this.#parts, container, 'archive-path');
      return { stat: found.stat, archive: until(found.archive, access) };
    } catch (error) {
      await access[Symbol.asyncDispose]();
      throw error;
    }
  }

  async write(
    reference: string,
    path: string,
    archive: Readable,
    options: { readonly keepsKind: boolean; readonly asUser: boolean; readonly abort: AbortSignal },
  ): Promise<void> {
    const container = this.#parts.find(reference);
    const kind = await sniff(archive);
    await using access = await this.#enter(container);
    const owner = options.asUser ? container.record.config.user : '';
    const choice = { keepsKind: options.keepsKind, owner };
    const { input, done } = await this.#parts.native.files.write(access.view, cleanPath(path), choice);
    // Of a request only the bytes are taken: destroying it would cut off the answer.
    const bytes = Readable.from(archive.iterator({ destroyOnReturn: false }), { objectMode: false });
    const fed = pipeline([bytes, decompressor(kind), input], { signal: options.abort });
    const [feeding, applied] = await Promise.allSettled([fed, done]);
    if (feeding.status === 'rejected' && isUnreadable(feeding.reason)) throw archiveFault(feeding.reason);
    // The helper's reason is the better one: a refused entry also breaks our pipe.
    if (applied.status === 'rejected') await saying(reference, Promise.reject(applied.reason as Error));
    if (feeding.status === 'rejected') throw feeding.reason;
    publishContainer(this.#parts, container, 'extract-to-dir');
  }

  async export(reference: string): Promise<AsyncIterable<Buffer>> {
    const container = this.#parts.find(reference);
    const access = await this.#enter(container, { withMounts: false });
    const archive = until(await this.#parts.native.files.exportRoot(access.view), access);
    publishContainer(this.#parts, container, 'export');
    return archive;
  }

  changes(reference: string): Promise<FileChange[]> {
    return this.#parts.native.files.changes(this.#layersOf(this.#parts.find(reference)));
  }

  async sizes(reference: string): Promise<{ ownBytes: number; rootBytes: number }> {
    const container = this.#parts.find(reference);
    const ownBytes = await this.#parts.native.files.sizeBytes(join(container.folders.directory, 'upper'));
    const image = this.#parts.images.list().find(({ id }) => id === container.record.imageId);
    return { ownBytes, rootBytes: ownBytes + (image?.sizeBytes ?? 0) };
  }

  async commit(reference: string, request: CommitRequest, abort: AbortSignal): Promise<string> {
    const container = this.#parts.find(reference);
    const { files } = this.#parts.native;
    const config = applyChanges(request.changes, request.config);
    await using _still = request.pauses ? await this.#pause(container) : undefined;
    const view = this.#layersOf(container);
    const differs = (await files.changes(view)).length > 0;
    const id = await this.#parts.images.extend(
      {
        ...request,
        config,
        base: container.held.layers,
        baseImageId: container.record.imageId,
        layer: differs ? Readable.from(await files.layer(view), { objectMode: false }) : undefined,
        createdBy: container.record.args.join(' '),
        createdAtMs: this.#parts.clock.nowMs(),
        containerId: container.id,
      },
      abort,
    );
    const { comment, target } = request;
    publishContainer(this.#parts, container, 'commit', { comment, imageID: id, imageRef: target });
    return id;
  }

  /** Until it is disposed, a running container stands still. One that does not run, or was paused by somebody, is left alone. */
  async #pause(container: Container): Promise<AsyncDisposable | undefined> {
    const paused = await container.lock.run(async () => {
      if (container.state !== 'running') return false;
      await pause(container, this.#parts);
      return true;
    });
    if (!paused) return undefined;
    const goOn = async (): Promise<void> => {
      if (container.state === 'paused') await unpause(container, this.#parts);
    };
    return { [Symbol.asyncDispose]: () => container.lock.run(goOn) };
  }

  async #enter(container: Container, options = { withMounts: true }): Promise<Access> {
    const running = viewOfRunning(container);
    if (running) return { view: running, [Symbol.asyncDispose]: async () => undefined };
    const release = await lock(container);
    try {
      const meanwhile = viewOfRunning(container);
      if (!meanwhile) await discardAhead(container); // it has the same layers mounted
      if (meanwhile) release();
      await using undo = new Scope();
      if (!meanwhile && options.withMounts)
        await mountVolumes(container, this.#parts, `files of ${container.id}`, undo);
      const view = meanwhile ?? this.#layersOf(container, options);
      const mounted = undo.handOver();
      return { view, [Symbol.asyncDispose]: () => mounted[Symbol.asyncDispose]().finally(release) };
    } catch (error) {
      release();
      throw error;
    }
  }

  #layersOf(container: Container, { withMounts }: { withMounts: boolean } = { withMounts: false }): LayersView {
    const { held, folders, record } = container;
    const mounts = record.mounts.filter(({ type }) => withMounts && type !== 'tmpfs').map(nativeMount);
    return {
      kind: 'layers',
      scratch: this.#parts.runRoot,
      lowers: [...held.lowers, this.#parts.mountPoints],
      upper: join(folders.directory, 'upper'),
      work: join(folders.directory, 'work'),
      readOnly: record.config.readOnlyRoot,
      mounts: byDepth(mounts),
    };
  }
}

interface Access extends AsyncDisposable {
  readonly view: FileView;
}

function viewOfRunning({ shim, state }: Container): FileView | undefined {
  if (!shim || !isAlive(state)) return undefined;
  return { kind: 'process', pid: shim.pid, startTimeTicks: shim.startTimeTicks };
}

/** Takes the container's lock until the returned function is called. */
function lock(container: Container): Promise<() => void> {
  return new Promise((resolve) => {
    void container.lock.run(() => new Promise<void>((release) => resolve(release)));
  });
}

/** The archive, and at its end, or when its reader leaves it, the end of the access. */
const until = (archive: AsyncIterable<Buffer>, access: Access): AsyncIterable<Buffer> =>
  owning(archive, () => access[Symbol.asyncDispose]());

/** What was compressed is damaged, or is of a kind that we do not read: the helper only sees an archive that ends early. */
function isUnreadable(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^(Z(STD)?_|invalid$|not-implemented$)/.test(code);
}

/** Docker names the container as it was asked for. */
async function saying<T>(reference: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (codeOf(error) !== 'not-found') throw error;
    throw new CodedError('not-found', `${sentenceOf(error)} in container ${reference}`);
  }
}

/** Cleaned as text, as Docker does, but a slash at the end still means: what is there, not the link to it. */
function cleanPath(path: string): string {
  const clean = cleanTarget(path);
  if (clean === '/') return clean;
  if (path.endsWith('/.')) return `${clean}/.`;
  return path.endsWith('/') ? `${clean}/` : clean;
}

/** Go's filepath.Base: /a/ → a, /a/. → ., / → /. */
const baseName = (path: string): string => (path === '/' ? '/' : posix.basename(path));
