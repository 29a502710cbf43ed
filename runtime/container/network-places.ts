// A container's places in networks: all of them at its start, giving them up at its end, and the files that name them.
import { writeFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scope } from '../../base/scope.ts';
import { codeOf, fail } from '../../base/errors.ts';
import type { Endpoint, EndpointRequest, NetworkInfo, Networks } from '../network/contract.ts';
import { attachmentsOf, publishedPorts, publishingNetwork, upstreamsOf } from './attachments.ts';
import type { Container } from './container.ts';
import type { NetworkAttachment } from './contract.ts';
import { resolvText } from './host-files.ts';
import type { ContainerParts } from './parts.ts';

/** In the order they were asked for; the first one makes the namespace. */
export async function joinNetworks(
  container: Container,
  parts: ContainerParts,
  hostname: string,
  undo: Scope,
): Promise<readonly Endpoint[]> {
  const { config } = container.record;
  const endpoints: Endpoint[] = [];
  const attachments = await admitted(container, parts, attachmentsOf(config), undo);
  const publishing = publishingNetwork(attachments, (reference) => parts.networks.get(reference));
  for (const attachment of attachments) {
    const publish = attachment.network === publishing ? publishedPorts(config) : [];
    const sandboxPath = endpoints[0]?.sandboxPath;
    const request = { ...requestOf(container, attachment, hostname), publish };
    const endpoint = await parts.networks.join(sandboxPath === undefined ? request : { ...request, sandboxPath });
    undo.defer(() => parts.networks.leave(endpoint));
    endpoints.push(endpoint);
  }
  return endpoints;
}

/**
 * Those on networks of the cluster with their places there. Such a network leads to no outside: a container that is on
 * nothing else leads outside through the machine's bridge, as tasks do.
 */
async function admitted(
  container: Container,
  parts: ContainerParts,
  attachments: readonly NetworkAttachment[],
  undo: Scope,
): Promise<readonly NetworkAttachment[]> {
  const all: NetworkAttachment[] = [];
  for (const attachment of attachments) all.push(await admit(container, parts, attachment, undo));
  const isInside = all.every((attachment, at) => attachment !== attachments[at]);
  if (all.length === 0 || !isInside) return all;
  if (all.every(({ network }) => parts.networks.get(network).internal)) return all;
  const plain = { aliases: [], links: [], macAddress: '', address: '', address6: '' };
  return [{ ...plain, network: 'bridge', gatewayPriority: 1 }, ...all];
}

/** The same attachment, unless it is on a network of the cluster and nobody has got it a place there yet. */
export async function admit(
  { id, record: { name } }: Container,
  { networks }: Pick<ContainerParts, 'networks'>,
  attachment: NetworkAttachment,
  undo: Scope,
): Promise<NetworkAttachment> {
  const { network, aliases, address } = attachment;
  const known = knownNetwork(networks, network);
  if (attachment.assigned === true || (known && known.driver !== 'overlay')) return attachment;
  const { guests } = networks;
  if (!guests) {
    if (!known) return attachment; // to be refused as any unknown one
    fail('unavailable', `network ${known.name} belongs to a swarm that this node is not in touch with`);
  }
  const place = await guests.admit({ containerId: id, containerName: name, network, aliases, address });
  undo.defer(() => guests.release(id, place.networkId));
  return { ...attachment, network: place.networkId, address: place.address };
}

export function knownNetwork(networks: Pick<Networks, 'get'>, reference: string): NetworkInfo | undefined {
  try {
    return networks.get(reference);
  } catch (error) {
    if (codeOf(error) === 'not-found') return undefined;
    throw error;
  }
}

export function requestOf(
  { id, record: { name, config } }: Container,
  attachment: NetworkAttachment,
  hostname: string,
): Omit<EndpointRequest, 'publish'> {
  const { network, aliases, links, macAddress, address, address6, gatewayPriority, reachedBySix } = attachment;
  const upstreams = upstreamsOf(config);
  return {
    containerId: id,
    containerName: name,
    network,
    hostname,
    aliases,
    ...(links.length > 0 && { links }),
    ...(macAddress !== '' && { macAddress }),
    ...(address !== '' && { address }),
    ...(address6 !== '' && { address6 }),
    ...(gatewayPriority !== 0 && { gatewayPriority }),
    ...(reachedBySix && { reachedBySix }),
    ...(upstreams.length > 0 && { upstreams }),
  };
}

/** The caller holds the lock. */
export async function leaveNetworks(container: Container, parts: ContainerParts): Promise<void> {
  const { endpoints, sandboxPath } = container.status;
  for (const endpoint of endpoints) {
    await parts.networks.leave(endpoint);
    publishPlace(parts, container, endpoint, 'disconnect');
  }
  if (sandboxPath !== '' && endpoints.length === 0) parts.networks.releaseSandbox(sandboxPath);
}

/** In place: the files are mounted into the container one by one. */
export async function rewriteFiles(
  container: Container,
  parts: ContainerParts,
  gone: readonly Endpoint[],
  come: readonly Endpoint[],
): Promise<void> {
  const { runDirectory } = container.folders;
  const [hosts, resolv] = [join(runDirectory, 'hosts'), join(runDirectory, 'resolv.conf')];
  const hostname = readFileSync(join(runDirectory, 'hostname'), 'utf8').trim();
  const text = readFileSync(hosts, 'utf8');
  const without = gone.flatMap(addressesOf);
  const kept = text.split('\n').filter((line) => !without.some((address) => line.startsWith(`${address}\t`)));
  const added = come.flatMap(addressesOf).map((address) => `${address}\t${hostname}\n`);
  writeFileSync(hosts, kept.join('\n') + added.join(''));
  const resolver = come.some((endpoint) => endpoint.resolver === true);
  if (!resolver || readFileSync(resolv, 'utf8').includes('nameserver 127.0.0.11\n')) return;
  const own = { ownNetwork: true, resolver };
  writeFileSync(resolv, resolvText(await parts.hostFiles.resolvConf(own), container.record.config.dns, own));
}

export const addressesOf = ({ address, address6 = '' }: Endpoint): string[] =>
  [address, address6].filter((each) => each !== '');

const BUILT_IN: Readonly<Record<string, string>> = { bridge: 'bridge', host: 'host', none: 'null' };

export function publishPlace(
  parts: { readonly publish: ContainerParts['publish']; readonly networks: Pick<Networks, 'get'> },
  container: Container,
  { networkId, networkName }: Endpoint,
  action: 'connect' | 'disconnect',
): void {
  // Only the agent takes networks away while containers leave them: those between nodes.
  const type = BUILT_IN[networkName] ?? knownNetwork(parts.networks, networkId)?.driver ?? 'overlay';
  parts.publish({
    type: 'network',
    action,
    id: networkId,
    attributes: { container: container.id, name: networkName, type },
  });
}
