// Joining and leaving: address, host ports, namespace, wiring, rules; all of it or nothing.
// Invariant: an endpoint that is listed holds its address and its ports.
import { macOfAddress } from '../../base/ipv4.ts';
import type { Background } from '../../base/background.ts';
import type { Clock } from '../../base/clock.ts';
import { CodedError, sentenceOf } from '../../base/errors.ts';
import { newHexId } from '../../base/id.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { Scope } from '../../base/scope.ts';
import { formatAddress, formatAddress6, parseAddress, parseAddress6, parseIp, parseMac } from './addresses.ts';
import type { Bridge } from './bridges.ts';
import type { Endpoint, EndpointRequest } from './contract.ts';
import type { Firewall } from './firewall.ts';
import type { Forgetter } from './forgetter.ts';
import { type Netd, StepError } from './netd.ts';
import { namesOfEndpoint, type Names } from './names.ts';
import type { EndpointState, NetworkState } from './network-table.ts';
import { gatewayEndpoint, gatewayOf, Places } from './places.ts';
import { type Resolvers, scopeOf } from './resolvers.ts';
import type { HeldPort, Ports } from './ports.ts';
import { type PublishedPort, publishedKey } from './ruleset-published.ts';
import { type Sandbox, type Sandboxes, sandboxOf } from './sandboxes.ts';
import { lanMtu, makeLanLink } from './lan.ts';
import {
  announceStep,
  attachStep,
  countStep,
  defaultRouteStep,
  insideSteps,
  unplugSteps,
  unwireStep,
  wasSilent,
  wireSteps,
} from './wiring.ts';
import { addressesIn, asked6, claimIn, placeIn, sixIn, takeAddress, takeAddress6 } from './endpoint-addresses.ts';
import {
  publishedPorts,
  familiesOf,
  datagramsTo,
  checkPublishable,
  withHostAddress,
  withChosenPort,
  nameOf,
  placeOf,
  macTextOf,
} from './endpoint-facts.ts';

const BRIDGE_PORTS_MAX = 1023;
/** A container that left its last network with names keeps its resolv.conf. */
const NOTHING_KNOWN = { networks: [], links: {}, upstreams: [], forwards: true } as const;
const ANNOUNCE_AFTER_MS = [100, 2_000];
const EXFULL = 54; // "Exchange full"; not among Node's constants

export interface EndpointParts {
  readonly netd: () => Netd;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly sandboxes: Sandboxes;
  readonly ports: Ports;
  readonly firewall: Firewall;
  readonly forgetter: Forgetter;
  readonly background: Background;
  readonly names: Names;
  readonly resolvers: Resolvers;
}

export class Endpoints {
  readonly #parts: EndpointParts;
  readonly #places = new Places();
  readonly #unplugging = new Map<string, Promise<void>>(); // links that are still being removed, by namespace and name

  constructor(parts: EndpointParts) {
    this.#parts = parts;
  }

  async join(network: NetworkState, request: EndpointRequest): Promise<Endpoint> {
    network.joining += 1;
    try {
      if (network.bridge && network.addresses) return await this.#joinBridge(network, network.bridge, request);
      return await this.#joinWithoutAddress(network, request);
    } finally {
      network.joining -= 1;
      this.#parts.sandboxes.fill();
    }
  }

  async leave(network: NetworkState, id: string, keepSandbox: boolean): Promise<void> {
    const state = network.endpoints.get(id);
    if (!state) return;
    network.endpoints.delete(id);
    const { endpoint, held } = state;
    this.#parts.names.dropNames(endpoint.networkId, endpoint.id);
    if (keepSandbox && endpoint.sandboxPath !== '') this.#places.keep(endpoint.sandboxPath);
    const isLast = this.#places.remove(endpoint);
    if (isLast) this.#parts.resolvers.stop(endpoint.sandboxPath);
    if (!network.bridge || endpoint.address === '') {
      if (isLast) this.#discardSoon(endpoint.sandboxPath);
      return;
    }
    const address = parseAddress(endpoint.address);
    if (held.length > 0) await this.#withdraw(held);
    await this.#parts.ports.release(held);
    const nowMs = this.#parts.clock.nowMs();
    network.addresses?.release(address, nowMs);
    if (endpoint.address6) network.addresses6?.release(parseAddress6(endpoint.address6), nowMs);
    if (!isLast) await this.#unplug(endpoint);
    const down = this.#takeDown(endpoint, isLast);
    if (!isLast) this.#noteUnplugging(endpoint, down);
    this.#parts.background.run('take-down', () => down);
  }

