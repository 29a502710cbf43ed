// The certificate authority's arithmetic: makes a root, signs requests. Knows nothing of the store or of tokens.
// A certificate says who its holder is (see proto/identity.ts); what they may do, the store says too.
import type { Pkcs10CertificateRequest } from '@peculiar/x509';
import type { Clock } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import {
  KEY_ALGORITHM,
  keyPairFromPem,
  keyToPem,
  loadX509,
  newKeyPair,
  SIGNING_ALGORITHM,
} from '../../proto/certificate-request.ts';
import { unitOfRole } from '../../proto/identity.ts';
import type { ClusterId, NodeId, NodeRole } from '../../proto/objects.ts';

export interface Authority {
  readonly rootPem: string;
  readonly keyPem: string;
}

export interface Subject {
  readonly clusterId: ClusterId;
  readonly nodeId: NodeId;
  readonly role: NodeRole;
}

interface Means {
  readonly clock: Clock;
  readonly random: Random;
}

const ROOT_LIFETIME_MS = 20 * 365 * 24 * 3_600_000;
/** Clocks of two machines differ; a certificate must be valid on both at once. */
const BACKDATED_MS = 3_600_000;

export async function createAuthority(clusterId: ClusterId, { clock, random }: Means): Promise<Authority> {
  const x509 = await loadX509();
  const keys = await newKeyPair();
  const nowMs = clock.nowMs();
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(random),
    name: [{ O: [clusterId] }, { CN: ['shoal-ca'] }],
    notBefore: new Date(nowMs - BACKDATED_MS),
    notAfter: new Date(nowMs + ROOT_LIFETIME_MS),
    keys,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { rootPem: root.toString('pem'), keyPem: keyToPem(keys.privateKey) };
}

/** A request whose signature holds, over a P-256 key; anything else is `invalid`. */
export async function parseRequest(pem: string): Promise<Pkcs10CertificateRequest> {
  const x509 = await loadX509();
  try {
    const request = new x509.Pkcs10CertificateRequest(pem);
    const algorithm = request.publicKey.algorithm as { name: string; namedCurve?: string };
    if (algorithm.name === KEY_ALGORITHM.name && algorithm.namedCurve === KEY_ALGORITHM.namedCurve) {
      if (await request.verify()) return request;
    }
  } catch (cause) {
    fail('invalid', 'the certificate request can not be read', { cause });
  }
  return fail('invalid', 'the certificate request must be over a P-256 key and carry its signature');
}

/** Signs the key of `request` for `subject`. */
export async function signRequest(
  authority: Authority,
  request: Pkcs10CertificateRequest,
  subject: Subject,
  lifetimeMs: number,
  { clock, random }: Means,
): Promise<string> {
  const x509 = await loadX509();
  const root = new x509.X509Certificate(authority.rootPem);
  const { privateKey } = await keyPairFromPem(authority.keyPem);
  const nowMs = clock.nowMs();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(random),
    subject: [{ O: [subject.clusterId] }, { OU: [unitOfRole(subject.role)] }, { CN: [subject.nodeId] }],
    issuer: root.subject,
    notBefore: new Date(nowMs - BACKDATED_MS),
    notAfter: new Date(nowMs + lifetimeMs),
    publicKey: request.publicKey,
    signingKey: privateKey,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([
        { type: 'dns', value: unitOfRole(subject.role) },
        { type: 'dns', value: subject.nodeId },
      ]),
      await x509.SubjectKeyIdentifierExtension.create(request.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(root),
    ],
  });
  return certificate.toString('pem');
}

/** 127 bits, so that the number is positive and never short of bytes. */
function serialNumber(random: Random): string {
  const bytes = Buffer.from(random.bytes(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}
