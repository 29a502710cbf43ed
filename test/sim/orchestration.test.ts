// Seeded random lives of a cluster: services come, change and go, nodes fail, are drained and come back, leaders change,
// containers crash. The slot watch holds its invariants at every commit; afterwards, once everything is left alone, every
// service must be as its specification says and nothing else may run.
import assert from 'node:assert/strict';
import { type Random, seededRandom } from '../../base/random.ts';
import type { Node, ServiceId, UpdateConfig } from '../../proto/objects.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { anId, anUpdateConfig, aTaskSpec } from '../support/objects.ts';

const NODES = 4;
const STEPS = 60;
const SEEDS = Number(process.env['SHOAL_SIM_SEEDS'] ?? 40);
const FIRST_SEED = Number(process.env['SHOAL_SIM_FIRST_SEED'] ?? 1);

interface Life {
  readonly plane: ControlPlane;
  readonly random: Random;
  readonly services: ServiceId[];
  readonly down: Set<number>;
  version: number;
}

type Step = readonly [weight: number, name: string, act: (life: Life) => Promise<void>];

const pick = <T>(random: Random, from: readonly T[]): T => from[random.below(from.length)] as T;
const aNumber = (random: Random): number => 1 + random.below(NODES);

const STEP_KINDS: readonly Step[] = [
  [2, 'create', create],
  [3, 'scale', (life) => withService(life, (id) => scale(life, id))],
  [4, 'update', (life) => withService(life, (id) => update(life, id))],
  [2, 'roll back', (life) => withService(life, (id) => rollBack(life, id))],
  [1, 'remove', (life) => withService(life, (id) => remove(life, id))],
  [2, 'lose a node', lose],
  [3, 'bring a node back', bringBack],
  [3, 'change availability', changeAvailability],
  [1, 'change a label', changeLabel],
  [4, 'crash a container', crash],
  [3, 'change leader', ({ plane }) => plane.changeLeader()],
  [2, 'scan again', ({ plane }) => plane.resync()],
  [2, 'lose quorum', ({ plane, random }) => plane.withoutQuorum(pick(random, [50, 700, 3_000]))],
  [10, 'let time pass', ({ plane, random }) => plane.pass(pick(random, [1, 20, 50, 100, 1_000, 10_000]))],
];

async function create(life: Life): Promise<void> {
  const { plane, random, services } = life;
  if (services.length >= 4) return;
  const mode =
    random.below(4) === 0
      ? ({ kind: 'global' } as const)
      : ({ kind: 'replicated', replicas: random.below(8) } as const);
  services.push(
    await plane.create({
      mode,
      task: aVersion(life),
      update: aConfig(random),
      rollback: { ...aConfig(random), failureAction: 'pause' },
    }),
  );
}

/** Mostly sound versions, so that things run. */
function aVersion(life: Life) {
  life.version += 1;
  const { random, version } = life;
  const kind = pick(random, ['good', 'good', 'good', 'good', 'crash', 'late:700', 'sick', 'missing']);
  const constraints = random.below(5) === 0 ? ['node.labels.zone==east'] : [];
  return aTaskSpec({
    container: { image: `${kind}:${version}` },
    restart: { condition: 'any', delayMs: pick(random, [0, 300, 5_000]), attemptsMax: 0, windowMs: 0 },
    placement: { constraints, preferences: [], replicasPerNodeMax: 0 },
  });
}

const aConfig = (random: Random): UpdateConfig =>
  anUpdateConfig({
    order: pick(random, ['stop-first', 'start-first']),
    parallelism: random.below(4),
    delayMs: pick(random, [0, 0, 400]),
    monitorMs: pick(random, [0, 1_000]),
    failureAction: pick(random, ['pause', 'continue', 'rollback']),
    failureRatioMax: pick(random, [0, 0.3]),
  });

async function withService(life: Life, act: (id: ServiceId) => Promise<void>): Promise<void> {
  if (life.services.length > 0) await act(pick(life.random, life.services));
}

async function scale({ plane, random }: Life, id: ServiceId): Promise<void> {
  if (plane.service(id).spec.mode.kind === 'replicated') await plane.scale(id, random.below(10));
}

async function update(life: Life, id: ServiceId): Promise<void> {
  await life.plane.update(id, (spec) => ({ ...spec, task: aVersion(life) }));
}

