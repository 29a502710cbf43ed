// The CA's gRPC services: translation only. What is asked of a manager that does not lead goes to the one that does.
import { asOneOf } from '../../base/parse.ts';
import type { Clock } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import type { CertificateRequestsHandlers } from '../../proto/gen/shoal/ca/v1/CertificateRequests.ts';
import type { CertificatesHandlers } from '../../proto/gen/shoal/ca/v1/Certificates.ts';
import type { IssueCertificateRequest } from '../../proto/gen/shoal/ca/v1/IssueCertificateRequest.ts';
import type { IssuedCertificate } from '../../proto/gen/shoal/ca/v1/IssuedCertificate.ts';
import type { Identity } from '../../proto/identity.ts';
import type { NodeAvailability } from '../../proto/objects.ts';
import { type LeaderLink, unaryHandler } from '../../proto/rpc.ts';
import { Certificates } from '../../proto/services.ts';
import { type Issuer, theCluster } from './issuer.ts';
import type { Store } from '../store/contract.ts';
import { RateLimit } from './rate-limit.ts';

export interface CaDeps {
  readonly store: Store;
  readonly issuer: Issuer;
  readonly leader: LeaderLink;
  readonly clock: Clock;
}

/** Longest request or reply on the open listener. */
export const OPEN_MESSAGE_BYTES_MAX = 64 * 1024;
const PER_ADDRESS = { perSecond: 5, burst: 20 } as const;
const PER_LISTENER = { perSecond: 50, burst: 200 } as const;
const FORWARD_WITHIN_MS = 2_000;

/** What strangers may call. */
export function certificateRequestsHandlers(deps: CaDeps): CertificateRequestsHandlers {
  const limit = new RateLimit({ clock: deps.clock, each: PER_ADDRESS, all: PER_LISTENER });
  const admit = (peer: string): void => {
    const address = peer.replace(/:\d+$/, '');
    if (!limit.admit(address)) fail('exhausted', 'too many requests for certificates; wait a second and try again');
  };
  return {
    GetRootCertificate: unaryHandler(async (_request, call) => {
      admit(call.getPeer());
      return { rootsPem: [...theCluster(deps.store.view()).rootCertificates] };
    }),
    IssueCertificate: unaryHandler(async (request, call, abort) => {
      admit(call.getPeer());
      return await deps.leader.run<IssuedCertificate>({
        local: () => issueHere(deps, request, abort),
        remote: (channel, signal) =>
          channel.call(Certificates.ForwardIssue, request, { withinMs: FORWARD_WITHIN_MS, abort: signal }),
        repeatable: true, // the same key gives the same node
        abort,
      });
    }),
  };
}

/** What nodes may call, and managers for others. `identify` names the caller of an authorised call. */
export function certificatesHandlers(
  deps: CaDeps,
  identify: (call: { getAuthContext(): unknown }) => Identity,
): CertificatesHandlers {
  return {
    RenewCertificate: unaryHandler(async ({ requestPem }, call, abort) => {
      const { nodeId, keyDigest } = identify(call);
      const request = { requestPem, nodeId, keyDigest };
      return await deps.leader.run<IssuedCertificate>({
        local: () => deps.issuer.renew(request, { abort }),
        remote: (channel, signal) =>
          channel.call(Certificates.ForwardRenew, request, { withinMs: FORWARD_WITHIN_MS, abort: signal }),
        repeatable: true,
        abort,
      });
    }),
    ForwardIssue: unaryHandler((request, _call, abort) => issueHere(deps, request, abort)),
    ForwardRenew: unaryHandler((request, _call, abort) => deps.issuer.renew(request, { abort })),
  };
}

function issueHere(deps: CaDeps, request: IssueCertificateRequest, abort: AbortSignal): Promise<IssuedCertificate> {
  return deps.issuer.issue({ ...request, availability: parseAvailability(request.availability) }, { abort });
}

const parseAvailability = (text: string): NodeAvailability =>
  text === '' ? 'active' : asOneOf(text, 'availability', ['active', 'pause', 'drain']);
