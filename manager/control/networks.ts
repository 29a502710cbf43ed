// Networks of the cluster. None can be made yet: the overlay driver is not there, and bridge, host and none are networks
// of each node, which services may name without anybody creating them.
import { fail } from '../../base/errors.ts';
import type { ControlReply, ControlRequest } from '../../proto/control.ts';
import { isPredefinedNetwork } from '../../proto/defaults.ts';
import type { Network, Service } from '../../proto/objects.ts';
import { checkNetworkSpec } from '../../proto/validate.ts';
import type { View } from '../store/contract.ts';
import { passes } from './filters.ts';
import type { Handlers, HandlerDeps } from './handlers.ts';
import { findNetwork } from './references.ts';

type NetworkMethods = 'CreateNetwork' | 'GetNetwork' | 'ListNetworks' | 'RemoveNetwork';

export function networkHandlers({ store }: HandlerDeps): Pick<Handlers, NetworkMethods> {
  return {
    CreateNetwork: async (request) => createNetwork(request),
    GetNetwork: async ({ network }) => ({ network: findNetwork(store.view(), network) }),
    ListNetworks: async ({ filter }) => ({ networks: listNetworks(store.view(), filter) }),
    RemoveNetwork: async ({ network: text }, { abort }) => {
      if (isPredefinedNetwork(text)) fail('forbidden', `${text} is a pre-defined network and cannot be removed`);
      await store.update(
        (tx) => {
          const network = findNetwork(tx, text);
          checkUnused(tx, network);
          tx.networks.remove(network.id);
        },
        { abort },
      );
      return {};
    },
  };
}

function createNetwork({ spec }: ControlRequest<'CreateNetwork'>): never {
  checkNetworkSpec(spec);
  if (isPredefinedNetwork(spec.name)) {
    fail('forbidden', `operation is not permitted on predefined ${spec.name} network`);
  }
  return fail(
    'not-implemented',
    `the network driver '${spec.driver}' does not span nodes yet: put the service on the network 'bridge' of its node, ` +
      "in a stack file as an external network named 'bridge'",
  );
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
  const uses = (service: Service): boolean =>
    service.spec.task.networks.some(({ target }) => target === network.id || target === network.spec.name);
  for (const service of view.services.all()) {
    if (uses(service)) fail('invalid', `network ${network.id} is in use by service ${service.id}`);
  }
}
