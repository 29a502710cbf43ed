// /networks: this machine's, and on a manager the cluster's.
import { codeOf, fail } from '../../base/errors.ts';
import type { NetworkInfo } from '../../runtime/network/contract.ts';
import { isPredefinedNetwork } from '../../proto/defaults.ts';
import type { Network } from '../../proto/objects.ts';
import { parseAttachment } from '../convert/attachment.ts';
import { Fields } from '../convert/fields.ts';
import {
  clusterNetworkJson,
  INGRESS,
  ingressJson,
  isClusterRequest,
  networkInspect,
  networkJson,
  parseClusterNetwork,
  parseNetworkRequest,
  warningOf,
} from '../convert/network.ts';
import { nsToMs, parseTimestampNs } from '../convert/time.ts';
import type { ApiDeps } from '../deps.ts';
import { type Filters, matchesName, parseFilters } from '../filters.ts';
import { clusterNetwork, networkToJoin } from '../cluster-network.ts';
import { guestsOn, membersOf, peersOf, servicesOn } from '../network-members.ts';
import { empty, json } from '../reply.ts';
import type { Routes } from '../routes.ts';
import type { NetworkJson } from '../types/network.ts';

const NETWORK_TYPES = ['builtin', 'custom'];
const NETWORK_FILTERS = ['dangling', 'driver', 'id', 'label', 'label!', 'name', 'scope', 'type'];

export function addNetworkRoutes(router: Routes, deps: ApiDeps): void {
  const { networks, containers } = deps.runtime;

  router.add('GET', '/networks', async ({ query, abort }) => {
    const filters = parseFilters(query.text('filters'), NETWORK_FILTERS);
    for (const type of filters.values('type'))
      if (!NETWORK_TYPES.includes(type)) fail('invalid', `invalid filter: 'type'='${type}'`);
    const local = networks.list().filter((network) => isDangling(network, filters));
    const known = await clusterNetworks(deps, abort);
    const own = local.filter(({ id }) => !known.some((network) => network.Id === id));
    const all = [...own.map(networkJson), ...known];
    return json(
      200,
      all.filter((network) => matches(network, filters)),
    );
  });

  router.add('POST', '/networks/create', async (request) => {
    const body = await request.json();
    if (!isClusterRequest(body)) {
      const wanted = parseNetworkRequest(body);
      const network = await networks.create(wanted);
      const { id } = network;
      publishNetwork(deps, 'create', network);
      return json(201, { Id: id, Warning: warningOf(wanted) });
    }
    const spec = parseClusterNetwork(body);
    const control = deps.swarm.control();
    if (networks.list().some(({ name }) => name === spec.name)) {
      fail('conflict', `network with name ${spec.name} already exists`);
    }
    const { network } = await control.call('CreateNetwork', { spec }, { abort: request.abort });
    return json(201, { Id: network.id, Warning: '' });
  });

  router.add('GET', '/networks/{id}', async (request) => {
    const { query, abort } = request;
    const id = request.param('id');
    const network = await clusterNetwork(deps, id, abort);
    const scope = query.text('scope');
    if (!network && isIngress(deps, id) && ['', 'swarm'].includes(scope)) {
      return json(200, ingressJson(networks.ingress()));
    }
    if (scope !== '' && !scopesOf(deps, network, id).includes(scope)) fail('not-found', `network ${id} not found`);
    if (!network) return json(200, networkInspect(networks.get(id), containers.list()));
    const here = networks.list().find((each) => each.id === network.id);
    const attached = here ? networkInspect(here, containers.list()).Containers : {};
    const members = await membersOf(deps, network, abort);
    const peers = peersOf(members);
    if (!query.flag('verbose')) {
      return json(200, { ...clusterNetworkJson(network), Containers: attached, Peers: peers });
    }
    const services = await servicesOn(deps, members, abort);
    const all = { ...guestsOn(members), ...attached };
    return json(200, { ...clusterNetworkJson(network), Containers: all, Peers: peers, Services: services });
  });

  // Not part of Docker's API: what `shoal network doctor` shows.
  router.add('GET', '/shoal/networks/report', async () =>
    json(200, { ...(await networks.report()), paths: deps.swarm.paths() }),
  );

  router.add('DELETE', '/networks/{id}', async (request) => {
    const id = request.param('id');
    const network = await clusterNetwork(deps, id, request.abort);
    if (!network && isIngress(deps, id))
      fail('forbidden', 'ingress is no network but how every node leads to published ports: it can not be removed');
    if (network) await deps.swarm.control().call('RemoveNetwork', { network: network.id }, { abort: request.abort });
    else await removeNetwork(deps, id);
    return empty(204);
  });

  router.add('POST', '/networks/{id}/connect', async (request) => {
    const name = await networkToJoin(deps, request.param('id'), request.abort);
    const body = new Fields(await request.json());
    await containers.connect(body.text('Container'), parseAttachment(name, body.object('EndpointConfig')));
    return empty(200);
  });
  router.add('POST', '/networks/{id}/disconnect', async (request) => {
    const { name } = networks.get(request.param('id'));
    const body = new Fields(await request.json());
    await containers.disconnect(body.text('Container'), name);
    return empty(200);
  });

  router.add('POST', '/networks/prune', async ({ query }) => {
    const filters = parseFilters(query.text('filters'), ['label', 'label!', 'until']);
    const until = parseTimestampNs(filters.values('until')[0] ?? '', 'until', deps.clock.nowMs());
    const unused = networks
      .list()
      .filter((network) => isUnused(network) && filters.matchLabels(network.labels))
      .filter((network) => until === undefined || network.createdAtMs < nsToMs(until));
    const deleted: string[] = [];
    for (const { name, id } of unused) if (await wasRemoved(deps, id)) deleted.push(name);
    return json(200, { NetworksDeleted: deleted });
  });
}

