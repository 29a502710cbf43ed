// Who a node is: what its certificate says. O is the cluster, OU the role, CN the node.
import { createHash, X509Certificate } from 'node:crypto';
import { fail } from '../base/errors.ts';
import { isSwarmId } from '../base/id.ts';
import type { ClusterId, NodeId, NodeRole } from './objects.ts';

export interface Identity {
  readonly clusterId: ClusterId;
  readonly nodeId: NodeId;
  readonly role: NodeRole;
  /** SHA-256 of the public key (SPKI, DER), hex. */
  readonly keyDigest: string;
}

/** What a node needs to speak TLS. The same shape as the one that consensus asks for. */
export interface CertificateMaterial {
  readonly certificatePem: string; // leaf, then issuer chain
  readonly keyPem: string;
  readonly rootsPem: readonly string[];
}

const UNIT_OF_ROLE = { manager: 'shoal-manager', worker: 'shoal-worker' } as const satisfies Record<NodeRole, string>;

export const unitOfRole = (role: NodeRole): string => UNIT_OF_ROLE[role];

/** Reads the identity out of a certificate that TLS has verified; code `unauthenticated` when it is not one of ours. */
export function identityOf(certificate: X509Certificate): Identity {
  const subject = subjectFields(certificate.subject);
  const role = roleOfUnit(subject.get('OU'));
  const [clusterId, nodeId] = [subject.get('O'), subject.get('CN')];
  if (!role || !clusterId || !nodeId || !isSwarmId(clusterId) || !isSwarmId(nodeId)) {
    fail('unauthenticated', 'the certificate does not name a cluster, a role and a node');
  }
  return { clusterId: clusterId as ClusterId, nodeId: nodeId as NodeId, role, keyDigest: keyDigestOf(certificate) };
}

export const identityOfPem = (pem: string): Identity => identityOf(new X509Certificate(pem));

export function keyDigestOf(certificate: X509Certificate): string {
  return createHash('sha256')
    .update(certificate.publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

function roleOfUnit(unit: string | undefined): NodeRole | undefined {
  if (unit === UNIT_OF_ROLE.manager) return 'manager';
  return unit === UNIT_OF_ROLE.worker ? 'worker' : undefined;
}

/** A field that occurs twice counts as absent: nobody gets to choose which one is read. */
function subjectFields(subject: string): Map<string, string> {
  const fields = new Map<string, string>();
  const twice = new Set<string>();
  for (const line of subject.split('\n')) {
    const at = line.indexOf('=');
    const name = line.slice(0, at);
    if (fields.has(name)) twice.add(name);
    fields.set(name, line.slice(at + 1));
  }
  for (const name of twice) fields.delete(name);
  return fields;
}
