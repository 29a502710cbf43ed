// A container's places in networks: all of them at its start, giving them up at its end, and the files that name them.
import { writeFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scope } from '../../base/scope.ts';
import type { Endpoint, EndpointRequest } from '../network/contract.ts';
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
  const attachments = attachmentsOf(config);
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

export function requestOf(
  { id, record: { name, config } }: Container,
  attachment: NetworkAttachment,
  hostname: string,
): Omit<EndpointRequest, 'publish'> {
  const { network, aliases, links, macAddress, address, address6, gatewayPriority } = attachment;
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

export function publishPlace(
  parts: Pick<ContainerParts, 'publish'>,
  container: Container,
  { networkId, networkName }: Endpoint,
  action: 'connect' | 'disconnect',
): void {
  const type = ['host', 'none'].includes(networkName) ? networkName.replace('none', 'null') : 'bridge';
  parts.publish({
    type: 'network',
    action,
    id: networkId,
    attributes: { container: container.id, name: networkName, type },
  });
}
