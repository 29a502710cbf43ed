// Every combination of order, parallelism, failure action and behaviour of the new version, each also with the leader
// changing in the middle, against a small model of what must come out.
import assert from 'node:assert/strict';
import type { ServiceId, UpdateConfig, UpdateState } from '../../proto/objects.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { anUpdateConfig, aTaskSpec } from '../support/objects.ts';

const REPLICAS = 6;
const OLD = 'good:1';

interface Version {
  readonly name: string;
  readonly image: string;
  readonly constraints?: readonly string[];
  readonly fails: boolean;
}

const VERSIONS: readonly Version[] = [
  { name: 'good', image: 'good:2', fails: false },
  { name: 'crash at start', image: 'crash:2', fails: true },
  { name: 'crash while monitored', image: 'late:1000:2', fails: true },
  { name: 'never healthy', image: 'sick:2', fails: true },
  { name: 'image missing', image: 'missing:2', fails: true },
  { name: 'unschedulable', image: 'good:2', constraints: ['node.labels.no==such'], fails: true },
];

const restart = { condition: 'any', delayMs: 500, attemptsMax: 0, windowMs: 0 } as const;

const taskOf = (version: { image: string; constraints?: readonly string[] }) =>
  aTaskSpec({
    container: { image: version.image },
    restart,
    placement: { constraints: version.constraints ?? [], preferences: [], replicasPerNodeMax: 0 },
  });

function expectedEnd(version: Version, action: UpdateConfig['failureAction']): UpdateState {
  if (!version.fails || action === 'continue') return 'completed';
  return action === 'pause' ? 'paused' : 'rollback-completed';
}

async function rollOut(version: Version, config: UpdateConfig, options: { leaderChangesAfterMs?: number }) {
  const plane = await ControlPlane.start({ nodes: 3 });
  plane.watch.overlapAllowed = config.order === 'start-first';
  const id = await plane.create({
    mode: { kind: 'replicated', replicas: REPLICAS },
    task: taskOf({ image: OLD }),
    update: config,
    rollback: anUpdateConfig({ order: config.order, monitorMs: 2_000 }),
  });
  await plane.until(() => plane.running(id).length === REPLICAS);
  let floor = REPLICAS;
  let overlap = 0;
  const measure = (): void => {
    floor = Math.min(floor, plane.running(id).length);
    overlap = Math.max(overlap, plane.wanted(id).length);
  };
  await plane.update(id, (spec) => ({ ...spec, task: taskOf(version) }));
  if (options.leaderChangesAfterMs !== undefined) {
    await plane.pass(options.leaderChangesAfterMs);
    await plane.stopLeading();
    await plane.pass(30);
    await plane.changeLeader();
  }
  const over = (): boolean => {
    measure();
    return ['completed', 'paused', 'rollback-completed', 'rollback-paused'].includes(stateOf(plane, id) ?? '');
  };
  await plane.until(over, 2 * 3_600_000);
  return { plane, id, floor, overlap };
}

const stateOf = (plane: ControlPlane, id: ServiceId): UpdateState | undefined => plane.service(id).updateStatus?.state;

describe('a rolling update', () => {
  for (const order of ['stop-first', 'start-first'] as const) {
    for (const parallelism of [0, 1, 2]) {
      for (const failureAction of ['pause', 'continue', 'rollback'] as const) {
        for (const version of VERSIONS) {
          for (const leaderChangesAfterMs of [undefined, 15, 75, 600]) {
            const config = anUpdateConfig({ order, parallelism, failureAction, monitorMs: 2_000 });
            const change = leaderChangesAfterMs === undefined ? '' : `, new leader at ${leaderChangesAfterMs} ms`;
            it(`${order}, ${parallelism} at once, ${failureAction}: ${version.name}${change}`, async () => {
              const { plane, id, floor, overlap } = await rollOut(version, config, {
                ...(leaderChangesAfterMs !== undefined && { leaderChangesAfterMs }),
              });
              await using _ = plane;
              const end = expectedEnd(version, failureAction);
              assert.equal(stateOf(plane, id), end, plane.describe());
              if (order === 'start-first') {
                assert.ok(overlap <= 2 * REPLICAS);
                if (version.name !== 'crash while monitored') assert.equal(floor, REPLICAS, 'nothing was lost');
              } else {
                assert.ok(overlap <= REPLICAS);
                assert.equal(plane.agents.overlaps, 0, 'old and new of a slot ran together');
                if (!version.fails && parallelism > 0) assert.ok(floor >= REPLICAS - parallelism, `${floor} ran`);
              }
              if (end === 'completed' && !version.fails)
                assert.equal(plane.running(id, version.image).length, REPLICAS);
              if (end === 'rollback-completed') {
                await plane.until(
                  () => plane.running(id, OLD).length === REPLICAS && plane.wanted(id).length === REPLICAS,
                );
              }
            });
          }
        }
      }
    }
  }
});
