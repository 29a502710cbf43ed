// The first manager of a cluster: its root, its own certificate, and the objects that its store begins with.
import type { SwarmInitRequest } from '../api/deps.ts';
import { changedClusterSpec } from '../api/convert/cluster.ts';
import type { Clock } from '../base/clock.ts';
import { newId } from '../base/id.ts';
import type { Random } from '../base/random.ts';
import { createAuthority, parseRequest, signRequest } from '../manager/ca/authority.ts';
import type { ManagerStart } from '../manager/manager.ts';
import { materialOf, newCertificateRequest, newKeyPair } from '../proto/certificate-request.ts';
import { Credentials } from '../proto/credentials.ts';
import { DEFAULT_CLUSTER_SPEC } from '../proto/defaults.ts';
import type { CertificateMaterial } from '../proto/identity.ts';
import { newJoinToken } from '../proto/join-token.ts';
import type { ManagerAddresses } from '../proto/objects.ts';
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
  const keys = await newKeyPair();
  const certificateRequest = await parseRequest(await newCertificateRequest(keys));
  const isLocking = request.autoLockManagers || request.spec.autoLockManagers === true;
  const spec = changedClusterSpec(DEFAULT_CLUSTER_SPEC, { ...request.spec, autoLockManagers: isLocking });
  const subject = { clusterId, nodeId, role: 'manager' } as const;
  const certificatePem = await signRequest(authority, certificateRequest, subject, spec.certificates.lifetimeMs, means);
  const material = materialOf({ certificatePem, rootsPem: [authority.rootPem] }, keys);
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
      node: {
        id: nodeId,
        spec: { name: '', labels: {}, role: 'manager', availability: request.availability },
        role: 'manager',
        manager: addresses,
        status: { state: 'unknown', message: 'founding the swarm', address: '', sinceMs: clock.nowMs() },
        certificateKeyDigest: new Credentials(material).identity.keyDigest,
      },
    },
  };
}
