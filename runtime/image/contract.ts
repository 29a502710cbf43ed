// What the container code, the API and the agent ask of the image store.
import type { Readable } from 'node:stream';

/** The part of an OCI image config that running needs; absent means empty. Field names are ours, times in ms. */
export interface ImageConfig {
  readonly user: string;
  readonly env: readonly string[];
  readonly entrypoint: readonly string[] | undefined;
  readonly command: readonly string[] | undefined;
  readonly workingDirectory: string;
  readonly exposedPorts: readonly string[]; // '80/tcp'
  readonly volumes: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly stopSignal: string;
  readonly onBuild?: readonly string[];
  readonly shell?: readonly string[];
  readonly healthCheck?: {
    readonly test: readonly string[];
    readonly intervalMs: number;
    readonly timeoutMs: number;
    readonly startPeriodMs: number;
    readonly startIntervalMs: number;
    readonly retries: number;
  };
}

export interface Image {
  readonly id: string; // sha256:… of the config blob
  readonly tags: readonly string[]; // familiar form: busybox:latest
  readonly digests: readonly string[]; // busybox@sha256:…
  readonly parentId: string;
  readonly createdAtMs: number;
  readonly author: string;
  readonly comment: string;
  readonly architecture: string;
  readonly variant: string; // of the architecture: v7
  readonly os: string;
  readonly osVersion: string;
  readonly dockerVersion: string;
  readonly taggedAtMs: number; // the last time a name was given here; 0: never
  readonly sizeBytes: number; // unpacked
  readonly config: ImageConfig;
  readonly layers: readonly string[]; // diff ids
  readonly layerBytes: readonly number[]; // unpacked, one for each of `layers`
  readonly layerFolders: readonly string[]; // where they are unpacked, bottom first
  readonly history: readonly {
    readonly createdAtMs: number;
    readonly createdBy: string;
    readonly comment: string;
    readonly emptyLayer: boolean;
  }[];
}

export type ProgressLine =
  | { readonly stream: string }
  | { readonly aux: Readonly<Record<string, unknown>> }
  | { readonly status: string; readonly id?: string; readonly progress?: { current: number; total: number } };

/** A new image of another's layers and one more: what `docker commit` makes. */
export interface ImageExtension {
  /** Chain ids of the layers below, bottom first, as a container holds them; [] for none. */
  readonly base: readonly string[];
  /** Where history and platform come from, as long as it is still here. */
  readonly baseImageId: string;
  /** The difference as a tar stream with whiteouts, plain or compressed; undefined when nothing differs. */
  readonly layer: Readable | undefined;
  readonly config: ImageConfig;
  readonly author: string;
  readonly comment: string;
  readonly createdBy: string;
  readonly createdAtMs: number;
  readonly containerId: string;
  readonly target: string; // repository[:tag], '' for none
}

export interface Images {
  list(): readonly Image[];
  /** By tag, id, id prefix, or digest. Throws not-found: "No such image: x:latest". */
  get(reference: string): Image;
  tag(reference: string, target: string): Promise<void>;
  /** Untags, and deletes what no tag, child or container holds. */
  remove(
    reference: string,
    options: { force: boolean },
  ): Promise<readonly ({ untagged: string } | { deleted: string })[]>;
  /** docker-archive or OCI layout, plain or gzip. One line for each loaded image. */
  load(archive: Readable, onProgress: (line: ProgressLine) => void, abort?: AbortSignal): Promise<readonly string[]>;
  /** docker-archive that is also an OCI layout. */
  save(references: readonly string[]): Promise<Readable>;
  /** A root file system as one layer. `changes` are Dockerfile lines (CMD, ENV, …). Same bytes in, same id out. Resolves with the id. */
  import(
    archive: Readable,
    options: { target: string; changes: readonly string[]; message: string },
    abort?: AbortSignal,
  ): Promise<string>;
  /** Adds an image made here from another one; resolves with its id. The base is held meanwhile. */
  extend(extension: ImageExtension, abort?: AbortSignal): Promise<string>;
  /** Folders of the unpacked layers, for overlayfs; held against removal until released. */
  hold(imageId: string, holder: ImageHolder): HeldLayers;
  /** As `hold`, after a restart: the layers may outlive an image that was removed by force. */
  holdLayers(imageId: string, layers: readonly string[], holder: ImageHolder): HeldLayers;
}

/** Who keeps an image from being removed. */
export interface ImageHolder {
  readonly containerId: string;
  isRunning(): boolean;
}

export interface HeldLayers {
  readonly lowers: readonly string[]; // folders, top first
  readonly opaqueFolders: readonly (readonly string[])[]; // of each lower, relative: they hide what is below them
  readonly layers: readonly string[]; // chain ids, bottom first
  /** Resolves when what nobody needs any more is deleted; never rejects: a deletion that fails is made up for later. */
  release(): Promise<void>;
}
