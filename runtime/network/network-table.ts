// The networks of this machine by id and name: the predefined three and those that users made.
import { CodedError, fail } from '../../base/errors.ts';
import { type Bridge, bridgeOf } from './bridges.ts';
import type { Endpoint, NetworkInfo } from './contract.ts';
import type { HeldPort } from './ports.ts';
import { NetworkAddresses } from './network-addresses.ts';
import { NetworkAddresses6 } from './network-addresses6.ts';
import type { Overlay } from './overlay.ts';
import { type NetworkRecord, poolsOf } from './registry.ts';

export interface EndpointState {
  readonly endpoint: Endpoint;
  readonly held: readonly HeldPort[];
}

/** A network while the daemon runs. */
export interface NetworkState {
  readonly record: NetworkRecord;
  bridge: Bridge | undefined;
  readonly addresses: NetworkAddresses | undefined;
  /** Comes to the default bridge with the first task whose ports are asked for by IPv6 (tasks-six.ts). */
  addresses6?: NetworkAddresses6;
  /** Between nodes: the bridge is in a namespace of its own. */
  readonly overlay?: Overlay;
  readonly endpoints: Map<string, EndpointState>;
  bridgeIndex: number;
  /** Joins under way: the network may not be removed. */
  joining: number;
}

const PREDEFINED = ['bridge', 'host', 'none'];
export const isPredefined = (name: string): boolean => PREDEFINED.includes(name);

export function stateOf(record: NetworkRecord, mtuDefault: number): NetworkState {
  const bridge = bridgeOf(record, mtuDefault);
  return {
    record,
    bridge,
    addresses: bridge && new NetworkAddresses(record.name, poolsOf(record)),
    ...(record.pools6 ? { addresses6: new NetworkAddresses6(record.name, record.pools6) } : {}),
    endpoints: new Map(),
    bridgeIndex: 0,
    joining: 0,
  };
}

export class NetworkTable {
  readonly #byId = new Map<string, NetworkState>();

  add(state: NetworkState): void {
    this.#byId.set(state.record.id, state);
  }

  delete(state: NetworkState): void {
    this.#byId.delete(state.record.id);
  }

  all(): NetworkState[] {
    return [...this.#byId.values()];
  }

  /** By name, id, or the beginning of one id. */
  find(idOrName: string): NetworkState {
    const exact = this.#byId.get(idOrName) ?? this.byName(idOrName);
    if (exact) return exact;
    const matches = idOrName === '' ? [] : this.all().filter((state) => state.record.id.startsWith(idOrName));
    if (matches.length > 1)
      fail('conflict', `network ${idOrName} is ambiguous (${matches.length} matches found on ID prefix)`);
    return matches[0] ?? fail('not-found', `network ${idOrName} not found`);
  }

  byName(name: string): NetworkState | undefined {
    return this.all().find((state) => state.record.name === name);
  }
}

export function infoOf({ record, endpoints }: NetworkState): NetworkInfo {
  return {
    id: record.id,
    name: record.name,
    driver: record.driver,
    scope: record.driver === 'overlay' ? 'swarm' : 'local',
    createdAtMs: record.createdAtMs,
    internal: record.internal,
    attachable: record.attachable,
    labels: record.labels,
    options: record.options,
    ...(record.bridge ? { subnet: record.bridge.subnet, gateway: record.bridge.gateway } : {}),
    pools: [...poolsOf(record), ...(record.pools6 ?? [])],
    ipv6: record.pools6 !== undefined,
    endpoints: [...endpoints.values()].map((state) => state.endpoint),
  };
}

/** What a person asked for, checked as far as it can be without looking at other networks. */
export function checkRequest(request: { name: string; driver: string }): void {
  const { name, driver } = request;
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) {
    throw new CodedError('invalid', `${name} is invalid as a network name: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
  }
  if (isPredefined(name)) throw new CodedError('forbidden', `operation is not permitted on predefined ${name} network`);
  if (['bridge', '', 'macvlan', 'ipvlan'].includes(driver)) return;
  if (driver === 'overlay') {
    throw new CodedError(
      'not-implemented',
      'an overlay network is made by the managers of a swarm: run docker swarm init first',
    );
  }
  if (['host', 'null'].includes(driver)) {
    throw new CodedError('forbidden', `only one instance of "${driver}" network is allowed`);
  }
  throw new CodedError('not-found', `plugin "${driver}" not found`);
}
