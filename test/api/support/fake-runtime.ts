// A runtime without a machine, one image in it.
import { BoundedQueue } from '../../../base/bounded-queue.ts';
import { EventEmitter } from 'node:events';
import { fail } from '../../../base/errors.ts';
import type { Readable } from 'node:stream';
import { Readable as NodeReadable } from 'node:stream';
import type { Events, Runtime, RuntimeEvent, VolumeInfo, Volumes } from '../../../runtime/contract.ts';
import type { Image, Images, ProgressLine } from '../../../runtime/image/contract.ts';
import type { Registries, RegistryAuth, RegistryRequest } from '../../../runtime/registry/contract.ts';
import { DEFAULT_SETTINGS } from '../../../runtime/registry/settings.ts';
import type { IngressReport, NetworkInfo, Networks } from '../../../runtime/network/contract.ts';
import { FakeContainers, NOW_MS } from './fake-containers.ts';
import { noNames, noOverlays } from '../../support/no-names.ts';

export const BUSYBOX: Image = {
  id: `sha256:${'b'.repeat(64)}`,
  tags: ['busybox:latest'],
  digests: [],
  parentId: '',
  createdAtMs: NOW_MS - 3_600_000,
  author: '',
  comment: '',
  architecture: 'amd64',
  variant: '',
  os: 'linux',
  osVersion: '',
  dockerVersion: '',
  taggedAtMs: NOW_MS - 3_600_000,
  sizeBytes: 1_234_567,
  layerBytes: [1_234_567],
  layerFolders: ['/var/lib/shoal/image/layer/cc'],
  config: {
    user: '',
    env: ['PATH=/bin'],
    entrypoint: undefined,
    command: ['sh'],
    workingDirectory: '',
    exposedPorts: [],
    volumes: [],
    labels: {},
    stopSignal: '',
  },
  layers: [`sha256:${'c'.repeat(64)}`],
  history: [{ createdAtMs: NOW_MS - 3_600_000, createdBy: 'ADD rootfs', comment: '', emptyLayer: false }],
};

export class FakeImages implements Images {
  readonly calls: string[] = [];
  images: Image[] = [BUSYBOX];
  loadedBytes = 0;
  /** Emits 'piece' for each piece of an archive that is being loaded. */
  readonly arrivals = new EventEmitter();

  list() {
    return this.images;
  }

  get(reference: string): Image {
    const familiar = reference.replace(/^docker\.io\/(library\/)?/, '');
    const tagged = /[:@][^/]*$/.test(familiar) ? familiar : `${familiar}:latest`;
    const found = this.images.find(
      ({ id, tags }) => tags.includes(tagged) || id === reference || id.startsWith(`sha256:${reference}`),
    );
    return found ?? fail('not-found', `No such image: ${tagged}`);
  }

  async tag(reference: string, target: string) {
    this.calls.push(`tag ${target}`);
    const image = this.get(reference);
    this.images = this.images.map((other) => (other === image ? { ...image, tags: [...image.tags, target] } : other));
  }

  async remove(reference: string) {
    this.calls.push('remove');
    const image = this.get(reference);
    this.images = this.images.filter((other) => other !== image);
    return [{ untagged: reference }, { deleted: image.id }];
  }

  async load(archive: Readable, onProgress: (line: ProgressLine) => void) {
    this.loadedBytes = 0;
    for await (const chunk of archive) {
      this.loadedBytes += (chunk as Buffer).length;
      this.arrivals.emit('piece');
    }
    if (this.loadedBytes === 0) fail('invalid', 'the archive is empty');
    onProgress({ stream: 'Loaded image: busybox:latest\n' });
    return [BUSYBOX.id];
  }

  async save() {
    return NodeReadable.from([Buffer.from('a tar')]);
  }

  async import(archive: Readable, options: { target: string; changes: readonly string[]; message: string }) {
    for await (const chunk of archive) void chunk;
    this.calls.push(`import ${JSON.stringify(options)}`);
    return BUSYBOX.id;
  }

  async extend() {
    return BUSYBOX.id;
  }

  hold() {
    return { lowers: [], opaqueFolders: [], layers: [], release: async () => {} };
  }

  holdLayers() {
    return this.hold();
  }
}

/** Knows one image, by one name. */
export class FakeRegistries implements Registries {
  readonly settings = {
    ...DEFAULT_SETTINGS,
    mirrors: ['https://mirror.example'],
    insecure: ['10.0.0.0/8', 'old:5000'],
  };
  readonly calls: string[] = [];

  async pull(reference: string, options: Parameters<Registries['pull']>[1]) {
    this.#called('pull', reference, options);
    options.report({ status: 'Pulling from library/busybox', id: 'latest' });
    options.report({ status: 'Downloading', id: 'cccccccccccc', progress: { current: 50, total: 100 } });
    if (reference.includes('broken')) fail('unavailable', 'the connection broke');
    return BUSYBOX.id;
  }

  async push(reference: string, options: Parameters<Registries['push']>[1]) {
    this.#called('push', reference, options);
    options.report({ aux: { Tag: 'latest', Digest: BUSYBOX.id, Size: 7 } });
  }

  async resolve(reference: string, options: RegistryRequest) {
    this.#called('resolve', reference, options);
    const platforms = [{ os: 'linux', architecture: 'arm', variant: 'v7' }];
    return { descriptor: { mediaType: 'm', digest: BUSYBOX.id, sizeBytes: 7 }, platforms };
  }

