// Networks of the cluster by what a person typed, and whether a container may join them.
import { codeOf, fail } from '../base/errors.ts';
import type { Network } from '../proto/objects.ts';
import type { NetworkInfo } from '../runtime/network/contract.ts';
import type { ApiDeps } from './deps.ts';

/** Undefined: it is this machine's alone, or there is none. A name that both have means this machine's. */
export async function clusterNetwork(deps: ApiDeps, text: string, abort: AbortSignal): Promise<Network | undefined> {
  const local = localNetwork(deps, text);
  if ((local && local.scope !== 'swarm') || !deps.swarm.info().controlAvailable) return undefined;
  try {
    const { network } = await deps.swarm.control().call('GetNetwork', { network: local?.id ?? text }, { abort });
    return network;
  } catch (error) {
    if (codeOf(error) === 'not-found') return undefined;
    throw error;
  }
}

/**
 * Its name. Refuses what is known not to be there, and what only services may be on.
 */
export async function networkToJoin(deps: ApiDeps, text: string, abort: AbortSignal): Promise<string> {
  const local = localNetwork(deps, text);
  if (local && local.scope !== 'swarm') return local.name;
  const { controlAvailable, state } = deps.swarm.info();
  if (!controlAvailable) {
    if (local) return local.name;
    if (state !== 'active') return deps.runtime.networks.get(text).name;
    await deps.runtime.networks.guests?.check(text);
    return text;
  }
  const network = await clusterNetwork(deps, text, abort);
  if (!network) return fail('not-found', `network ${text} not found`);
  const { name, attachable } = network.spec;
  if (attachable) return name;
  return fail(
    'forbidden',
    `Could not attach to network ${name}: rpc error: code = PermissionDenied desc = network ${name} not manually attachable`,
  );
}

function localNetwork({ runtime }: ApiDeps, text: string): NetworkInfo | undefined {
  try {
    return runtime.networks.get(text);
  } catch (error) {
    if (codeOf(error) === 'not-found') return undefined;
    throw error;
  }
}
