// A container's place in a network, as inspect and ps show it.
import type { ContainerInfo } from '../../runtime/container/contract.ts';
import type { Endpoint } from '../../runtime/network/contract.ts';
import type { EndpointSettings } from '../types/container.ts';

export function endpointSettings(endpoint: Endpoint | undefined, info: ContainerInfo): EndpointSettings {
  const aliases = info.config.networkAliases;
  const isDefault = ['bridge', 'host', 'none'].includes(info.config.network);
  return {
    IPAMConfig: null,
    Links: null,
    Aliases: aliases.length > 0 ? [...aliases] : null,
    MacAddress: endpoint?.macAddress ?? '',
    DriverOpts: null,
    GwPriority: 0,
    NetworkID: endpoint?.networkId ?? '',
    EndpointID: endpoint?.id ?? '',
    Gateway: endpoint?.gateway ?? '',
    IPAddress: endpoint?.address ?? '',
    IPPrefixLen: endpoint?.prefixLength ?? 0,
    IPv6Gateway: '',
    GlobalIPv6Address: '',
    GlobalIPv6PrefixLen: 0,
    DNSNames: isDefault ? null : [info.name, ...aliases, info.id.slice(0, 12)],
  };
}
