// The swarm's part of the daemon, loaded when it is needed: at once where the node is part of a swarm, otherwise when
// somebody founds or joins one. It is half of the daemon's code, and a machine in no swarm does without.
import { existsSync } from 'node:fs';
import type { SwarmAccess, SwarmInfo, SwarmInitRequest, SwarmJoinRequest, SwarmRestoreRequest } from '../api/deps.ts';
import { CodedError } from '../base/errors.ts';
import type { ClusterControl } from '../proto/control.ts';
import type { NodePath } from '../proto/node-path.ts';
import { swarmFolder } from './data-root.ts';
import type { SwarmNode, SwarmNodeOptions } from './swarm-node.ts';
import { NOT_IN_SWARM, OPENING } from './swarm-sentences.ts';

const NOBODY = { nodeId: '', nodeAddress: '', controlAvailable: false, error: '', remoteManagers: [] };

export class LateSwarm implements SwarmAccess, AsyncDisposable {
  readonly opened: Promise<void>;
  readonly #options: SwarmNodeOptions;
  readonly #isMember: boolean;
  #tellOpened: (outcome: Promise<void>) => void = () => undefined;
  #loading: Promise<SwarmNode> | undefined;
  #node: SwarmNode | undefined;

  constructor(options: SwarmNodeOptions) {
    this.#options = options;
    this.#isMember = existsSync(swarmFolder(options.dataRoot)); // or an interrupted join left it
    this.opened = new Promise((resolve) => {
      this.#tellOpened = resolve;
    });
    this.opened.catch(() => undefined); // `open` says it as well
  }

  /** Takes up the swarm that is on disk, if any. */
  async open(): Promise<void> {
    const opening = this.#isMember ? this.#load().then(() => undefined) : Promise.resolve();
    this.#tellOpened(opening);
    await opening;
  }

  info(): SwarmInfo {
    return this.#node?.info() ?? { state: this.#isMember ? 'pending' : 'inactive', ...NOBODY };
  }

  paths(): readonly NodePath[] {
    return this.#node?.paths() ?? [];
  }

  control(): ClusterControl {
    return this.#now().control();
  }

  backup(abort: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#now().backup(abort);
  }

  async init(request: SwarmInitRequest): Promise<string> {
    return await (await this.#load()).init(request);
  }

  async join(request: SwarmJoinRequest): Promise<void> {
    await (await this.#load()).join(request);
  }

  async leave(how: { force: boolean }): Promise<void> {
    await (await this.#load()).leave(how);
  }

  async restore(request: SwarmRestoreRequest, file: Uint8Array): Promise<string> {
    return await (await this.#load()).restore(request, file);
  }

  async unlock(key: string): Promise<void> {
    await (await this.#load()).unlock(key);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const node = await this.#loading?.catch(() => undefined); // whoever asked for it has its failure
    await node?.[Symbol.asyncDispose]();
  }

  #now(): SwarmNode {
    if (this.#node) return this.#node;
    throw new CodedError('unavailable', this.#isMember ? OPENING : NOT_IN_SWARM);
  }

  #load(): Promise<SwarmNode> {
    this.#loading ??= this.#loadNow().catch((error: unknown) => {
      this.#loading = undefined; // the next one tries again
      throw error;
    });
    return this.#loading;
  }

  async #loadNow(): Promise<SwarmNode> {
    const { openSwarmNode } = await import('./swarm-node.ts');
    this.#node = await openSwarmNode(this.#options);
    return this.#node;
  }
}
