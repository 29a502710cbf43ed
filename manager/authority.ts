// Who may call what. One table of every method of every service between nodes; an interceptor holds it against the
// caller's certificate and the store, for the call and for every message of a stream. A method that is not in the table
// is refused to everybody.
import { type ServerInterceptor, ServerInterceptingCall, ServerListenerBuilder } from '@grpc/grpc-js';
import { X509Certificate } from 'node:crypto';
import { CodedError, fail } from '../base/errors.ts';
import { type Identity, identityOf } from '../proto/identity.ts';
import type { ClusterId, NodeRole } from '../proto/objects.ts';
import { toStatus } from '../proto/rpc.ts';
import type { View } from './store/contract.ts';

/** A service whole, or one of its methods: the more precise entry counts. */
export type AuthorityTable = Readonly<Record<string, readonly NodeRole[]>>;

const ALL_NODES = ['manager', 'worker'] as const;
const MANAGERS = ['manager'] as const;

export const AUTHORITY: AuthorityTable = {
  '/shoal.dispatcher.v1.Dispatcher/Session': ALL_NODES,
  '/shoal.dispatcher.v1.Dispatcher/Bytes': ALL_NODES,
  '/shoal.dispatcher.v1.Managers/Register': MANAGERS,
  '/shoal.dispatcher.v1.Managers/Report': MANAGERS,
  '/shoal.dispatcher.v1.Managers/AwaitApplied': MANAGERS,
  '/shoal.dispatcher.v1.Managers/AskForStream': MANAGERS,
  '/shoal.dispatcher.v1.Managers/ReadIndex': MANAGERS,
  '/shoal.dispatcher.v1.Managers/Join': MANAGERS,
  '/shoal.dispatcher.v1.Managers/Leave': MANAGERS,
  '/shoal.ca.v1.Certificates/RenewCertificate': ALL_NODES,
  '/shoal.ca.v1.Certificates/ForwardIssue': MANAGERS,
  '/shoal.ca.v1.Certificates/ForwardRenew': MANAGERS,
  '/shoal.control.v1.Control/': MANAGERS,
};

export interface Authority {
  readonly clusterId: ClusterId;
  readonly view: () => View;
  /** False while this manager has not caught up with the cluster: then the certificate alone decides. */
  readonly current: () => boolean;
}

export function rolesFor(path: string): readonly NodeRole[] {
  return AUTHORITY[path] ?? AUTHORITY[path.slice(0, path.lastIndexOf('/') + 1)] ?? [];
}

/** The identity behind a call, from its verified certificate. */
export function identify(call: { getAuthContext(): unknown }): Identity {
  const context = call.getAuthContext() as { sslPeerCertificate?: { raw: Buffer; fingerprint256: string } } | null;
  const peer = context?.sslPeerCertificate ?? fail('unauthenticated', 'a certificate of the cluster is needed');
  return identities.of(peer.fingerprint256, peer.raw);
}

/** Throws unless `identity` may call `path` now. */
export function authorise(path: string, identity: Identity, authority: Authority): void {
  const { clusterId, nodeId, role, keyDigest } = identity;
  if (clusterId !== authority.clusterId) fail('forbidden', 'the certificate is of another cluster');
  const roles = rolesFor(path);
  if (!roles.includes(role)) fail('forbidden', `${path} is not for a ${role}`);
  if (!authority.current()) return;
  const node = authority.view().nodes.get(nodeId) ?? fail('forbidden', `node ${nodeId} is not part of this cluster`);
  if (node.certificateKeyDigest !== keyDigest && node.previousCertificateKeyDigest !== keyDigest) {
    fail('forbidden', `the certificate of node ${nodeId} has been replaced`);
  }
  // A manager that was demoted may hold its old certificate for weeks; the store knows better.
  if (!roles.includes(node.role)) fail('forbidden', `node ${nodeId} is a ${node.role}; ${path} is not for it`);
}

export function authorityInterceptor(authority: Authority): ServerInterceptor {
  return (method, call) => {
    const refusal = (): CodedError | undefined => {
      try {
        authorise(method.path, identify(call), authority);
        return undefined;
      } catch (error) {
        return error instanceof CodedError ? error : new CodedError('internal', 'authorising failed', { cause: error });
      }
    };
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        const refused = refusal();
        if (refused) call.sendStatus(toStatus(refused));
        else next(metadata);
      })
      .withOnReceiveMessage((message, next) => {
        const refused = refusal();
        if (refused) call.sendStatus(toStatus(refused));
        else next(message);
      })
      .build();
    return new ServerInterceptingCall(call, { start: (next) => next(listener) });
  };
}

const IDENTITIES_MAX = 10_000;

/** Certificates already read, by fingerprint: parsing one costs more than a call. */
class Identities {
  readonly #known = new Map<string, Identity>();

  of(fingerprint: string, raw: Buffer): Identity {
    const known = this.#known.get(fingerprint);
    if (known) return known;
    const identity = identityOf(new X509Certificate(raw));
    if (this.#known.size >= IDENTITIES_MAX) this.#known.clear();
    this.#known.set(fingerprint, identity);
    return identity;
  }
}

const identities = new Identities();
