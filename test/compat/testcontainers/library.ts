// What of testcontainers is used here. It is no dependency of ours: the comparison fetches it into a folder of its own.
import { createRequire } from 'node:module';
import { join } from 'node:path';

export interface Ran {
  readonly output: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

export interface Stopped {
  getId(): string;
  copyArchiveFromContainer(path: string): Promise<NodeJS.ReadableStream>;
}

export interface Started {
  stop(options?: { remove?: boolean; timeout?: number }): Promise<Stopped>;
  restart(): Promise<void>;
  commit(options: object): Promise<string>;
  getHost(): string;
  getHostname(): string;
  getMappedPort(port: number | string): number;
  getFirstMappedPort(): number;
  getId(): string;
  getName(): string;
  getLabels(): Readonly<Record<string, string>>;
  getNetworkNames(): string[];
  getNetworkId(name: string): string;
  getIpAddress(name: string): string;
  copyFilesToContainer(files: readonly object[]): Promise<void>;
  copyDirectoriesToContainer(folders: readonly object[]): Promise<void>;
  copyContentToContainer(contents: readonly object[]): Promise<void>;
  copyArchiveToContainer(archive: NodeJS.ReadableStream, target: string): Promise<void>;
  copyArchiveFromContainer(path: string): Promise<NodeJS.ReadableStream>;
  exec(command: string | readonly string[], options?: object): Promise<Ran>;
  logs(options?: object): Promise<NodeJS.ReadableStream>;
}

interface WaitStrategy {
  withStartupTimeout(ms: number): WaitStrategy;
  forStatusCode(code: number): WaitStrategy;
}

export interface Generic {
  start(): Promise<Started>;
  withName(name: string): Generic;
  withCommand(command: readonly string[]): Generic;
  withEntrypoint(entrypoint: readonly string[]): Generic;
  withEnvironment(environment: Readonly<Record<string, string>>): Generic;
  withLabels(labels: Readonly<Record<string, string>>): Generic;
  withExposedPorts(...ports: readonly (number | string | object)[]): Generic;
  withWaitStrategy(strategy: WaitStrategy): Generic;
  withStartupTimeout(ms: number): Generic;
  withHealthCheck(check: object): Generic;
  withNetwork(network: StartedNetwork): Generic;
  withNetworkMode(mode: string): Generic;
  withNetworkAliases(...aliases: readonly string[]): Generic;
  withExtraHosts(hosts: readonly object[]): Generic;
  withBindMounts(mounts: readonly object[]): Generic;
  withTmpFs(mounts: Readonly<Record<string, string>>): Generic;
  withUlimits(limits: object): Generic;
  withAddedCapabilities(...names: readonly string[]): Generic;
  withDroppedCapabilities(...names: readonly string[]): Generic;
  withSecurityOpt(...options: readonly string[]): Generic;
  withPrivilegedMode(): Generic;
  withUser(user: string): Generic;
  withWorkingDir(path: string): Generic;
  withHostname(name: string): Generic;
  withIpcMode(mode: string): Generic;
  withSharedMemorySize(bytes: number): Generic;
  withResourcesQuota(quota: object): Generic;
  withPlatform(platform: string): Generic;
  withDefaultLogDriver(): Generic;
  withReuse(): Generic;
  withAutoRemove(remove: boolean): Generic;
  withLogConsumer(consumer: (stream: NodeJS.ReadableStream) => void): Generic;
  withCopyFilesToContainer(files: readonly object[]): Generic;
  withCopyDirectoriesToContainer(folders: readonly object[]): Generic;
  withCopyContentToContainer(contents: readonly object[]): Generic;
  withCopyArchivesToContainer(archives: readonly object[]): Generic;
}

export interface StartedNetwork {
  getId(): string;
  getName(): string;
  stop(): Promise<unknown>;
}

export interface StartedCompose {
  getContainer(name: string): Started;
  stop(): Promise<unknown>;
  down(options?: object): Promise<unknown>;
}

interface Compose {
  withProjectName(name: string): Compose;
  withEnvironment(environment: Readonly<Record<string, string>>): Compose;
  up(services?: readonly string[]): Promise<StartedCompose>;
}

interface Builder {
  withBuildArgs(args: Readonly<Record<string, string>>): Builder;
  build(name?: string): Promise<Generic>;
}

export interface Testcontainers {
  readonly GenericContainer: { new (image: string): Generic; fromDockerfile(context: string): Builder };
  readonly Network: new () => { start(): Promise<StartedNetwork> };
  readonly DockerComposeEnvironment: new (folder: string, files: string) => Compose;
  readonly Wait: {
    forListeningPorts(): WaitStrategy;
    forLogMessage(message: string | RegExp, times?: number): WaitStrategy;
    forHealthCheck(): WaitStrategy;
    forHttp(path: string, port: number, options?: object): WaitStrategy;
    forSuccessfulCommand(command: string): WaitStrategy;
    forOneShotStartup(): WaitStrategy;
    forAll(strategies: readonly WaitStrategy[]): WaitStrategy;
  };
}

/** From the folder that it was installed into. */
export const testcontainersIn = (folder: string): Testcontainers =>
  createRequire(join(folder, 'node_modules/'))('testcontainers') as Testcontainers;
