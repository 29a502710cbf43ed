// The NativeRuntime over the C helper family: builds it, keeps a zygote, launches and adopts shims.
import { execFile } from 'node:child_process';
import { release } from 'node:os';
import type { Duplex } from 'node:stream';
import { promisify } from 'node:util';
import { type Clock, systemClock } from '../../base/clock.ts';
import { fail, sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { nativeBinary, type NativeBinary } from './binary.ts';
import { type Connection, within } from './connection.ts';
import type { LaunchRequest, NativeFiles, NativeMount, NativeRuntime, NativeVolumes, Shim } from './contract.ts';
import { HelperFiles } from './files.ts';
import { FolderRemoval } from './folder-removal.ts';
import { decodeStatus, encodeLaunch, encodeUnpack } from './messages.ts';
import { HelperVolumes } from './volumes.ts';
import { killOrphan, NativeShim, type ShimOptions } from './shim.ts';
import { FRAME } from './wire.ts';
import { Zygote } from './zygote.ts';

const LAUNCH_MS_MAX = 90_000;
const SPREAD_MS_MAX = 10_000;
const run = promisify(execFile);

export interface NativeRuntimeOptions {
  /** Short, on a file system of this machine; made 0700. Holds the zygote's socket. */
  readonly runDirectory: string;
  /** The compiled helper, or where it is kept and put. */
  readonly binary?: NativeBinary;
  readonly cacheDirectory: string;
  readonly log: Log;
  readonly clock?: Clock;
}

/** Compiles the helper if need be and makes sure that a zygote answers. */
export async function openNativeRuntime(options: NativeRuntimeOptions): Promise<NativeRuntime> {
  refuseOldKernel(release());
  const binary = options.binary ?? (await nativeBinary(options.cacheDirectory));
  const clock = options.clock ?? systemClock;
  const zygote = new Zygote({ runDirectory: options.runDirectory, binary, clock, log: options.log });
  await zygote.open();
  return new Runtime({ zygote, binary, clock, log: options.log });
}

/** mount_setattr is the newest call that nothing stands in for. */
export function refuseOldKernel(version: string): void {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  if (major > 5 || (major === 5 && minor >= 12)) return;
  fail('unavailable', `containers need Linux 5.12 or newer; this is ${version}`);
}

interface Parts {
  readonly zygote: Zygote;
  readonly binary: NativeBinary;
  readonly clock: Clock;
  readonly log: Log;
}

class Runtime implements NativeRuntime {
  readonly files: NativeFiles;
  readonly volumes: NativeVolumes;
  readonly #parts: Parts;
  readonly #removal: FolderRemoval;
  readonly #shims = new Set<NativeShim>();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.files = new HelperFiles(parts.zygote);
    this.volumes = new HelperVolumes(parts.binary);
    this.#removal = new FolderRemoval(parts);
  }

  async launch(request: LaunchRequest): Promise<Shim> {
    const frame = encodeLaunch(1, request.runtime && request.useInit ? withInit(request, this.#parts.binary) : request);
    const connection = await this.#parts.zygote.ask(frame);
    try {
      const { status } = decodeStatus(await this.#within(`launch of ${request.containerId}`, connection));
      return this.#keep(new NativeShim(connection, status, this.#shimOptions(request.runDirectory)));
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  async adopt(containerId: string, runDirectory: string): Promise<Shim | undefined> {
    const shim = await NativeShim.find(this.#shimOptions(runDirectory));
    if (shim === undefined) {
      if (await killOrphan(runDirectory)) this.#parts.log.warn('ended a container without shim', { containerId });
      return undefined;
    }
    if (shim.containerId === containerId) return this.#keep(shim);
    shim.disconnect();
    return undefined;
  }

  async unpack(directory: string, options: { layer: boolean }): Promise<{ input: Duplex; done: Promise<void> }> {
    const connection = await this.#parts.zygote.ask(encodeUnpack(1, directory, options.layer));
    const done = connection.expect(FRAME.ok).then(
      () => connection.close(),
      (error: unknown) => {
        connection.close();
        throw error;
      },
    );
    return { input: connection.socket, done };
  }

  removeFolder(path: string): Promise<void> {
    return this.#removal.remove(path);
  }

  async spread(folders: readonly string[]): Promise<void> {
    const { binary, log } = this.#parts;
    try {
      await run(binary.path, ['spread', ...folders], { timeout: SPREAD_MS_MAX });
    } catch (error) {
      log.debug('folders are not spread: starts are slower', { reason: sentenceOf(error) }); // nothing depends on it
    }
  }

  /** Ends the zygote; containers and their shims live on and are adopted by the next daemon. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const shim of this.#shims) shim.disconnect();
    await this.#parts.zygote.stop();
  }

  #within(what: string, connection: Connection) {
    return within(this.#parts.clock, LAUNCH_MS_MAX, what, connection.expect(FRAME.status));
  }

  #shimOptions(runDirectory: string): ShimOptions {
    const { binary, clock, log } = this.#parts;
    return { runDirectory, sourceHash: binary.sourceHash, clock, log };
  }

  #keep(shim: NativeShim): NativeShim {
    this.#shims.add(shim);
    void shim.exited.then(() => this.#shims.delete(shim));
    return shim;
  }
}

/** Another runtime does not have our init in it: it gets the helper's binary as a program, where Docker has its own. */
function withInit(request: LaunchRequest, binary: NativeBinary): LaunchRequest {
  const target = '/sbin/docker-init';
  const { process } = request;
  const program: NativeMount = {
    type: 'bind',
    source: binary.path,
    target,
    readOnly: true,
    flags: [],
    propagation: 'rprivate',
    recursive: false,
    data: '',
  };
  return {
    ...request,
    useInit: false,
    mounts: [...request.mounts, program],
    process: { ...process, args: [target, '--', ...process.args] },
  };
}
