// What is meant where nobody said anything. Service defaults are Docker's; the cluster's periods are ours, made for a
// leader within 0.7 s and a dead node's tasks elsewhere within 5 s.
import type { ClusterSpec, NodeRole, NodeSpec, RestartPolicy, UpdateConfig } from './objects.ts';

const SECOND_MS = 1_000;
const HOUR_MS = 3_600 * SECOND_MS;
const DAY_MS = 24 * HOUR_MS;

/** For updates and rollbacks alike. */
export const DEFAULT_UPDATE: UpdateConfig = {
  parallelism: 1,
  delayMs: 0,
  failureAction: 'pause',
  monitorMs: 5 * SECOND_MS,
  failureRatioMax: 0,
  order: 'stop-first',
};

export const DEFAULT_RESTART: RestartPolicy = {
  condition: 'any',
  delayMs: 5 * SECOND_MS,
  attemptsMax: 0,
  windowMs: 0,
};

export const DEFAULT_REPLICAS = 1;

export const CLUSTER_NAME = 'default';

export const DEFAULT_CLUSTER_SPEC: ClusterSpec = {
  name: CLUSTER_NAME,
  labels: {},
  orchestration: { taskHistoryLimit: 5 },
  raft: {
    tickMs: 50,
    heartbeatTicks: 2, // 100 ms
    electionTicksMin: 8, // 400 ms
    electionTicksMax: 15, // 750 ms
    snapshotIntervalEntries: 10_000,
    keepOldSnapshots: 0,
    logEntriesForSlowFollowers: 500,
  },
  dispatcher: { heartbeatMs: SECOND_MS, nodeDownAfterMs: 3 * SECOND_MS, orphanAfterMs: DAY_MS },
  certificates: { lifetimeMs: 90 * DAY_MS },
};

export const CERTIFICATE_LIFETIME_MIN_MS = HOUR_MS;

export const newNodeSpec = (role: NodeRole): NodeSpec => ({ name: '', labels: {}, role, availability: 'active' });

/** Networks that every node has by itself; a service may name them without anybody having created them. */
export const PREDEFINED_NETWORKS = ['bridge', 'host', 'none'] as const;
export type PredefinedNetwork = (typeof PREDEFINED_NETWORKS)[number];

export const isPredefinedNetwork = (name: string): name is PredefinedNetwork =>
  PREDEFINED_NETWORKS.some((predefined) => predefined === name);