  async login(auth: RegistryAuth) {
    if (auth.password !== 'right') fail('unauthenticated', 'unauthorized: authentication required');
    return { identityToken: '' };
  }

  #called(what: string, reference: string, { auth }: RegistryRequest): void {
    this.calls.push(`${what} ${reference} as ${auth?.username ?? 'nobody'}`);
    if (reference.includes('absent')) fail('not-found', `manifest for ${reference} not found: manifest unknown`);
    if (reference.includes('down')) fail('unavailable', 'connect ECONNREFUSED');
  }
}

export class FakeEvents implements Events {
  readonly past: RuntimeEvent[] = [];
  readonly #queues = new Set<BoundedQueue<RuntimeEvent>>();

  publish(event: Omit<RuntimeEvent, 'timeNs'>): void {
    const stamped = { ...event, timeNs: BigInt(NOW_MS) * 1_000_000n + BigInt(this.past.length + 1) };
    this.past.push(stamped);
    for (const queue of this.#queues) queue.push(stamped);
  }

  subscribe(options: { sinceNs?: bigint; abort: AbortSignal }) {
    const queue = new BoundedQueue<RuntimeEvent>({ lengthMax: 1_000, whenFull: 'fail' });
    this.#queues.add(queue);
    const { sinceNs } = options;
    if (sinceNs !== undefined) for (const event of this.past) if (event.timeNs >= sinceNs) queue.push(event);
    return queue.drain(options.abort) as AsyncIterable<RuntimeEvent>;
  }

  listen() {
    return { [Symbol.dispose]() {} };
  }
}

export class FakeVolumes implements Volumes {
  volumes: VolumeInfo[] = [];

  list() {
    return this.volumes;
  }

  get(name: string) {
    return this.volumes.find((volume) => volume.name === name) ?? fail('not-found', `get ${name}: no such volume`);
  }

  async create(request: {
    name: string;
    driver: string;
    labels: VolumeInfo['labels'];
    options: VolumeInfo['options'];
  }) {
    const existing = this.volumes.find((volume) => volume.name === request.name);
    if (existing) return existing;
    const anonymous = request.name === '';
    const name = anonymous ? 'f'.repeat(64) : request.name;
    const volume = { ...request, name, mountpoint: `/v/${name}`, createdAtMs: NOW_MS, anonymous, usedBy: [] };
    this.volumes = [...this.volumes, volume];
    return volume;
  }

  async sizeBytes(name: string) {
    this.get(name);
    return 5;
  }

  async remove(name: string) {
    const volume = this.get(name);
    if (volume.usedBy.length > 0) fail('conflict', `remove ${name}: volume is in use - [${volume.usedBy.join(', ')}]`);
    this.volumes = this.volumes.filter((other) => other !== volume);
  }
}

const BRIDGE: NetworkInfo = {
  id: 'd'.repeat(64),
  name: 'bridge',
  driver: 'bridge',
  scope: 'local',
  createdAtMs: NOW_MS - 60_000,
  internal: false,
  attachable: false,
  labels: {},
  options: {},
  subnet: '172.17.0.0/16',
  gateway: '172.17.0.1',
  endpoints: [],
};

export class FakeNetworks implements Networks {
  ingressReport: IngressReport = { nodes: [], ports: [] };
  guests: Networks['guests'];
  readonly names = noNames;
  report() {
    return Promise.resolve({
      differences: [],
      repaired: {},
      encryption: [],
      pairs: [],
      unreached: [],
      ingress: this.ingress(),
    });
  }
  ingress(): IngressReport {
    return this.ingressReport;
  }
  readonly overlays = noOverlays;
  networks: NetworkInfo[] = [BRIDGE];

  list() {
    return this.networks;
  }

  get(name: string) {
    const found = this.networks.find((network) => network.name === name || network.id.startsWith(name));
    return found ?? fail('not-found', `network ${name} not found`);
  }

  async create(request: Parameters<Networks['create']>[0]) {
    if (this.networks.some(({ name }) => name === request.name))
      fail('conflict', `network with name ${request.name} already exists`);
    const network: NetworkInfo = { ...BRIDGE, ...request, id: '9'.repeat(64), driver: 'bridge' };
    this.networks = [...this.networks, network];
    return network;
  }

  async remove(name: string) {
    const network = this.get(name);
    if (network.name === 'bridge') fail('forbidden', 'bridge is a pre-defined network and cannot be removed');
    this.networks = this.networks.filter((other) => other !== network);
  }

  async join(): Promise<never> {
    return fail('internal', 'not in this fake');
  }
  async leave() {}
  releaseSandbox() {}
  async adopt() {}
  async applyIngress() {}
  openWays = async () => false;
  async knowNodes() {}
  async clearIngress() {}
  async breakConnections() {}
}

export class FakeRuntime implements Runtime {
  adopted = Promise.resolve();
  readonly containers = new FakeContainers();
  readonly images = new FakeImages();
  readonly registries = new FakeRegistries();
  readonly networks = new FakeNetworks();
  readonly volumes = new FakeVolumes();
  readonly events = new FakeEvents();
  readonly ociRuntimes = { list: async () => new Map([['crun', { path: '/usr/bin/crun', args: ['--debug'] }]]) };

  async [Symbol.asyncDispose]() {}
}