const isUnused = (network: NetworkInfo): boolean =>
  network.scope === 'local' && !isPredefinedNetwork(network.name) && network.endpoints.length === 0;

function isDangling(network: NetworkInfo, filters: Filters): boolean {
  const dangling = filters.flag('dangling');
  return dangling === undefined || dangling === isUnused(network);
}

function matches(network: NetworkJson, filters: Filters): boolean {
  const type = isPredefinedNetwork(network.Name) ? 'builtin' : 'custom';
  return (
    filters.some('id', (id) => network.Id.startsWith(id)) &&
    filters.some('name', (name) => matchesName(name, network.Name)) &&
    filters.some('driver', (driver) => network.Driver === driver) &&
    filters.some('scope', (scope) => network.Scope === scope) &&
    filters.some('type', (wanted) => type === wanted) &&
    filters.matchLabels(network.Labels)
  );
}

/** This machine's networks are worth showing while the cluster has no leader; who asks for a list must not wait for one. */
async function clusterNetworks({ swarm, log }: ApiDeps, abort: AbortSignal): Promise<NetworkJson[]> {
  if (!swarm.info().controlAvailable) return [];
  try {
    const { networks } = await swarm.control().call('ListNetworks', { filter: {} }, { abort });
    return networks.map(clusterNetworkJson);
  } catch (error) {
    if (!['unavailable', 'deadline'].includes(codeOf(error))) throw error;
    log.warn('the networks of the cluster are not listed', { error });
    return [];
  }
}

async function removeNetwork(deps: ApiDeps, reference: string): Promise<void> {
  const { networks } = deps.runtime;
  const network = networks.get(reference);
  await networks.remove(reference);
  publishNetwork(deps, 'destroy', network);
}

function publishNetwork({ runtime }: ApiDeps, action: 'create' | 'destroy', network: NetworkInfo): void {
  const { id, name, driver } = network;
  runtime.events.publish({ type: 'network', action, id, attributes: { name, type: driver }, scope: 'local' });
}

/** False when a container joined it meanwhile. */
async function wasRemoved(deps: ApiDeps, id: string): Promise<boolean> {
  try {
    await removeNetwork(deps, id);
    return true;
  } catch (error) {
    if (['conflict', 'forbidden', 'not-found'].includes(codeOf(error))) return false;
    throw error;
  }
}

/** The networks that every node has are the swarm's too, as services may be on them: `service create` asks for them so. */
function scopesOf(deps: ApiDeps, network: Network | undefined, id: string): readonly string[] {
  if (network) return ['swarm'];
  const { name, scope } = deps.runtime.networks.get(id);
  const isEverywhere = isPredefinedNetwork(name);
  return isEverywhere && deps.swarm.info().controlAvailable ? [scope, 'swarm'] : [scope];
}

/** Of a node in a swarm, unless somebody called a network so. */
function isIngress({ runtime, swarm }: ApiDeps, id: string): boolean {
  return id === INGRESS && swarm.info().state === 'active' && !runtime.networks.list().some(({ name }) => name === id);
}
