// Which endpoints share a namespace: one container in several networks. Pure.
// Invariant: interface numbers are unique in a namespace, and at most one endpoint of it leads outside.
import { fail } from '../../base/errors.ts';
import type { Endpoint } from './contract.ts';

const INTERFACES_MAX = 64;

interface Place {
  readonly endpoints: Map<string, Endpoint>;
  /** The container runs, with or without a network: the namespace stays. */
  kept: boolean;
}

export class Places {
  readonly #places = new Map<string, Place>();

  /** The number of the next interface in a namespace that exists: 1 is eth1. */
  nextInterface(path: string): number {
    const used = new Set(this.endpointsAt(path).map((endpoint) => endpoint.interfaceName));
    for (let number = 0; number < INTERFACES_MAX; number += 1) if (!used.has(`eth${number}`)) return number;
    return fail('exhausted', `a container can be in ${INTERFACES_MAX} networks at most`);
  }

  mustHave(path: string): void {
    if (!this.#places.has(path)) fail('not-found', `the network namespace ${path} is not there any more`);
  }

  endpointsAt(path: string): Endpoint[] {
    return [...(this.#places.get(path)?.endpoints.values() ?? [])];
  }

  add(endpoint: Endpoint): void {
    const place = this.#places.get(endpoint.sandboxPath);
    if (place) place.endpoints.set(endpoint.id, endpoint);
    else this.#places.set(endpoint.sandboxPath, { endpoints: new Map([[endpoint.id, endpoint]]), kept: false });
  }

  /** A namespace whose container runs without a network at the moment. */
  keep(path: string): void {
    const place = this.#places.get(path);
    if (place) place.kept = true;
    else this.#places.set(path, { endpoints: new Map(), kept: true });
  }

  /** True: the namespace has nobody left, and nobody asked to keep it. */
  remove(endpoint: Endpoint): boolean {
    const place = this.#places.get(endpoint.sandboxPath);
    place?.endpoints.delete(endpoint.id);
    return place !== undefined && this.#isOver(endpoint.sandboxPath, place);
  }

  /** True: nobody is left in it. */
  release(path: string): boolean {
    const place = this.#places.get(path);
    if (!place) return false;
    place.kept = false;
    return this.#isOver(path, place);
  }

  paths(): Iterable<string> {
    return this.#places.keys();
  }

  #isOver(path: string, place: Place): boolean {
    if (place.kept || place.endpoints.size > 0) return false;
    this.#places.delete(path);
    return true;
  }
}

/** Through which endpoint the default route leads: the highest priority, then by name, among those that lead outside. */
export function gatewayEndpoint(endpoints: readonly Endpoint[], family: 4 | 6 = 4): Endpoint | undefined {
  const leading = endpoints.filter((endpoint) => gatewayOf(endpoint, family) !== '');
  return leading.sort(
    (a, b) => (b.gatewayPriority ?? 0) - (a.gatewayPriority ?? 0) || (a.networkName < b.networkName ? -1 : 1),
  )[0];
}

export const gatewayOf = (endpoint: Endpoint, family: 4 | 6): string =>
  (family === 4 ? endpoint.gateway : endpoint.gateway6) ?? '';
