// How a machine becomes a node: it fetches the cluster's root from the address it was told, believes it only if the token's
// digest matches, and only then shows the token's secret, over a connection that this root vouches for.
import { ChannelCredentials } from '@grpc/grpc-js';
import { X509Certificate } from 'node:crypto';
import { CodedError, codeOf, fail, sentenceOf } from '../base/errors.ts';
import { materialOf, newCertificateRequest, newKeyPair } from '../proto/certificate-request.ts';
import { type CertificateMaterial, identityOf } from '../proto/identity.ts';
import { parseJoinToken, rootDigest } from '../proto/join-token.ts';
import type { NodeAvailability } from '../proto/objects.ts';
import { Channel } from '../proto/rpc.ts';
import { CertificateRequests } from '../proto/services.ts';

export interface EnrolmentRequest {
  readonly remoteAddresses: readonly string[]; // host:port of listen ports
  readonly token: string;
  readonly availability: NodeAvailability;
  readonly abort?: AbortSignal | undefined;
}

export interface Enrolment {
  readonly material: CertificateMaterial;
  readonly managerAddresses: readonly string[];
}

const CONNECT_WITHIN_MS = 3_000;
const CALL_WITHIN_MS = 5_000;

/** Asks each address in turn. An answer that refuses ends it; one that does not come leads to the next address. */
export async function enrol(request: EnrolmentRequest): Promise<Enrolment> {
  const { rootDigest: digest } = parseJoinToken(request.token);
  const keys = await newKeyPair();
  const requestPem = await newCertificateRequest(keys);
  let last: unknown = new CodedError('invalid', 'no remote address was given');
  for (const address of request.remoteAddresses) {
    try {
      const rootPem = await fetchRoot(address, digest, request.abort);
      const issued = await issue(address, rootPem, { ...request, requestPem });
      return { material: materialOf(issued, keys), managerAddresses: issued.managerAddresses };
    } catch (error) {
      if (!UNANSWERED.has(codeOf(error))) throw error;
      last = error;
    }
  }
  throw new CodedError('unavailable', `could not reach a manager of the swarm: ${sentenceOf(last)}`, { cause: last });
}

const UNANSWERED: ReadonlySet<string> = new Set(['unavailable', 'deadline']);

async function fetchRoot(address: string, digest: string, abort: AbortSignal | undefined): Promise<string> {
  // Nothing is trusted yet: what comes is held against the token's digest, and the secret is not sent here.
  const anybody = ChannelCredentials.createSsl(null, null, null, { rejectUnauthorized: false });
  using channel = new Channel(address, anybody);
  await channel.ready(CONNECT_WITHIN_MS, abort);
  const { rootsPem } = await channel.call(
    CertificateRequests.GetRootCertificate,
    {},
    { withinMs: CALL_WITHIN_MS, abort },
  );
  const root = rootsPem.find((pem) => digestOrNone(pem) === digest);
  return root ?? fail('invalid', 'remote CA does not match fingerprint: the join token is of another swarm');
}

async function issue(address: string, rootPem: string, request: EnrolmentRequest & { requestPem: string }) {
  const { requestPem, token, availability, abort } = request;
  const pinned = ChannelCredentials.createSsl(Buffer.from(rootPem), null, null, {
    checkServerIdentity: (_host, peer) => refusalOfServer(new X509Certificate(peer.raw)),
  });
  using channel = new Channel(address, pinned);
  await channel.ready(CONNECT_WITHIN_MS, abort);
  const options = { withinMs: CALL_WITHIN_MS, abort };
  return await channel.call(CertificateRequests.IssueCertificate, { requestPem, token, availability }, options);
}

function digestOrNone(pem: string): string | undefined {
  try {
    return rootDigest(pem);
  } catch {
    return undefined; // not a certificate: certainly not the one that is looked for
  }
}

function refusalOfServer(certificate: X509Certificate): Error | undefined {
  try {
    return identityOf(certificate).role === 'manager' ? undefined : new Error('the server is not a manager');
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
