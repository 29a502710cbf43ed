// One row of /containers/json, and its filters.
import { fail } from '../../base/errors.ts';
import type { ContainerInfo, Containers } from '../../runtime/container/contract.ts';
import { type Filters, matchesName } from '../filters.ts';
import type { ContainerSummary } from '../types/container.ts';
import { mountPoints } from './container-mounts.ts';
import { statusText } from './container-status.ts';
import { type NetworkFacts, networksOf } from './attachment.ts';
import { portSummaries } from './ports.ts';
import { unixSeconds } from './time.ts';

export const CONTAINER_FILTERS = [
  'ancestor',
  'before',
  'exited',
  'expose',
  'health',
  'id',
  'is-task',
  'isolation',
  'label',
  'label!',
  'name',
  'network',
  'publish',
  'since',
  'status',
  'volume',
];

const STATES = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'];
const HEALTHS = ['starting', 'healthy', 'unhealthy', 'none'];

export interface Sizes {
  readonly ownBytes: number;
  readonly rootBytes: number;
}

interface SummaryFacts extends NetworkFacts {
  readonly tagStillThere: boolean;
  readonly nowMs: number;
  readonly sizes?: Sizes | undefined;
  /** Its names in others. */
  readonly linkNames?: readonly string[];
}

export function containerSummary(info: ContainerInfo, facts: SummaryFacts): ContainerSummary {
  const { tagStillThere, nowMs, sizes, linkNames = [] } = facts;
  return {
    Id: info.id,
    Names: [`/${info.name}`, ...linkNames].sort(),
    Image: tagStillThere ? info.imageReference : info.imageId,
    ImageID: info.imageId,
    Command: commandText(info.args),
    Created: unixSeconds(info.createdAtMs),
    Ports: portSummaries(info.endpoints, info.config.exposedPorts),
    Labels: { ...info.config.labels },
    State: info.state,
    Status: statusText(info, nowMs),
    HostConfig: { NetworkMode: info.config.network },
    NetworkSettings: { Networks: networksOf(info, facts) },
    Mounts: mountPoints(info),
    ...summarySizes(sizes),
  };
}

/** In lists a size of nothing is left out. */
const summarySizes = (sizes: Sizes | undefined): { SizeRw?: number; SizeRootFs?: number } =>
  sizes?.ownBytes === 0 ? { SizeRootFs: sizes.rootBytes } : sizesJson(sizes);

export const sizesJson = (sizes: Sizes | undefined): { SizeRw?: number; SizeRootFs?: number } =>
  sizes ? { SizeRw: sizes.ownBytes, SizeRootFs: sizes.rootBytes } : {};

/** Arguments with spaces are quoted, as Docker does for reading, not for a shell. */
function commandText(args: readonly string[]): string {
  const [path = '', ...rest] = args;
  return [path, ...rest.map((word) => (word.includes(' ') ? `'${word}'` : word))].join(' ');
}

/** Newest first, filtered; `all` off leaves the stopped ones out unless the filters ask for a state. */
export function selectContainers(
  containers: Containers,
  filters: Filters,
  options: { all: boolean; limit: number },
): ContainerInfo[] {
  for (const state of filters.values('status')) {
    if (!STATES.includes(state)) fail('invalid', `invalid filter 'status=${state}'`);
  }
  for (const health of filters.values('health')) {
    if (!HEALTHS.includes(health)) fail('invalid', `invalid filter 'health=${health}'`);
  }
  const withStopped = options.all || options.limit > 0 || filters.has('status') || filters.has('exited');
  const bounds = timeBounds(containers, filters);
  const chosen = containers
    .list()
    .filter((info) => withStopped || ['running', 'paused', 'restarting'].includes(info.state))
    .filter((info) => info.createdAtMs > bounds.afterMs && info.createdAtMs < bounds.beforeMs)
    .filter((info) => matches(info, filters))
    .sort((a, b) => b.createdAtMs - a.createdAtMs);
  return options.limit > 0 ? chosen.slice(0, options.limit) : chosen;
}

function timeBounds(containers: Containers, filters: Filters): { afterMs: number; beforeMs: number } {
  const times = (key: string): number[] => filters.values(key).map((name) => containers.get(name).createdAtMs);
  return { afterMs: Math.max(-1, ...times('since')), beforeMs: Math.min(Infinity, ...times('before')) };
}

function matches(info: ContainerInfo, filters: Filters): boolean {
  const { config } = info;
  return (
    filters.some('id', (id) => info.id.startsWith(id)) &&
    filters.some('name', (name) => matchesName(name, `/${info.name}`) || matchesName(name, info.name)) &&
    filters.matchLabels(config.labels) &&
    filters.some('status', (state) => info.state === state) &&
    filters.some('exited', (code) => info.state === 'exited' && info.exitCode === exitCode(code)) &&
    filters.some('health', (health) => (info.health?.status ?? 'none') === health) &&
    filters.some('ancestor', (image) => isAncestor(info, image)) &&
    filters.some('network', (network) => isOn(info, network)) &&
    filters.some('volume', (volume) =>
      info.mounts.some((mount) => [mount.name, mount.source, mount.target].includes(volume)),
    ) &&
    filters.some('publish', (port) => publishes(info, port)) &&
    filters.some('expose', (port) => config.exposedPorts.some((exposed) => samePort(exposed, port))) &&
    [undefined, 'com.docker.swarm.task.id' in config.labels].includes(filters.flag('is-task'))
  );
}

function exitCode(text: string): number {
  if (!/^\d+$/.test(text)) fail('invalid', `invalid filter 'exited=${text}'`);
  return Number(text);
}

function isAncestor(info: ContainerInfo, image: string): boolean {
  const tagged = image.includes(':') || image.includes('@') ? image : `${image}:latest`;
  const reference = info.imageReference.includes(':') ? info.imageReference : `${info.imageReference}:latest`;
  const hex = image.replace(/^sha256:/, '');
  const byId = /^[0-9a-f]{6,64}$/.test(hex) && info.imageId.replace(/^sha256:/, '').startsWith(hex);
  return tagged === reference || byId;
}

function isOn({ attachments, endpoints }: ContainerInfo, network: string): boolean {
  return (
    attachments.some((attachment) => attachment.network === network) ||
    endpoints.some(({ networkName, networkId }) => networkName === network || networkId.startsWith(network))
  );
}

const samePort = (exposed: string, asked: string): boolean =>
  exposed === (asked.includes('/') ? asked : `${asked}/tcp`);

function publishes(info: ContainerInfo, asked: string): boolean {
  const running = info.endpoints.flatMap((endpoint) => endpoint.published);
  const published = info.endpoints.length > 0 ? running : info.config.publish;
  return published.some(({ hostPort, protocol }) => samePort(`${hostPort}/${protocol}`, asked));
}
