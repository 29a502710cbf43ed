// Networks of the cluster. What one needs for itself (subnet, gateway, number on the wire) is settled in the transaction
// that creates it, so that a clash is refused at once; addresses in it are the allocator's. bridge, host and none are
// networks of each node, which services may name without anybody creating them.
import { fail } from '../../base/errors.ts';
import { newId } from '../../base/id.ts';
import { parseAddress, parseSubnet } from '../../base/ipv4.ts';
import type { ControlReply, ControlRequest } from '../../proto/control.ts';
import { isPredefinedNetwork } from '../../proto/defaults.ts';
import {
  freeVni,
  keyPeriodMs,
  planNetwork,
  pools6Of,
  planSubnets6,
  poolsOf,
  type TakenSubnet,
} from '../../proto/network-plan.ts';
import type { Network, NetworkSpec, Service } from '../../proto/objects.ts';
import { isTerminal, isWanted } from '../../proto/task-state.ts';
import { checkNetworkSpec } from '../../proto/validate.ts';
import type { Transaction, View } from '../store/contract.ts';
import { passes } from './filters.ts';
import type { Handlers, HandlerDeps } from './handlers.ts';
import { findNetwork, taskName } from './references.ts';

const NETWORKS_MAX = 4_000;

type NetworkMethods = 'CreateNetwork' | 'GetNetwork' | 'GetNetworkMembers' | 'ListNetworks' | 'RemoveNetwork';

export function networkHandlers({ store, random, turns, applied }: HandlerDeps): Pick<Handlers, NetworkMethods> {
  return {
    // Subnets are checked against all other networks.
    CreateNetwork: ({ spec }, { abort }) =>
      turns.run(async () => {
        checkSpec(spec);
        const id = newId<'network'>(random);
        await store.update((tx) => tx.networks.put(planned(tx, id, spec)), { abort });
        return { network: store.view().networks.get(id) ?? fail('not-found', `network ${spec.name} not found`) };
      }, abort),
    GetNetwork: async ({ network }) => ({ network: findNetwork(store.view(), network) }),
    GetNetworkMembers: async ({ network: text }) => {
      const view = store.view();
      const network = findNetwork(view, text);
      const guests = [...view.guests.all()].filter(({ networkId }) => networkId === network.id);
      return { guests, index: view.version, applied: Object.fromEntries(applied()) };
    },
    ListNetworks: async ({ filter }) => ({ networks: listNetworks(store.view(), filter) }),
    // Services that name it are looked for; one that is just being made would not be seen.
    RemoveNetwork: ({ network: text }, { abort }) =>
      turns.run(async () => {
        if (isPredefinedNetwork(text)) fail('forbidden', `${text} is a pre-defined network and cannot be removed`);
        const remove = (tx: Transaction): void => {
          const network = findNetwork(tx, text);
          checkUnused(tx, network);
          tx.networks.remove(network.id);
        };
        await store.update(remove, { abort });
        return {};
      }, abort),
  };
}

function checkSpec(spec: NetworkSpec): void {
  checkNetworkSpec(spec);
  if (isPredefinedNetwork(spec.name)) {
    fail('forbidden', `operation is not permitted on predefined ${spec.name} network`);
  }
  if (spec.driver !== 'overlay') fail('not-found', `plugin "${spec.driver}" not found`);
  keyPeriodMs(spec.options);
}

function planned(
  view: View,
  id: Network['id'],
  spec: NetworkSpec,
): Pick<Network, 'id' | 'spec' | 'subnet' | 'gateway' | 'further' | 'subnet6' | 'further6' | 'vni'> {
  const networks = [...view.networks.all()];
  if (view.networks.byName(spec.name)) fail('conflict', `network with name ${spec.name} already exists`);
  if (networks.length >= NETWORKS_MAX) {
    fail('exhausted', `the swarm has ${NETWORKS_MAX} networks, which is the most it keeps`);
  }
  const vni = freeVni(view.version, new Set(networks.map((network) => network.vni)));
  const plan = planNetwork(spec, takenSubnets(view, networks));
  const taken6 = networks.flatMap((network) =>
    pools6Of(network).map(({ subnet }) => ({ subnet6: subnet, owner: `network ${network.spec.name}` })),
  );
  return { id, spec, ...plan, ...planSubnets6(spec, { ...plan, vni }, taken6), vni };
}

/** Other networks, and the nodes themselves: their containers must be able to reach them. */
function takenSubnets(view: View, networks: readonly Network[]): TakenSubnet[] {
  const nodes = [...view.nodes.all()].flatMap((node) => {
    const address = node.dataAddress ?? node.status.address;
    if (!/^[\d.]+$/.test(address)) return [];
    return [{ subnet: { base: parseAddress(address), prefixLength: 32 }, owner: `the address of node ${node.id}` }];
  });
  return [
    ...networks.flatMap((network) =>
      poolsOf(network).map(({ subnet }) => ({ subnet: parseSubnet(subnet), owner: `network ${network.spec.name}` })),
    ),
    ...nodes,
  ];
}

function listNetworks(
  view: View,
  filter: ControlRequest<'ListNetworks'>['filter'],
): ControlReply<'ListNetworks'>['networks'] {
  return [...view.networks.all()].filter(({ id, spec }) =>
    passes(filter, { id, names: [spec.name], labels: spec.labels }),
  );
}

function checkUnused(view: View, network: Network): void {
  const uses = ({ spec, previousSpec }: Service): boolean =>
    [spec, previousSpec].some((each) => each?.task.networks.some(({ target }) => target === network.id));
  for (const service of view.services.all()) {
    if (uses(service)) fail('invalid', `network ${network.spec.name} is in use by service ${service.spec.name}`);
  }
  for (const guest of view.guests.all()) {
    if (guest.networkId !== network.id) continue;
    fail('invalid', `network ${network.spec.name} is in use by container ${guest.name} on node ${guest.nodeId}`);
  }
  for (const task of view.tasks.all()) {
    const isOn = task.attachments?.some(({ networkId }) => networkId === network.id) ?? false;
    // What is to stop, does: a stack's networks go in the moment after its services.
    const isLeft = isWanted(task) && !isTerminal(task.status.state) && view.services.get(task.serviceId) !== undefined;
    if (isOn && isLeft) fail('invalid', `network ${network.spec.name} is in use by task ${taskName(task)}`);
  }
}
