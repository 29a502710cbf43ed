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
  readonly os: string;
  readonly sizeBytes: number; // unpacked
  readonly config: ImageConfig;
  readonly layers: readonly string[]; // diff ids
  readonly history: readonly {
    readonly createdAtMs: number;
    readonly createdBy: string;
    readonly comment: string;
    readonly emptyLayer: boolean;
  }[];
}

export type ProgressLine =
  | { readonly stream: string }
  | { readonly status: string; readonly id?: string; readonly progress?: { current: number; total: number } };

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
  release(): void;
}
