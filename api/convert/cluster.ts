// The cluster as /swarm and /info show it, and the changes that `swarm update` may make to its spec.
import { X509Certificate } from 'node:crypto';
import { fail } from '../../base/errors.ts';
import type { PublicCluster } from '../../proto/control.ts';
import type { ClusterSpec } from '../../proto/objects.ts';
import type { SwarmSpecChange } from '../deps.ts';
import type { ClusterInfo, Swarm, SwarmSpec, TlsInfo } from '../types/swarm.ts';
import type { Fields } from './fields.ts';
import { goTime, nanosFromMs } from './time.ts';

const DATA_PATH_PORT = 4789;
const CERTIFICATE_LIFETIME_MS_MIN = 3_600_000;
const HEARTBEAT_MS_MIN = 100;

export function clusterInfo(cluster: PublicCluster): ClusterInfo {
  return {
    ID: cluster.id,
    Version: { Index: cluster.version },
    CreatedAt: goTime(cluster.createdAtMs),
    UpdatedAt: goTime(cluster.updatedAtMs),
    Spec: specJson(cluster.spec),
    TLSInfo: tlsInfo(cluster.rootCertificates),
    RootRotationInProgress: cluster.rootCertificates.length > 1,
    DefaultAddrPool: ['10.0.0.0/8'],
    SubnetSize: 24,
    DataPathPort: DATA_PATH_PORT,
  };
}

export function swarmJson(cluster: PublicCluster): Swarm {
  const { worker, manager } = cluster.tokens;
  return { ...clusterInfo(cluster), JoinTokens: { Worker: worker, Manager: manager } };
}

function specJson(spec: ClusterSpec): SwarmSpec {
  return {
    Name: spec.name,
    Labels: { ...spec.labels },
    Orchestration: { TaskHistoryRetentionLimit: spec.orchestration.taskHistoryLimit },
    Raft: {
      SnapshotInterval: spec.raft.snapshotIntervalEntries,
      KeepOldSnapshots: spec.raft.keepOldSnapshots,
      LogEntriesForSlowFollowers: spec.raft.logEntriesForSlowFollowers,
      ElectionTick: spec.raft.electionTicksMin,
      HeartbeatTick: spec.raft.heartbeatTicks,
    },
    Dispatcher: { HeartbeatPeriod: nanosFromMs(spec.dispatcher.heartbeatMs) },
    CAConfig: { NodeCertExpiry: nanosFromMs(spec.certificates.lifetimeMs) },
    TaskDefaults: {},
    EncryptionConfig: { AutoLockManagers: spec.autoLockManagers ?? false },
  };
}

/** The trusted roots and who signs; subject and key in base64 of their DER, as Docker has them. */
export function tlsInfo(rootsPem: readonly string[]): TlsInfo {
  const [signer] = rootsPem;
  if (signer === undefined) return { TrustRoot: '', CertIssuerSubject: '', CertIssuerPublicKey: '' };
  return { TrustRoot: rootsPem.join(''), ...issuerOf(signer) };
}

function issuerOf(pem: string) {
  const certificate = new X509Certificate(pem);
  return {
    CertIssuerSubject: subjectDer(certificate.raw).toString('base64'),
    CertIssuerPublicKey: certificate.publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
  };
}

/** The subject's bytes: the sixth field of the certificate's body, after version, serial, algorithm, issuer, validity. */
function subjectDer(certificate: Buffer): Buffer {
  const body = derContent(derContent(certificate).content).content;
  let at = 0;
  for (let skipped = 0; skipped < 5; skipped += 1) at += derContent(body.subarray(at)).length;
  return body.subarray(at, at + derContent(body.subarray(at)).length);
}

function derContent(bytes: Buffer): { content: Buffer; length: number } {
  const first = bytes[1] ?? 0;
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(2, lengthBytes);
  const start = 2 + lengthBytes;
  return { content: bytes.subarray(start, start + length), length: start + length };
}

