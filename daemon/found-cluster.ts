// The first manager of a cluster: its root, its own certificate, and the objects that its store begins with.
import type { SwarmInitRequest } from '../api/deps.ts';
import { changedClusterSpec } from '../api/convert/cluster.ts';
import type { Clock } from '../base/clock.ts';
import { newId } from '../base/id.ts';
import type { Random } from '../base/random.ts';
import { type Authority, createAuthority, parseRequest, signRequest } from '../manager/ca/authority.ts';
import type { ManagerStart } from '../manager/manager.ts';
import type { Draft } from '../manager/store/contract.ts';
import { materialOf, newCertificateRequest, newKeyPair } from '../proto/certificate-request.ts';
import { Credentials } from '../proto/credentials.ts';
import { DEFAULT_CLUSTER_SPEC } from '../proto/defaults.ts';
import type { CertificateMaterial } from '../proto/identity.ts';
import { newJoinToken } from '../proto/join-token.ts';
import type {
  Cluster,
  ClusterId,
  ClusterSpec,
  ManagerAddresses,
  Node,
  NodeAvailability,
  NodeId,
} from '../proto/objects.ts';
import { newUnlockKey } from '../proto/unlock-key.ts';

/** The first manager makes the root, signs itself, and writes the first objects. */
export async function foundCluster(
  request: SwarmInitRequest,
  addresses: ManagerAddresses,
  means: { clock: Clock; random: Random },
): Promise<{ material: CertificateMaterial; start: ManagerStart }> {
  const { clock, random } = means;
  const [clusterId, nodeId] = [newId<'cluster'>(random), newId<'node'>(random)];
  const authority = await createAuthority(clusterId, means);
  const isLocking = request.autoLockManagers || request.spec.autoLockManagers === true;
  const spec = changedClusterSpec(DEFAULT_CLUSTER_SPEC, { ...request.spec, autoLockManagers: isLocking });
  const material = await ownCertificate(authority, { clusterId, nodeId }, [authority.rootPem], spec, means);
  return {
    material,
    start: {
      kind: 'bootstrap',
      cluster: {
        id: clusterId,
        spec,
        formatVersion: 1,
        rootCertificates: [authority.rootPem],
        rootKey: authority.keyPem,
        tokens: { worker: newJoinToken(authority.rootPem, random), manager: newJoinToken(authority.rootPem, random) },
        ...(isLocking ? { unlockKey: newUnlockKey(random) } : {}),
      },
      node: managerNode(nodeId, material, {
        addresses,
        availability: request.availability,
        clock,
        message: 'founding the swarm',
      }),
    },
  };
}

/** A new manager for a cluster that comes from a backup: the cluster's own root signs it. */
export async function managerFromBackup(
  cluster: Cluster,
  addresses: ManagerAddresses,
  means: { clock: Clock; random: Random },
): Promise<{ material: CertificateMaterial; nodeId: NodeId; start: ManagerStart }> {
  const nodeId = newId<'node'>(means.random);
  const [rootPem = ''] = cluster.rootCertificates;
  const authority = { rootPem, keyPem: cluster.rootKey };
  const identity = { clusterId: cluster.id, nodeId };
  const material = await ownCertificate(authority, identity, cluster.rootCertificates, cluster.spec, means);
  const node = managerNode(nodeId, material, {
    addresses,
    availability: 'active',
    clock: means.clock,
    message: 'restoring the swarm from a backup',
  });
  return { material, nodeId, start: { kind: 'take-over', node } };
}

async function ownCertificate(
  authority: Authority,
  identity: { clusterId: ClusterId; nodeId: NodeId },
  rootsPem: readonly string[],
  spec: ClusterSpec,
  means: { clock: Clock; random: Random },
): Promise<CertificateMaterial> {
  const keys = await newKeyPair();
  const request = await parseRequest(await newCertificateRequest(keys));
  const subject = { ...identity, role: 'manager' } as const;
  const certificatePem = await signRequest(authority, request, subject, spec.certificates.lifetimeMs, means);
  return materialOf({ certificatePem, rootsPem: [...rootsPem] }, keys);
}

function managerNode(
  id: NodeId,
  material: CertificateMaterial,
  more: { addresses: ManagerAddresses; availability: NodeAvailability; clock: Clock; message: string },
): Draft<Node> {
  return {
    id,
    spec: { name: '', labels: {}, role: 'manager', availability: more.availability },
    role: 'manager',
    manager: more.addresses,
    status: { state: 'unknown', message: more.message, address: '', sinceMs: more.clock.nowMs() },
    certificateKeyDigest: new Credentials(material).identity.keyDigest,
  };
}
