// A registry client over a store of its own, and a registry for it to talk to.
import type { Clock } from '../../base/clock.ts';
import { systemClock } from '../../base/clock.ts';
import { seededRandom } from '../../base/random.ts';
import type { ProgressLine } from '../../runtime/image/contract.ts';
import type { Unpack } from '../../runtime/image/layers.ts';
import type { RegistryAuth, RegistrySettings } from '../../runtime/registry/contract.ts';
import { RegistryClient } from '../../runtime/registry/registries.ts';
import { DEFAULT_SETTINGS } from '../../runtime/registry/settings.ts';
import { type TestStore, testStore } from '../image/support.ts';
import { FakeRegistry } from '../support/fake-registry.ts';

/** Waits take no time, so that every try of a client is made at once. */
const hastyClock: Clock = {
  ...systemClock,
  async sleep(_ms, options) {
    options?.abort?.throwIfAborted();
    await Promise.resolve();
  },
};

export class Desk implements AsyncDisposable {
  readonly registry: FakeRegistry;
  readonly store: TestStore;
  readonly client: RegistryClient;
  lines: ProgressLine[] = [];

  constructor(registry: FakeRegistry, store: TestStore, settings: Partial<RegistrySettings>) {
    this.registry = registry;
    this.store = store;
    this.client = clientOf(store, settings);
  }

  static async open(settings: Partial<RegistrySettings> = {}, unpack?: Unpack): Promise<Desk> {
    return new Desk(await FakeRegistry.start(), await testStore(unpack), settings);
  }

  name(rest: string): string {
    return `${this.registry.host}/${rest}`;
  }

  pull(
    rest: string,
    options: { auth?: RegistryAuth; abort?: AbortSignal; platform?: string; allTags?: boolean } = {},
  ): Promise<string> {
    return this.client.pull(this.name(rest), { ...options, report: (line) => this.lines.push(line) });
  }

  push(rest: string, options: { auth?: RegistryAuth; allTags?: boolean } = {}): Promise<void> {
    return this.client.push(this.name(rest), { ...options, report: (line) => this.lines.push(line) });
  }

  /** `id status` of each line that is no measure. */
  get said(): string[] {
    return this.lines.flatMap((line) =>
      'status' in line && !line.progress ? [`${line.id ?? ''} ${line.status}`.trim()] : [],
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client[Symbol.dispose]();
    await this.registry[Symbol.asyncDispose]();
    await this.store[Symbol.asyncDispose]();
  }
}

export function clientOf(store: TestStore, settings: Partial<RegistrySettings> = {}): RegistryClient {
  return new RegistryClient({
    door: store.images.door,
    settings: { ...DEFAULT_SETTINGS, ...settings },
    platform: { os: 'linux', architecture: 'amd64', variant: '' },
    clock: hastyClock,
    random: seededRandom(1),
    silenceMs: 300,
  });
}

export const anAuth = (change: Partial<RegistryAuth> = {}): RegistryAuth => ({
  username: '',
  password: '',
  identityToken: '',
  registryToken: '',
  serverAddress: '',
  ...change,
});
