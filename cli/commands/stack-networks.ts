// The networks of a stack: those it declares itself are made and removed with it.
import type { Json } from '../../base/parse.ts';
import { asArray, asObject, asString, optional } from '../../base/parse.ts';
import { fail } from '../../base/errors.ts';
import { scalar } from '../compose/units.ts';
import { stackLabel } from '../compose/convert.ts';
import type { CommandContext } from '../context.ts';
import { filtersOf } from '../wire.ts';

export interface StackNetwork {
  readonly key: string; // in the file
  readonly name: string; // in the swarm
  /** How it is to be made; absent: somebody else has. */
  readonly request?: Json;
}

export interface NetworkJson {
  readonly Id: string;
  readonly Name: string;
}

/** With the one named `default` where a service asks for no network. */
export function stackNetworks(
  stack: string,
  declared: Readonly<Record<string, Json>>,
  services: readonly Json[],
): StackNetwork[] {
  const needsDefault = services.some(({ networks = ['default'] }) =>
    Array.isArray(networks) ? networks.includes('default') : Object.hasOwn(asObject(networks, 'networks'), 'default'),
  );
  const all = needsDefault ? { default: {}, ...declared } : declared;
  return Object.entries(all).map(([key, network]) => stackNetwork(stack, key, network));
}

function stackNetwork(stack: string, key: string, network: Json): StackNetwork {
  const path = `networks.${key}`;
  if (network['external']) return { key, name: scalar(network['name'] ?? key, `${path}.name`) };
  const name = optional(network['name'], `${path}.name`, scalar) ?? `${stack}_${key}`;
  const labels = optional(network['labels'], `${path}.labels`, labelsOf) ?? {};
  const options = optional(network['driver_opts'], `${path}.driver_opts`, labelsOf) ?? {};
  return {
    key,
    name,
    request: {
      Name: name,
      Driver: optional(network['driver'], `${path}.driver`, asString) ?? 'overlay',
      Scope: 'swarm',
      Internal: network['internal'] === true,
      Attachable: network['attachable'] === true,
      Options: options,
      Labels: { ...labels, 'com.docker.stack.namespace': stack },
      IPAM: { Driver: 'default', Config: optional(network['ipam'], `${path}.ipam`, ranges) ?? [] },
    },
  };
}

function ranges(value: unknown, path: string): Json[] {
  return asArray(asObject(value, path)['config'] ?? [], `${path}.config`, (entry, at) => {
    const range = asObject(entry, at);
    const gateway = optional(range['gateway'], `${at}.gateway`, asString);
    const part = optional(range['ip_range'], `${at}.ip_range`, asString);
    const others = optional(range['aux_addresses'], `${at}.aux_addresses`, labelsOf);
    return {
      Subnet: asString(range['subnet'], `${at}.subnet`),
      ...(gateway === undefined ? {} : { Gateway: gateway }),
      ...(part === undefined ? {} : { IPRange: part }),
      ...(others === undefined ? {} : { AuxiliaryAddresses: others }),
    };
  });
}

function labelsOf(value: unknown, path: string): Record<string, string> {
  if (!Array.isArray(value)) {
    return Object.fromEntries(
      Object.entries(asObject(value, path)).map(([key, item]) => [key, item === null ? '' : scalar(item, path)]),
    );
  }
  return Object.fromEntries(
    value.map((entry) => {
      const [key = '', ...rest] = String(entry).split('=');
      return [key, rest.join('=')];
    }),
  );
}

export function networksOf(context: CommandContext, stack: string): Promise<NetworkJson[]> {
  return context.engine.json<NetworkJson[]>('/networks', {
    query: { filters: filtersOf({ label: [stackLabel(stack)] }) },
  });
}

/** Those that are not there yet; one that is there stays as it is. */
export async function makeNetworks(
  context: CommandContext,
  stack: string,
  networks: readonly StackNetwork[],
): Promise<void> {
  const present = new Set((await networksOf(context, stack)).map(({ Name }) => Name));
  for (const { name, request } of networks) {
    if (!request || present.has(name)) continue;
    if (request['Driver'] !== 'overlay') {
      fail(
        'invalid',
        `network "${name}" is declared with the driver ${String(request['Driver'])}: services need overlay`,
      );
    }
    await context.engine.json('/networks/create', { method: 'POST', json: request });
    context.print(`Creating network ${name}`);
  }
}

export async function removeNetwork(context: CommandContext, network: NetworkJson): Promise<void> {
  await context.engine.json(`/networks/${network.Id}`, { method: 'DELETE' });
  context.print(`Removing network ${network.Name}`);
}
