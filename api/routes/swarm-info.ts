// The Swarm part of /info: what the node knows, and on a manager what the cluster says.
import { sentenceOf } from '../../base/errors.ts';
import type { Clock } from '../../base/clock.ts';
import { clusterInfo } from '../convert/cluster.ts';
import type { SwarmAccess } from '../deps.ts';
import type { LocalSwarm } from '../types/system.ts';

const CLUSTER_ANSWER_MS = 2_500;

/** Never fails: a cluster that does not answer is told in Error, because /info is how people look for the reason. */
export async function swarmInfoJson(swarm: SwarmAccess, clock: Clock, abort: AbortSignal): Promise<LocalSwarm> {
  const info = swarm.info();
  const local: LocalSwarm = {
    NodeID: info.nodeId,
    NodeAddr: info.nodeAddress,
    LocalNodeState: info.state,
    ControlAvailable: info.controlAvailable,
    Error: info.error,
    RemoteManagers:
      info.state === 'inactive'
        ? null
        : info.remoteManagers.map(({ nodeId, address }) => ({ NodeID: nodeId, Addr: address })),
  };
  if (!info.controlAvailable) return local;
  try {
    using deadline = clock.deadline(abort, CLUSTER_ANSWER_MS);
    const { cluster, managers, nodesTotal } = await swarm.control().call('GetCluster', {}, { abort: deadline.signal });
    return { ...local, Nodes: nodesTotal, Managers: managers.length, Cluster: clusterInfo(cluster) };
  } catch (error) {
    return { ...local, Error: sentenceOf(error) };
  }
}
