// Who gets a certificate: token or present identity in, signed certificate and stored node out. Runs on the leader.
// Invariant: the node's record and its certificate agree on role and key, and the record is committed first to be read.
import { createHash } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import { newId } from '../../base/id.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { sameToken } from '../../proto/join-token.ts';
import type { Cluster, Node, NodeAvailability, NodeId, NodeRole } from '../../proto/objects.ts';
import type { Store, View } from '../store/contract.ts';
import { parseRequest, signRequest } from './authority.ts';

export interface Issued {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly role: NodeRole;
  readonly certificatePem: string;
  readonly rootsPem: string[];
  readonly managerAddresses: string[];
}

export interface IssuerDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

type Abort = { abort?: AbortSignal | undefined };

export class Issuer {
  readonly #deps: IssuerDeps;

  constructor(deps: IssuerDeps) {
    this.#deps = deps;
  }

  /** A new node with a token. Asking again with the same key gives the same node: the first answer may have been lost. */
  async issue(
    request: { requestPem: string; token: string; availability: NodeAvailability },
    options: Abort = {},
  ): Promise<Issued> {
    const { store, random, log } = this.#deps;
    const parsed = await parseRequest(request.requestPem);
    const keyDigest = digestOf(parsed.publicKey.rawData);
    const role = roleOfToken(theCluster(store.view()), request.token);
    const known = nodeWithKey(store.view(), keyDigest);
    const nodeId = known?.id ?? newId<'node'>(random);
    const issued = await this.#sign(parsed, nodeId, role);
    await store.update((tx) => {
      if (roleOfToken(theCluster(tx), request.token) !== role) fail('forbidden', TOKEN_REFUSED);
      if (tx.nodes.get(nodeId)) return;
      tx.nodes.put(newNode(nodeId, role, keyDigest, request.availability, this.#deps.clock.nowMs()));
    }, options);
    log.info('certificate issued', { nodeId, role });
    return issued;
  }

  /** The next certificate of a node that showed its present one. Its role is what the record wants now. */
  async renew(
    request: { requestPem: string; nodeId: string; keyDigest: string },
    options: Abort = {},
  ): Promise<Issued> {
    const { store, log } = this.#deps;
    const parsed = await parseRequest(request.requestPem);
    const keyDigest = digestOf(parsed.publicKey.rawData);
    const role = certificateRole(knownNode(store.view(), request.nodeId, request.keyDigest));
    const issued = await this.#sign(parsed, request.nodeId as NodeId, role);
    await store.update((tx) => {
      const node = knownNode(tx, request.nodeId, request.keyDigest);
      if (certificateRole(node) !== role) fail('conflict', `the role of node ${node.id} is changing; ask again`);
      tx.nodes.put({ ...node, role, ...rotatedKey(keyDigest, request.keyDigest) });
    }, options);
    log.info('certificate renewed', { nodeId: request.nodeId, role });
    return issued;
  }

  async #sign(request: Awaited<ReturnType<typeof parseRequest>>, nodeId: NodeId, role: NodeRole): Promise<Issued> {
    const view = this.#deps.store.view();
    const cluster = theCluster(view);
    const [rootPem] = cluster.rootCertificates;
    if (!rootPem) fail('internal', 'the cluster has no root certificate');
    const authority = { rootPem, keyPem: cluster.rootKey };
    const subject = { clusterId: cluster.id, nodeId, role };
    const { lifetimeMs } = cluster.spec.certificates;
    return {
      nodeId,
      clusterId: cluster.id,
      role,
      certificatePem: await signRequest(authority, request, subject, lifetimeMs, this.#deps),
      rootsPem: [...cluster.rootCertificates],
      managerAddresses: managerAddresses(view),
    };
  }
}

const TOKEN_REFUSED = 'A valid join token is necessary to join this cluster';

/**
 * The role that a node's certificate should carry: what was asked for, but a manager keeps its certificate until it has
 * left the raft group.
 */
export function certificateRole(node: Node): NodeRole {
  return node.spec.role === 'manager' || node.manager !== undefined ? 'manager' : 'worker';
}

export const managerAddresses = (view: View): string[] =>
  [...view.nodes.all()].flatMap((node) => (node.manager ? [node.manager.controlAddress] : []));

/** A session that began with the former key goes on until it is opened anew. */
export const holdsKey = (node: Node, keyDigest: string): boolean =>
  node.certificateKeyDigest === keyDigest || node.previousCertificateKeyDigest === keyDigest;

export function theCluster(view: View): Cluster {
  const [cluster] = view.clusters.all();
  return cluster ?? fail('unavailable', 'this manager has not received the cluster yet');
}

function roleOfToken(cluster: Cluster, token: string): NodeRole {
  if (sameToken(token, cluster.tokens.manager)) return 'manager';
  if (sameToken(token, cluster.tokens.worker)) return 'worker';
  return fail('forbidden', TOKEN_REFUSED);
}

function knownNode(view: View, nodeId: string, keyDigest: string): Node {
  const node = view.nodes.get(nodeId) ?? fail('forbidden', `node ${nodeId} is not part of this cluster`);
  if (!holdsKey(node, keyDigest)) fail('forbidden', `the certificate of node ${nodeId} has been replaced`);
  return node;
}

function nodeWithKey(view: View, keyDigest: string): Node | undefined {
  for (const node of view.nodes.all()) if (node.certificateKeyDigest === keyDigest) return node;
  return undefined;
}

/** The key that the node holds now stays good: it may never receive the answer. */
function rotatedKey(next: string, present: string): Partial<Node> {
  return { certificateKeyDigest: next, ...(next === present ? {} : { previousCertificateKeyDigest: present }) };
}

function newNode(id: NodeId, role: NodeRole, keyDigest: string, availability: NodeAvailability, nowMs: number) {
  return {
    id,
    spec: { name: '', labels: {}, role, availability },
    role,
    status: { state: 'unknown', message: 'joined, not heard of yet', address: '', sinceMs: nowMs },
    certificateKeyDigest: keyDigest,
  } as const;
}

const digestOf = (spki: ArrayBuffer): string => createHash('sha256').update(new Uint8Array(spki)).digest('hex');
