// Records what this version writes, for test/store/format.test.ts: one log, one snapshot, and the objects they mean.
// Run once for each new format, never over an old recording: node dist/test/support/record-store-format.js > FILE
import type { ReplicatedStore, SnapshotChunk } from '../../manager/store/contract.ts';
import type { NodeId } from '../../proto/objects.ts';
import { createMemoryStore } from './memory-store.ts';
import { aCluster, aNetwork, aNode, aService, aServiceSpec, aTask, aTaskSpec, anId } from './objects.ts';

export interface Recording {
  /** Base 64, from index 1 on. */
  readonly entries: readonly string[];
  readonly snapshot: { readonly index: number; readonly chunks: readonly { kind: string; bytes: string }[] };
  readonly objects: readonly unknown[];
}

/** Every object of the store, by kind and id. */
export function objectsIn(store: ReplicatedStore): unknown[] {
  const { clusters, nodes, services, tasks, networks } = store.view();
  const all = [clusters, nodes, services, tasks, networks].flatMap((table) => [...table.all()]);
  const plain = JSON.parse(JSON.stringify(all)) as { id: string }[];
  return plain.sort((a, b) => (a.id < b.id ? -1 : 1));
}

async function record(): Promise<Recording> {
  const { store, proposer, clock } = createMemoryStore();
  const task = aTaskSpec({
    container: {
      env: ['A=ü'],
      mounts: [{ type: 'volume', source: 'data', target: '/data', readOnly: false, volumeLabels: { a: 'b' } }],
      healthCheck: {
        test: ['CMD', 'true'],
        intervalMs: 100,
        timeoutMs: 0,
        startPeriodMs: 0,
        startIntervalMs: 0,
        retries: 3,
      },
    },
    limits: { nanoCpus: 5e8, memoryBytes: 64 * 1024 ** 2, pids: 10 },
    imageDigest: `sha256:${'0'.repeat(64)}`,
  });
  const port = { protocol: 'tcp', targetPort: 80, publishedPort: 8080, publishMode: 'ingress' } as const;
  const web = aService({ spec: aServiceSpec({ task, endpoint: { mode: 'vip', ports: [port] } }) });
  const nodeId = anId('node', 1) as NodeId;
  await store.update((tx) => {
    tx.clusters.put(aCluster());
    tx.nodes.put(aNode({ id: nodeId, sessionId: 'session', orphanAtMs: 5 }));
    tx.networks.put(aNetwork());
  });
  clock.advance(1_000);
  await store.update((tx) => {
    tx.services.put({ ...web, previousSpec: aServiceSpec(), previousSpecVersion: 0, endpointPorts: [port] });
    for (const slot of [1, 2, 3]) {
      tx.tasks.put(aTask({ id: anId('task', slot), identity: { kind: 'slot', slot }, nodeId }, web));
    }
    tx.tasks.put(aTask({ id: anId('task', 4), identity: { kind: 'node', nodeId }, restartTimesMs: [1, 2] }, web));
    tx.tasks.put(aTask({ id: anId('task', 5), identity: { kind: 'job', iteration: 1, index: 2 } }, web));
  });
  clock.advance(1_000);
  await store.update((tx) => {
    const first = tx.tasks.get(anId('task', 1));
    const status = {
      state: 'failed',
      atMs: 7,
      message: 'failed',
      error: 'task: non-zero exit (1)',
      exitCode: 1,
    } as const;
    if (first) tx.tasks.put({ ...first, status, desired: 'shutdown' });
    tx.tasks.remove(anId('task', 2));
    const service = tx.services.get(web.id);
    if (service) tx.services.put({ ...service, updateStatus: { state: 'updating', startedAtMs: 1, message: '' } });
  });
  const chunks: SnapshotChunk[] = [];
  for await (const chunk of store.snapshot()) chunks.push(chunk);
  return {
    entries: proposer.entries.map(({ entry }) => Buffer.from(entry).toString('base64')),
    snapshot: {
      index: store.view().version,
      chunks: chunks.map(({ kind, bytes }) => ({ kind, bytes: Buffer.from(bytes).toString('base64') })),
    },
    objects: objectsIn(store),
  };
}

if (process.argv[1] === import.meta.filename) process.stdout.write(`${JSON.stringify(await record(), null, 1)}\n`);
