// The networks that a service asks for. The stock client sends the id of this machine's `bridge`, `host` or `none`, which
// means nothing on another: they travel by name. Other networks of one machine cannot carry a service.
import { codeOf, fail } from '../../base/errors.ts';
import { isPredefinedNetwork } from '../../proto/defaults.ts';
import type { ServiceSpec } from '../../proto/objects.ts';
import type { NetworkInfo, Networks } from '../../runtime/network/contract.ts';

export function withNetworksByName(spec: ServiceSpec, networks: Pick<Networks, 'get'>): ServiceSpec {
  const attachments = spec.task.networks.map((each) => ({ ...each, target: nameFor(each.target, networks) }));
  return { ...spec, task: { ...spec.task, networks: attachments } };
}

function nameFor(target: string, networks: Pick<Networks, 'get'>): string {
  const local = target === '' ? undefined : localNetwork(target, networks);
  if (!local || isPredefinedNetwork(local.name)) return local?.name ?? target;
  if (local.scope === 'swarm') return local.id;
  return fail(
    'forbidden',
    `The network ${local.name} cannot be used with services. ` +
      'Only networks scoped to the swarm can be used, such as those created with the overlay driver.',
  );
}

/** Undefined: not of this machine, so the managers know it or refuse it. */
function localNetwork(target: string, networks: Pick<Networks, 'get'>): NetworkInfo | undefined {
  try {
    return networks.get(target);
  } catch (error) {
    if (codeOf(error) === 'not-found') return undefined;
    throw error;
  }
}
