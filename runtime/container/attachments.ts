// The networks that a container is to be in: as asked at create, changed by connect and disconnect. Pure.
// Invariant: the first one is `config.network`; only a network that names a container or the host stands alone.
import { CodedError, fail } from '../../base/errors.ts';
import type { PortPublish, Upstream } from '../network/contract.ts';
import type { ContainerConfig, NetworkAttachment } from './contract.ts';

const DNS_PORT = 53;

export const sharesNetwork = (network: string): boolean => network.startsWith('container:');

/** Networks that a container is in alone. */
const standsAlone = (network: string): boolean => network === 'host' || sharesNetwork(network);

export function attachmentsOf(config: ContainerConfig): readonly NetworkAttachment[] {
  if (sharesNetwork(config.network)) return [];
  return config.attachments ?? [plainAttachment(config)];
}

function plainAttachment({ network, networkAliases, macAddress }: ContainerConfig): NetworkAttachment {
  return { network, aliases: networkAliases, links: [], macAddress, address: '', address6: '', gatewayPriority: 0 };
}

/** The config with one more network. `known` finds out whether two references mean the same network. */
export function withAttachment(
  config: ContainerConfig,
  added: NetworkAttachment,
  networkName: (reference: string) => string,
): ContainerConfig {
  const name = networkName(added.network);
  if (standsAlone(config.network)) {
    throw new CodedError(
      'forbidden',
      `container sharing network namespace with another container or host cannot be connected to any other network`,
    );
  }
  if (standsAlone(name))
    throw new CodedError(
      'invalid',
      'container cannot be connected to host network - container must be created with host network',
    );
  const present = attachmentsOf(config);
  if (present.some(({ network }) => networkName(network) === name)) {
    throw new CodedError('forbidden', `endpoint with name ${config.name} already exists in network ${name}`);
  }
  // `none` is left with the first real network.
  const kept = present.filter(({ network }) => networkName(network) !== 'none');
  const attachments = [...kept, added];
  return { ...config, network: (attachments[0] as NetworkAttachment).network, attachments };
}

export function withoutAttachment(
  config: ContainerConfig,
  reference: string,
  networkName: (reference: string) => string,
  containerId: string,
): ContainerConfig {
  const name = networkName(reference);
  if (standsAlone(name)) {
    throw new CodedError(
      'invalid',
      'container cannot be disconnected from host network - container must be created with host network',
    );
  }
  const present = attachmentsOf(config);
  const attachments = present.filter(({ network }) => networkName(network) !== name);
  if (attachments.length === present.length) {
    return fail('forbidden', `container ${containerId} is not connected to network ${name}`);
  }
  const network = attachments[0]?.network ?? 'none';
  return { ...config, network, attachments };
}

/** Ports are published where the default route leads: the highest priority, then by name, of those not internal. */
export function publishingNetwork(
  attachments: readonly NetworkAttachment[],
  facts: (reference: string) => { readonly name: string; readonly internal: boolean },
): string | undefined {
  const outward = attachments
    .map((attachment) => ({ attachment, ...facts(attachment.network) }))
    .filter(({ internal }) => !internal);
  const nameFirst = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
  outward.sort((a, b) => b.attachment.gatewayPriority - a.attachment.gatewayPriority || nameFirst(a, b));
  return outward[0]?.attachment.network ?? attachments[0]?.network;
}

export function publishedPorts(config: ContainerConfig): readonly PortPublish[] {
  if (!config.publishAll) return config.publish;
  const known = new Set(config.publish.map(({ protocol, containerPort }) => `${containerPort}/${protocol}`));
  const exposed = config.exposedPorts
    .filter((port) => !known.has(port))
    .map((port): PortPublish => {
      const [number, protocol = 'tcp'] = port.split('/');
      return {
        protocol: protocol as PortPublish['protocol'],
        containerPort: Number(number),
        hostAddress: '',
        hostPort: 0,
      };
    });
  return [...config.publish, ...exposed];
}

export const upstreamsOf = ({ dns }: ContainerConfig): readonly Upstream[] =>
  dns.servers.map((address) => ({ address, port: DNS_PORT }));
