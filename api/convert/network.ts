// Networks as the Engine API shows them, and the body of /networks/create.
import { fail } from '../../base/errors.ts';
import type { Json } from '../../base/parse.ts';
import { pools6Of, poolsOf } from '../../proto/network-plan.ts';
import type { Network, NetworkPool, NetworkSpec } from '../../proto/objects.ts';
import type { ContainerInfo } from '../../runtime/container/contract.ts';
import type { IngressReport, NetworkInfo, Networks } from '../../runtime/network/contract.ts';
import type { IngressJson, NetworkJson } from '../types/network.ts';
import { Fields } from './fields.ts';
import { parsePool, parsePools, poolsJson } from './network-pools.ts';
import { goTime } from './time.ts';

export function networkJson(network: NetworkInfo): NetworkJson {
  return {
    Name: network.name,
    Id: network.id,
    Created: goTime(network.createdAtMs),
    Scope: network.scope,
    Driver: network.driver,
    EnableIPv4: true,
    EnableIPv6: network.ipv6 ?? false,
    IPAM: { Driver: 'default', Options: null, Config: poolsJson(network) },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: {},
    Options: { ...network.options },
    Labels: { ...network.labels },
  };
}

/** Inspect shows who is on it; a list does not. */
export function networkInspect(network: NetworkInfo, containers: readonly ContainerInfo[]): NetworkJson {
  const nameOf = new Map(containers.map(({ id, name }) => [id, name]));
  const attached = network.endpoints.map((endpoint) => [
    endpoint.containerId,
    {
      Name: nameOf.get(endpoint.containerId) ?? '',
      EndpointID: endpoint.id,
      MacAddress: endpoint.macAddress,
      IPv4Address: endpoint.address === '' ? '' : `${endpoint.address}/${endpoint.prefixLength}`,
      IPv6Address: endpoint.address6 ? `${endpoint.address6}/${endpoint.prefixLength6 ?? 0}` : '',
    },
  ]);
  return { ...networkJson(network), Containers: Object.fromEntries(attached) as NetworkJson['Containers'] };
}

/** A network of the cluster. */
export function clusterNetworkJson(network: Network): NetworkJson {
  const { id, spec, subnet6, vni, createdAtMs } = network;
  const six = pools6Of(network).map(({ subnet, gateway }) => ({ Subnet: subnet, Gateway: gateway }));
  return {
    Name: spec.name,
    Id: id,
    Created: goTime(createdAtMs),
    Scope: 'swarm',
    Driver: spec.driver,
    EnableIPv4: true,
    EnableIPv6: subnet6 !== undefined,
    IPAM: { Driver: 'default', Options: null, Config: [...poolsJson({ pools: poolsOf(network) }), ...six] },
    Internal: spec.internal,
    Attachable: spec.attachable,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: {},
    Options: { ...spec.options, 'com.docker.network.driver.overlay.vxlanid_list': String(vni) },
    Labels: { ...spec.labels },
  };
}

export const INGRESS = 'ingress';

/**
 * There is no such network: published ports of services need none. But people ask for it when a port does not answer, and
 * then want to know where this node leads it.
 */
export function ingressJson({ hidden, nodes, ports }: IngressReport): NetworkJson & { RoutingMesh: IngressJson } {
  return {
    Name: INGRESS,
    Id: INGRESS,
    Created: goTime(0),
    Scope: 'swarm',
    Driver: '',
    EnableIPv4: true,
    EnableIPv6: true,
    IPAM: { Driver: 'default', Options: null, Config: [] },
    Internal: false,
    Attachable: false,
    Ingress: true,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: {},
    Options: {},
    Labels: {},
    RoutingMesh: {
      ClientAddresses: hidden === undefined ? 'kept' : 'hidden',
      ...(hidden !== undefined && { Reason: hidden }),
      Nodes: nodes.map(({ address, keepsClient, takesSix, reasons }) => ({
        IP: address,
        IPv4Clients: keepsClient ? 'kept' : 'hidden',
        IPv6: takesSix ? 'carried' : 'not carried',
        Reasons: [...reasons],
      })),
      Ports: ports.map(({ protocol, publishedPort, local, remote }) => ({
        Port: `${publishedPort}/${protocol}`,
        Tasks: local.map(({ address, port }) => `${address}:${port}`),
        Nodes: remote.map(({ address, port }) => `${address}:${port}`),
      })),
    },
  };
}