async function rollBack({ plane }: Life, id: ServiceId): Promise<void> {
  if (plane.service(id).previousSpec) await plane.rollBack(id);
}

async function remove({ plane, services }: Life, id: ServiceId): Promise<void> {
  services.splice(services.indexOf(id), 1);
  await plane.remove(id);
}

async function lose({ plane, random, down }: Life): Promise<void> {
  const number = aNumber(random);
  if (down.has(number) || down.size >= NODES - 1) return;
  down.add(number);
  await plane.lose(number);
}

async function bringBack({ plane, random, down }: Life): Promise<void> {
  const number = pick(random, [...down]);
  if (number === undefined) return;
  down.delete(number);
  await plane.bringBack(number);
}

async function changeAvailability({ plane, random }: Life): Promise<void> {
  const availability = pick(random, ['active', 'active', 'pause', 'drain'] as const);
  await plane.changeNode(aNumber(random), (node) => ({ ...node, spec: { ...node.spec, availability } }));
}

async function changeLabel({ plane, random }: Life): Promise<void> {
  const labels: Node['spec']['labels'] = random.below(2) === 0 ? { zone: 'east' } : {};
  await plane.changeNode(aNumber(random), (node) => ({ ...node, spec: { ...node.spec, labels } }));
}

async function crash({ plane, random, services }: Life): Promise<void> {
  const running = services.flatMap((id) => plane.running(id));
  if (running.length > 0) await plane.agents.crash(pick(random, running).id);
}

function choose(random: Random): Step {
  const total = STEP_KINDS.reduce((sum, [weight]) => sum + weight, 0);
  let at = random.below(total);
  for (const step of STEP_KINDS) {
    at -= step[0];
    if (at < 0) return step;
  }
  throw new Error('weights do not add up');
}

/** All nodes are well again; versions that can not run are replaced by one that can. */
async function heal(life: Life): Promise<void> {
  const { plane, services, down } = life;
  for (const number of down) await plane.bringBack(number);
  for (let number = 1; number <= NODES; number += 1) {
    await plane.changeNode(number, (node) => ({
      ...node,
      spec: { ...node.spec, availability: 'active', labels: { zone: 'east' } },
    }));
  }
  for (const id of services) {
    life.version += 1;
    const image = `good:${life.version}`;
    await plane.update(id, (spec) => ({ ...spec, task: aTaskSpec({ container: { image } }) }));
  }
}

function assertAsSpecified({ plane, services }: Life): void {
  let containers = 0;
  for (const id of services) {
    const { spec, updateStatus } = plane.service(id);
    const wanted = spec.mode.kind === 'global' ? NODES : spec.mode.replicas;
    const image = spec.task.runtime.container.image;
    assert.equal(plane.running(id, image).length, wanted, plane.describe());
    assert.equal(plane.wanted(id).length, wanted, plane.describe());
    assert.ok(updateStatus === undefined || updateStatus.state === 'completed', plane.describe());
    containers += wanted;
  }
  for (const id of services) {
    const { update, rollback } = plane.service(id).spec;
    if (update.order === 'start-first' || rollback.order === 'start-first') continue;
    assert.ok(!plane.agents.overlapping.has(id), `old and new of a slot of ${id} ran together`);
  }
  assert.equal(plane.agents.containers.size, containers, 'containers that nobody wants');
  assert.ok([...plane.store.view().tasks.all()].every((task) => plane.store.view().services.get(task.serviceId)));
  for (let number = 1; number <= NODES; number += 1) assert.ok(plane.store.view().nodes.get(anId('node', number)));
}

describe('random lives of a cluster', function () {
  this.timeout(60_000);
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed += 1) {
    it(`end as specified (seed ${seed})`, async () => {
      await using plane = await ControlPlane.start({ seed, nodes: NODES });
      plane.watch.overlapAllowed = true;
      const life: Life = { plane, random: seededRandom(seed), services: [], down: new Set(), version: 0 };
      const done: string[] = [];
      try {
        for (let step = 0; step < STEPS; step += 1) {
          const [, name, act] = choose(life.random);
          done.push(name);
          await act(life);
          if (life.random.below(2) === 0) await plane.settle();
        }
        await heal(life);
        await plane.pass(200_000);
        assertAsSpecified(life);
      } catch (error) {
        throw new Error(`seed ${seed} after: ${done.join(', ')}`, { cause: error });
      }
    });
  }
});
