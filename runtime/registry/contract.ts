// What the API and the agent ask of registries.
import type { ProgressLine } from '../image/contract.ts';
import type { Platform } from '../../base/platform.ts';

/** Who somebody is to a registry. Never logged, never shown. */
export interface RegistryAuth {
  readonly username: string;
  readonly password: string;
  readonly identityToken: string; // in place of a password: a refresh token
  readonly registryToken: string; // in place of everything: sent as it is
  readonly serverAddress: string;
}

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly sizeBytes: number;
}

/** As dockerd's settings of the same names. */
export interface RegistrySettings {
  readonly mirrors: readonly string[]; // of docker.io: https://mirror.example
  readonly insecure: readonly string[]; // host[:port] or CIDR; loopback is always
  readonly downloadsMax: number;
  readonly uploadsMax: number;
  readonly attemptsMax: number;
}

export interface RegistryRequest {
  readonly auth?: RegistryAuth | undefined;
  readonly abort?: AbortSignal | undefined;
}

type Report = (line: ProgressLine) => void;

export interface Registries {
  readonly settings: RegistrySettings;
  /** One image, or with `allTags` every tag of a repository. Resolves with the last image's id. */
  pull(
    reference: string,
    options: RegistryRequest & { platform?: string; allTags?: boolean; report: Report },
  ): Promise<string>;
  push(reference: string, options: RegistryRequest & { allTags?: boolean; report: Report }): Promise<void>;
  /** What a name means in its registry now, without fetching it. */
  resolve(
    reference: string,
    options: RegistryRequest,
  ): Promise<{ descriptor: Descriptor; platforms: readonly Platform[] }>;
  /** Resolves when the registry takes these credentials; with an identity token if it gave one. */
  login(auth: RegistryAuth, abort?: AbortSignal): Promise<{ identityToken: string }>;
}
