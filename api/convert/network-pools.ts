// The subnets of a network of this machine: IPAM.Config as clients send it, and as inspect shows it.
import { fail } from '../../base/errors.ts';
import type { NetworkInfo, PoolRequest } from '../../runtime/network/contract.ts';
import type { PoolJson } from '../types/network.ts';
import type { Fields } from './fields.ts';

export function parsePools(ipam: Fields): { pools?: readonly PoolRequest[]; gateway?: string } {
  const driver = ipam.text('Driver');
  if (driver !== '' && driver !== 'default') fail('not-found', `IPAM driver "${driver}" not found`);
  ipam.refuse('Options', 'options of the IPAM driver are');
  const entries = ipam.objects('Config').filter(({ json }) => Object.keys(json).length > 0);
  const [first] = entries;
  if (entries.length === 1 && first?.text('Subnet') === '') return { gateway: first.text('Gateway') };
  if (entries.length === 0) return {};
  return { pools: entries.map(parsePool) };
}

export function parsePool(entry: Fields): PoolRequest {
  const subnet = entry.text('Subnet');
  if (subnet === '') fail('invalid', `${entry.path('Subnet')}: a subnet is needed beside other subnets`);
  const [gateway, range] = [entry.text('Gateway'), entry.text('IPRange')];
  const auxiliary = entry.textMap('AuxiliaryAddresses');
  return {
    subnet,
    ...(gateway === '' ? {} : { gateway }),
    ...(range === '' ? {} : { range }),
    ...(Object.keys(auxiliary).length > 0 && { auxiliary }),
  };
}

export function poolsJson({ pools = [] }: Pick<NetworkInfo, 'pools'>): PoolJson[] {
  return pools.map(({ subnet, gateway = '', range = '', auxiliary = {} }) => ({
    Subnet: subnet,
    ...(gateway === '' ? {} : { Gateway: gateway }),
    ...(range === '' ? {} : { IPRange: range }),
    ...(Object.keys(auxiliary).length === 0 ? {} : { AuxiliaryAddresses: { ...auxiliary } }),
  }));
}
