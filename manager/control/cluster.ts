// The cluster object: its settings and its join tokens. The signing key never leaves the managers' stores.
import { fail } from '../../base/errors.ts';
import type { Caller, ControlReply, ControlRequest, PublicCluster } from '../../proto/control.ts';
import type { Cluster, ClusterSpec } from '../../proto/objects.ts';
import { newUnlockKey } from '../../proto/unlock-key.ts';
import { checkClusterSpec } from '../../proto/validate.ts';
import type { View } from '../store/contract.ts';
import type { Handlers, HandlerDeps } from './handlers.ts';

export function clusterHandlers(deps: HandlerDeps): Pick<Handlers, 'GetCluster' | 'UpdateCluster' | 'GetUnlockKey'> {
  return {
    GetCluster: async (_, { caller }) => getCluster(deps, caller),
    GetUnlockKey: async () => ({ unlockKey: theCluster(deps.store.view()).unlockKey ?? '' }),
    UpdateCluster: (request, { caller, abort }) => updateCluster(deps, request, caller, abort),
  };
}

function getCluster({ store, members }: HandlerDeps, caller: Caller): ControlReply<'GetCluster'> {
  const view = store.view();
  return { cluster: publicCluster(theCluster(view), caller), managers: members(), nodesTotal: view.nodes.size };
}

async function updateCluster(
  { store, newJoinToken, random }: HandlerDeps,
  request: ControlRequest<'UpdateCluster'>,
  caller: Caller,
  abort: AbortSignal | undefined,
): Promise<ControlReply<'UpdateCluster'>> {
  await store.update(
    (tx) => {
      const cluster = theCluster(tx);
      const spec = withDownPeriod(request.spec, cluster.spec);
      checkClusterSpec(spec);
      if (cluster.version !== request.version) fail('out-of-sequence', 'update out of sequence');
      const worker = request.rotateWorkerToken ? newJoinToken(cluster, 'worker') : cluster.tokens.worker;
      const manager = request.rotateManagerToken ? newJoinToken(cluster, 'manager') : cluster.tokens.manager;
      const { unlockKey, ...rest } = cluster;
      const isLocked = spec.autoLockManagers === true;
      const key = unlockKey === undefined || request.rotateUnlockKey ? newUnlockKey(random) : unlockKey;
      tx.clusters.put({ ...rest, spec, tokens: { worker, manager }, ...(isLocked ? { unlockKey: key } : {}) });
    },
    { abort },
  );
  return { cluster: publicCluster(theCluster(store.view()), caller) };
}

const HEARTBEATS_TO_DOWN = 3;

/** Docker's API knows the heartbeat only: who changes that alone wants the period of silence to follow. */
function withDownPeriod(spec: ClusterSpec, present: ClusterSpec): ClusterSpec {
  const { heartbeatMs, nodeDownAfterMs } = spec.dispatcher;
  const alone =
    heartbeatMs !== present.dispatcher.heartbeatMs && nodeDownAfterMs === present.dispatcher.nodeDownAfterMs;
  if (!alone) return spec;
  return { ...spec, dispatcher: { ...spec.dispatcher, nodeDownAfterMs: HEARTBEATS_TO_DOWN * heartbeatMs } };
}

function theCluster(view: View): Cluster {
  const [cluster] = view.clusters.all();
  return cluster ?? fail('unavailable', 'the swarm has no cluster object yet');
}

/** Without the key, field by field, so that a new secret field is not shown by default. */
function publicCluster(cluster: Cluster, caller: Caller): PublicCluster {
  const { id, version, createdAtMs, updatedAtMs, spec, formatVersion, rootCertificates } = cluster;
  const tokens = caller.role === 'worker' ? { worker: '', manager: '' } : cluster.tokens;
  return { id, version, createdAtMs, updatedAtMs, spec, formatVersion, rootCertificates, tokens };
}