const NETWORK_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** Of the cluster, or of this machine alone. */
export function isClusterRequest(body: Json): boolean {
  const network = new Fields(body);
  return network.text('Driver') === 'overlay' || network.text('Scope') === 'swarm';
}

export function parseClusterNetwork(body: Json): NetworkSpec {
  const network = new Fields(body);
  const { driver, ...rest } = parseNamed(network);
  if (driver !== 'overlay')
    fail('not-implemented', `a network of the swarm with the driver "${driver}" is not implemented yet`);
  return { ...rest, driver, ...addressesOf(network.object('IPAM'), network.flag('EnableIPv6')) };
}

export function parseNetworkRequest(body: Json): Parameters<Networks['create']>[0] {
  const network = new Fields(body);
  const request = parseNamed(network);
  if (['host', 'null'].includes(request.driver))
    fail('forbidden', `only one instance of "${request.driver}" network is allowed`);
  if (!['bridge', 'macvlan', 'ipvlan'].includes(request.driver))
    fail('not-found', `plugin "${request.driver}" not found`);
  if (network.raw('EnableIPv4') === false) fail('not-implemented', 'a network without IPv4 is not implemented yet');
  return { ...request, ipv6: network.flag('EnableIPv6'), ...parsePools(network.object('IPAM')) };
}

/** As Docker: subnets of IPv6 may stand in a request without it, and are not used. */
export function warningOf({ ipv6, pools = [] }: Parameters<Networks['create']>[0]): string {
  const unused = ipv6 ? [] : pools.filter(({ subnet }) => subnet.includes(':'));
  return unused.map(({ subnet }) => `subnet ${subnet} is not used: IPv6 is not enabled for the network`).join('; ');
}

function parseNamed(network: Fields): NetworkSpec {
  const name = network.text('Name');
  if (!NETWORK_NAME.test(name)) {
    fail('invalid', `invalid network name "${name}": only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
  }
  network.refuse('Ingress', "an ingress network of one's own is");
  network.refuse('ConfigOnly', 'networks that only hold a configuration are');
  network.refuse('ConfigFrom', 'taking the configuration of another network is');
  return {
    name,
    driver: network.text('Driver') || 'bridge',
    labels: network.textMap('Labels'),
    options: network.textMap('Options'),
    internal: network.flag('Internal'),
    attachable: network.flag('Attachable'),
  };
}

function addressesOf(
  ipam: Fields,
  ipv6: boolean,
): Partial<NetworkPool> & Pick<NetworkSpec, 'further' | 'ipv6' | 'subnet6' | 'further6'> {
  const driver = ipam.text('Driver');
  if (driver !== '' && driver !== 'default') fail('not-found', `IPAM driver "${driver}" not found`);
  ipam.refuse('Options', 'options of the IPAM driver are');
  const ranges = ipam.objects('Config').filter(({ json }) => Object.keys(json).length > 0);
  const isSix = (range: Fields): boolean => range.text('Subnet').includes(':');
  const fours = ranges.filter((each) => !isSix(each));
  const [six, ...further6] = ipv6 ? ranges.filter(isSix).map(subnet6Of) : [];
  const plan6 = ipv6 ? { ipv6, ...(six && { subnet6: six }), ...(further6.length > 0 && { further6 }) } : {};
  const [first] = fours;
  if (fours.length === 1 && first?.text('Subnet') === '') {
    const gateway = first.text('Gateway');
    return { ...plan6, ...(gateway !== '' && { gateway }) };
  }
  const [pool, ...further] = fours.map(parsePool);
  return { ...plan6, ...pool, ...(further.length > 0 && { further }) };
}

/** Its gateway follows from that of IPv4. */
function subnet6Of(range: Fields): string {
  for (const field of ['Gateway', 'IPRange', 'AuxiliaryAddresses']) {
    range.refuse(field, `${field} of an IPv6 subnet on networks of the swarm is`);
  }
  return range.text('Subnet');
}