/** Docker's swarm spec as changes to ours. A zero period means: leave it. */
export function parseSwarmSpec(spec: Fields): SwarmSpecChange {
  spec.object('CAConfig').refuse('ExternalCAs', 'external certificate authorities are');
  spec.object('CAConfig').refuse('SigningCACert', 'replacing the certificate authority is');
  spec.object('CAConfig').refuse('SigningCAKey', 'replacing the certificate authority is');
  spec.object('TaskDefaults').refuse('LogDriver', 'a default log driver for tasks is');
  const name = spec.text('Name');
  if (name !== '' && name !== 'default') fail('invalid', 'invalid swarm name: it must be "default"');
  const raft = spec.object('Raft');
  const limit = spec.object('Orchestration');
  const encryption = spec.object('EncryptionConfig');
  return {
    ...(spec.has('Labels') ? { labels: spec.textMap('Labels') } : {}),
    ...named(limit, 'TaskHistoryRetentionLimit', (key) => ({
      taskHistoryLimit: limit.integer(key, { min: 0, max: 100_000 }),
    })),
    ...named(encryption, 'AutoLockManagers', (key) => ({ autoLockManagers: encryption.flag(key) })),
    ...positive(raft, 'SnapshotInterval', (entries) => ({ snapshotIntervalEntries: entries })),
    ...named(raft, 'KeepOldSnapshots', (key) => ({ keepOldSnapshots: raft.integer(key, { min: 0, max: 1_000 }) })),
    ...positive(raft, 'LogEntriesForSlowFollowers', (entries) => ({ logEntriesForSlowFollowers: entries })),
    ...period(spec.object('Dispatcher'), 'HeartbeatPeriod', HEARTBEAT_MS_MIN, (ms) => ({ heartbeatMs: ms })),
    ...period(spec.object('CAConfig'), 'NodeCertExpiry', CERTIFICATE_LIFETIME_MS_MIN, (ms) => ({
      certificateLifetimeMs: ms,
    })),
  };
}

function named<T>(fields: Fields, key: string, read: (key: string) => T): T | Record<string, never> {
  return fields.has(key) ? read(key) : {};
}

function positive<T>(fields: Fields, key: string, read: (value: number) => T): T | Record<string, never> {
  const value = fields.integer(key, { min: 0, max: 10_000_000 });
  return value > 0 ? read(value) : {};
}

function period<T>(fields: Fields, key: string, msMin: number, read: (ms: number) => T): T | Record<string, never> {
  const ms = fields.durationMs(key);
  if (ms > 0 && ms < msMin) fail('invalid', `${fields.path(key)} must be at least ${msMin} ms`);
  return ms > 0 ? read(ms) : {};
}

/** Consensus keeps the ticks it was started with; sending the present ones back, as clients do, changes nothing. */
export function refuseOtherTicks(spec: Fields, present: ClusterSpec['raft'] | undefined): void {
  const raft = spec.object('Raft');
  for (const [key, ticks] of [
    ['ElectionTick', present?.electionTicksMin],
    ['HeartbeatTick', present?.heartbeatTicks],
  ] as const) {
    const asked = raft.integer(key, { min: 0 });
    if (asked !== 0 && asked !== ticks)
      fail('not-implemented', `${raft.path(key)}: changing raft's ticks is not implemented yet`);
  }
}

export function changedClusterSpec(spec: ClusterSpec, change: SwarmSpecChange): ClusterSpec {
  return {
    ...spec,
    labels: change.labels ?? spec.labels,
    orchestration: { taskHistoryLimit: change.taskHistoryLimit ?? spec.orchestration.taskHistoryLimit },
    raft: {
      ...spec.raft,
      snapshotIntervalEntries: change.snapshotIntervalEntries ?? spec.raft.snapshotIntervalEntries,
      keepOldSnapshots: change.keepOldSnapshots ?? spec.raft.keepOldSnapshots,
      logEntriesForSlowFollowers: change.logEntriesForSlowFollowers ?? spec.raft.logEntriesForSlowFollowers,
    },
    dispatcher: { ...spec.dispatcher, heartbeatMs: change.heartbeatMs ?? spec.dispatcher.heartbeatMs },
    certificates: { lifetimeMs: change.certificateLifetimeMs ?? spec.certificates.lifetimeMs },
    autoLockManagers: change.autoLockManagers ?? spec.autoLockManagers ?? false,
  };
}