  /** Gives back a namespace that was kept without endpoints. */
  releaseSandbox(path: string): void {
    if (!this.#places.release(path)) return;
    this.#parts.resolvers.stop(path);
    this.#discardSoon(path);
  }

  /** A kept namespace of an earlier daemon. */
  adoptSandbox(path: string): void {
    this.#places.keep(path);
  }

  /** Namespaces in use. */
  sandboxPaths(): Iterable<string> {
    return this.#places.paths();
  }

  #discardSoon(path: string): void {
    if (path !== '') this.#parts.background.run('take-down', () => this.#parts.sandboxes.discard(path));
  }

  #noteUnplugging({ sandboxPath, interfaceName }: Endpoint, down: Promise<void>): void {
    const key = `${sandboxPath} ${interfaceName}`;
    const over = down
      .catch(() => undefined) // its failure is the background's
      .then(() => {
        if (this.#unplugging.get(key) === over) this.#unplugging.delete(key);
      });
    this.#unplugging.set(key, over);
  }

  /** The name of a link that is next in a namespace, once nobody has it any more. */
  async #nextInterface(path: string): Promise<number> {
    const number = this.#places.nextInterface(path);
    await this.#unplugging.get(`${path} eth${number}`);
    return number;
  }

  /** The container runs on: its other networks take over the default route before this one goes. */
  async #unplug(endpoint: Endpoint): Promise<void> {
    await this.#parts.netd().run([unwireStep(endpoint, addressesIn(endpoint))]);
    await this.#routeOut(endpoint.sandboxPath);
    await this.#answerNames(endpoint.sandboxPath);
  }

  /** The container's resolver answers what its networks say now. Without a network that has names, none is needed. */
  async #answerNames(path: string): Promise<void> {
    const scope = scopeOf(this.#places.endpointsAt(path));
    const { resolvers } = this.#parts;
    if (scope) await resolvers.serve(path, scope);
    else if (resolvers.isServing(path)) await resolvers.serve(path, NOTHING_KNOWN);
  }

  /** After all endpoints of an earlier daemon were taken up. */
  async answerAdoptedNames(): Promise<void> {
    for (const path of this.#places.paths()) {
      await this.#tolerate('the names of a container', path, () => this.#answerNames(path));
    }
  }

  async #tolerate(what: string, whose: string, work: () => unknown): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#parts.log.warn(`${what} could not be held again`, { whose, reason: sentenceOf(error) });
    }
  }

  /**
   * Behind the caller's back, as the kernel may be busy for long; a later join's steps come after these. Clients of
   * connections that led here learn it when the kernel has forgotten them.
   */
  async #takeDown(endpoint: Endpoint, isLast: boolean): Promise<void> {
    const { netd, sandboxes, forgetter } = this.#parts;
    const forget = (): void =>
      forgetter.forgetSoon(addressesIn(endpoint).map(({ address }) => ({ serverAddress: address })));
    if (!isLast) {
      forget();
      for (const step of unplugSteps(endpoint)) await netd().doAside('removing a link', step);
      return;
    }
    // Both at once: netd has done the first before it passes on the second.
    const unwired = netd().run([countStep(endpoint), unwireStep(endpoint, addressesIn(endpoint))]);
    const discarded = sandboxes.discard(endpoint.sandboxPath);
    let silent = false;
    try {
      silent = wasSilent(endpoint, (await unwired)[0]);
    } finally {
      if (!silent) forget();
      await discarded;
    }
  }

  /** Lets the default routes of a namespace lead through the endpoints that are chosen for it now. */
  async #routeOut(path: string): Promise<void> {
    const endpoints = this.#places.endpointsAt(path);
    const steps = ([4, 6] as const).map((family) => {
      const chosen = gatewayEndpoint(endpoints, family);
      return defaultRouteStep(path, family, chosen && parseIp(gatewayOf(chosen, family)));
    });
    await this.#parts.netd().do('changing the default route of a container', steps);
  }

  /** Takes up what an earlier daemon made. What can not be held again is logged; the container keeps running. */
  async adopt(network: NetworkState, endpoint: Endpoint): Promise<void> {
    const { ports } = this.#parts;
    const held: HeldPort[] = [];
    for (const { address } of addressesIn(endpoint)) {
      await this.#tolerate('an address', endpoint.containerId, () => claimIn(network, address));
    }
    for (const publish of endpoint.published) {
      await this.#tolerate('a published port', endpoint.containerId, async () =>
        held.push(...(await ports.hold(endpoint.containerId.slice(0, 12), [publish], familiesOf(endpoint)))),
      );
    }
    this.#remember(network, endpoint, held);
  }

  #remember(network: NetworkState, endpoint: Endpoint, held: readonly HeldPort[]): void {
    network.endpoints.set(endpoint.id, { endpoint, held });
    if (endpoint.sandboxPath !== '') this.#places.add(endpoint);
    this.#parts.names.setNames(endpoint.networkId, endpoint.id, 0, namesOfEndpoint(endpoint));
  }

  /** Makes the link anew where the outer end is gone, for example with the node's namespace. */
  async rewire(network: NetworkState, { endpoint }: EndpointState): Promise<void> {
    if (!network.bridge) return;
    if (network.record.lan) return await this.#rewireLan(network, network.bridge, endpoint);
    const sandbox = sandboxOf(endpoint);
    const address = parseAddress(endpoint.address);
    const mac = parseMac(endpoint.macAddress);
    const { bridge, bridgeIndex } = network;
    const place = placeIn(network, bridge, address);
    const six = sixIn(network, endpoint.address6 ? parseAddress6(endpoint.address6) : undefined);
    const wiring = { sandbox, bridge, bridgeIndex, address, place, ...six, mac, leadsOut: false };
    await this.#parts
      .netd()
      .do(`wiring ${endpoint.address} again`, [
        ...this.#parts.sandboxes.linkSteps(sandbox, await network.overlay?.descriptor()),
        ...wireSteps(wiring),
      ]);
    await this.#routeOut(endpoint.sandboxPath);
  }

  async #rewireLan(network: NetworkState, bridge: Bridge, endpoint: Endpoint): Promise<void> {
    const address = parseAddress(endpoint.address);
    const place = placeIn(network, bridge, address);
    const six = sixIn(network, endpoint.address6 ? parseAddress6(endpoint.address6) : undefined);
    const mac = endpoint.macAddress === '' ? undefined : parseMac(endpoint.macAddress);
    const wiring = { sandbox: sandboxOf(endpoint), bridge, address, place, ...six, leadsOut: false };
    await this.#wireLan(network, wiring, mac);
    await this.#routeOut(endpoint.sandboxPath);
  }

  /** Into the network of the parent link. */
  async #wireLan(
    { record, bridgeIndex }: NetworkState,
    wiring: Parameters<typeof insideSteps>[0],
    mac: Uint8Array | undefined,
  ): Promise<void> {
    if (!record.lan) throw new CodedError('internal', `network ${record.name} has no parent link`);
    const netd = this.#parts.netd();
    await makeLanLink(netd, record.lan, bridgeIndex, wiring.sandbox, mac);
    const mtu = lanMtu(record.options, wiring.bridge);
    const steps = insideSteps(wiring, mtu === undefined ? {} : { mtu });
    await netd.do(`wiring a container into network ${record.name}`, steps);
  }

  /** Puts the outer end back on its bridge. */
  async reattach(network: NetworkState, { endpoint }: EndpointState): Promise<void> {
    if (!network.bridge) return;
    const steps = [attachStep(endpoint.hostInterfaceName, network.bridge, network.bridgeIndex)];
    await this.#parts.netd().do(`attaching ${endpoint.hostInterfaceName} again`, steps);
  }

  async #joinBridge(network: NetworkState, bridge: Bridge, request: EndpointRequest): Promise<Endpoint> {
    const { clock, ports } = this.#parts;
    checkPublishable(network, request);
    const asked = request.macAddress ? parseMac(request.macAddress) : undefined;
    await using undo = new Scope();
    const address = takeAddress(network, request.address, clock.nowMs());
    undo.defer(() => network.addresses?.release(address, clock.nowMs()));
    const place = placeIn(network, bridge, address);
    const address6 = takeAddress6(
      network,
      request,
      asked6(network, request, address),
      address - place.subnet.base,
      clock.nowMs(),
    );
    undo.defer(() => address6 !== undefined && network.addresses6?.release(address6, clock.nowMs()));
    const six = sixIn(network, address6);
    const families = { six: address6 !== undefined };
    const id = newHexId(this.#parts.random);
    const { lan } = network.record;
    // As Docker: who stands in the LAN, or in an internal network of the swarm alone, has no ports on the machine.
    const publishes = lan || network.overlay ? [] : request.publish.map((publish) => withHostAddress(publish, bridge));
    const held = await ports.hold(nameOf(request, id), publishes, families);
    undo.defer(() => ports.release(held));
    const sandbox = await this.#sandboxFor(network, request, id, undo);
    const mac = asked ?? parseMac(macOfAddress(address));
    const isFirst = request.sandboxPath === undefined;
    const { bridgeIndex } = network;
    const wiring = { sandbox, bridge, bridgeIndex, address, place, ...six, mac, leadsOut: isFirst };
    if (lan) await this.#wireLan(network, wiring, mac);
    else await this.#wire(network, wiring);
    const published = publishes.map((publish, index) => withChosenPort(publish, held[index]?.port ?? 0));
    undo.defer(() => this.#withdraw(held));
    const endpoint: Endpoint = {
      id,
      ...placeOf(network, request),
      sandboxPath: sandbox.path,
      interfaceName: sandbox.interfaceName,
      hostInterfaceName: sandbox.hostInterfaceName,
      address: formatAddress(address),
      prefixLength: place.subnet.prefixLength,
      gateway: bridge.internal ? '' : formatAddress(place.gateway),
      macAddress: lan?.kind === 'ipvlan' ? '' : macTextOf(mac), // that of the parent
      published,
      ...(six && {
        address6: formatAddress6(six.six.address),
        prefixLength6: six.six.place.subnet.prefixLength,
        gateway6: bridge.internal ? '' : formatAddress6(six.six.place.gateway),
      }),
    };
    await this.#publish(publishedPorts(endpoint));
    this.#remember(network, endpoint, held);
    undo.defer(() => this.leave(network, id, true));
    if (!isFirst) await this.#routeOut(sandbox.path);
    await this.#answerNames(sandbox.path);
    if (endpoint.macAddress !== '' && (request.address || request.address6 || request.macAddress))
      this.#announceAgain(network, endpoint);
    undo.handOver();
    return endpoint;
  }

  /**
   * Neighbours may know the address by another MAC address. The kernel's first announcement is lost while the bridge's
   * port does not forward yet; announcements are repeated for such reasons (RFC 5227, 2.3).
   */
  #announceAgain(network: NetworkState, endpoint: Endpoint): void {
    const { background, clock, netd } = this.#parts;
    background.run('announce an address', async (abort) => {
      for (const waitMs of ANNOUNCE_AFTER_MS) {
        await clock.sleep(waitMs, { abort });
        if (!network.endpoints.has(endpoint.id)) return;
        await netd().run([announceStep(endpoint)]);
      }
    });
  }

  /** The container's own, or a new one. A further interface is made now: only the first ones are made in advance. */
  async #sandboxFor(
    network: NetworkState,
    request: EndpointRequest,
    endpointId: string,
    undo: Scope,
  ): Promise<Sandbox> {
    const { sandboxes, netd } = this.#parts;
    if (network.record.lan) return await this.#bareSandboxFor(request, undo);
    const outsideFd = await network.overlay?.descriptor();
    if (request.sandboxPath === undefined) {
      if (network.overlay) return await this.#insideSandbox(endpointId, outsideFd, undo);
      const sandbox = await sandboxes.take();
      undo.defer(() => sandboxes.discard(sandbox.path));
      return sandbox;
    }
    this.#places.mustHave(request.sandboxPath);
    const number = await this.#nextInterface(request.sandboxPath);
    const sandbox = sandboxes.further(request.sandboxPath, number, endpointId);
    await netd().do('making a link for a container', sandboxes.linkSteps(sandbox, outsideFd));
    undo.defer(async () => {
      for (const step of unplugSteps(sandbox)) await netd().doAside('removing a link', step);
    });
    return sandbox;
  }

  /** On an internal network of the swarm alone: no link of it is in the node's namespace at any time. */
  async #insideSandbox(endpointId: string, outsideFd: number | undefined, undo: Scope): Promise<Sandbox> {
    const { sandboxes, netd } = this.#parts;
    const { path } = await sandboxes.makeBare();
    undo.defer(() => sandboxes.discard(path));
    const sandbox = sandboxes.further(path, 0, endpointId);
    await netd().do('making a link for a container', sandboxes.linkSteps(sandbox, outsideFd));
    return sandbox;
  }

  /** Its link is made by the wiring, as it depends on the parent. */
  async #bareSandboxFor({ sandboxPath }: EndpointRequest, undo: Scope): Promise<Sandbox> {
    const { sandboxes, netd } = this.#parts;
    if (sandboxPath === undefined) {
      const { path } = await sandboxes.makeBare();
      undo.defer(() => sandboxes.discard(path));
      return { path, interfaceName: 'eth0', hostInterfaceName: '' };
    }
    this.#places.mustHave(sandboxPath);
    const interfaceName = `eth${await this.#nextInterface(sandboxPath)}`;
    const sandbox = { path: sandboxPath, interfaceName, hostInterfaceName: '' };
    undo.defer(async () => {
      for (const step of unplugSteps(sandbox)) await netd().doAside('removing a link', step);
    });
    return sandbox;
  }

  async #joinWithoutAddress(network: NetworkState, request: EndpointRequest): Promise<Endpoint> {
    const isHost = network.record.driver === 'host';
    if (request.sandboxPath !== undefined) {
      const { name } = network.record;
      throw new CodedError('forbidden', `container cannot be connected to network ${name} beside another network`);
    }
    const endpoint: Endpoint = {
      id: newHexId(this.#parts.random),
      ...placeOf(network, request),
      sandboxPath: isHost ? '' : (await this.#parts.sandboxes.makeBare()).path,
      interfaceName: '',
      hostInterfaceName: '',
      address: '',
      prefixLength: 0,
      gateway: '',
      macAddress: '',
      published: [],
    };
    this.#remember(network, endpoint, []);
    return endpoint;
  }

  async #wire(network: NetworkState, wiring: Parameters<typeof wireSteps>[0]): Promise<void> {
    try {
      await this.#parts.netd().do(`wiring a container into network ${network.record.name}`, wireSteps(wiring));
    } catch (error) {
      const isFull = error instanceof StepError && error.errno === EXFULL;
      if (!isFull) throw error;
      const { name } = network.record;
      const most = BRIDGE_PORTS_MAX - (network.overlay ? 1 : 0); // one leads to the other nodes
      throw new CodedError('exhausted', `network ${name} is full: a bridge takes ${most} containers on one machine`);
    }
  }

  async #publish(ports: readonly PublishedPort[]): Promise<void> {
    if (ports.length === 0) {
      // The bridge's own rules may not be there yet; nothing to send when they are.
      await this.#parts.firewall.sync();
      return;
    }
    await this.#parts.firewall.set((wanted) => ({
      ...wanted,
      published: new Map([...wanted.published, ...ports.map((port) => [publishedKey(port), port] as const)]),
    }));
    await this.#parts.forgetter.forget(ports.filter((port) => port.protocol === 'udp').map(datagramsTo));
  }

  async #withdraw(held: readonly HeldPort[]): Promise<void> {
    if (held.length === 0) return;
    const gone = new Set(
      held.flatMap(({ protocol, port, addresses }) =>
        addresses.map((hostAddress) => publishedKey({ protocol, hostAddress, hostPort: port })),
      ),
    );
    await this.#parts.firewall.set((wanted) => ({
      ...wanted,
      published: new Map([...wanted.published].filter(([key]) => !gone.has(key))),
    }));
  }
}
