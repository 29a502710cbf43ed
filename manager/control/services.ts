// Services: create, read, update, remove. An update keeps exactly one previous specification, for the rollback.
// Invariant: a refused request writes nothing.
import { fail } from '../../base/errors.ts';
import { newId } from '../../base/id.ts';
import type { ControlReply, ControlRequest, ServiceStatus } from '../../proto/control.ts';
import { clusterNetworks } from '../../proto/network-plan.ts';
import type { Service, ServiceSpec, Task } from '../../proto/objects.ts';
import { portConflict } from '../../proto/port-conflict.ts';
import { isWanted } from '../../proto/task-state.ts';
import { checkServiceSpec } from '../../proto/validate.ts';
import type { Transaction, View } from '../store/contract.ts';
import { anyOf, passes } from './filters.ts';
import type { Handlers, HandlerDeps } from './handlers.ts';
import { checkNetworks, findService, withNetworkIds } from './references.ts';

const SERVICES_MAX = 10_000;
const REPLICAS_SUM_MAX = 200_000;

type ServiceMethods = 'CreateService' | 'GetService' | 'ListServices' | 'UpdateService' | 'RemoveService';

export function serviceHandlers(deps: HandlerDeps): Pick<Handlers, ServiceMethods> {
  const { store, turns } = deps;
  /** Published ports are checked against all other services, and networks must stay. */
  const inTurn = <T>(spec: ServiceSpec, abort: AbortSignal | undefined, work: () => Promise<T>): Promise<T> =>
    spec.endpoint.ports.length > 0 || clusterNetworks(spec.task.networks).length > 0 ? turns.run(work, abort) : work();
  return {
    CreateService: (request, { abort }) => inTurn(request.spec, abort, () => createService(deps, request, abort)),
    UpdateService: (request, { abort }) => inTurn(request.spec, abort, () => updateService(deps, request, abort)),
    GetService: async ({ service }) => ({ service: findService(store.view(), service) }),
    ListServices: async (request) => listServices(store.view(), request),
    RemoveService: async ({ service }, { abort }) => {
      await store.update((tx) => tx.services.remove(findService(tx, service).id), { abort });
      return {};
    },
  };
}

async function createService(
  { store, random }: HandlerDeps,
  { spec: asked }: ControlRequest<'CreateService'>,
  abort: AbortSignal | undefined,
): Promise<ControlReply<'CreateService'>> {
  checkServiceSpec(asked);
  const id = newId<'service'>(random);
  await store.update(
    (tx) => {
      const spec = withNetworkIds(tx, asked);
      checkAgainstCluster(tx, spec, undefined);
      if (tx.services.byName(spec.name)) {
        fail('conflict', `name conflicts with an existing object: service ${spec.name} already exists`);
      }
      tx.services.put({ id, spec, specVersion: nextSpecVersion(tx) });
    },
    { abort },
  );
  return { service: stored(store.view(), id), warnings: [] };
}

async function updateService(
  { store, clock }: HandlerDeps,
  request: ControlRequest<'UpdateService'>,
  abort: AbortSignal | undefined,
): Promise<ControlReply<'UpdateService'>> {
  if (request.rollback === 'none') checkServiceSpec(request.spec);
  const id = await store.update(
    (tx) => {
      const service = findService(tx, request.service);
      if (service.version !== request.version) fail('out-of-sequence', 'update out of sequence');
      const next =
        request.rollback === 'none'
          ? updated(tx, service, withNetworkIds(tx, request.spec))
          : rolledBack(service, clock.nowMs());
      checkAgainstCluster(tx, next.spec, service.id);
      tx.services.put(next);
      return service.id;
    },
    { abort },
  );
  return { service: stored(store.view(), id), warnings: [] };
}

/** The service with a new specification; the rollout starts afresh. */
function updated(tx: Transaction, service: Service, spec: ServiceSpec): Service {
  if (spec.name !== service.spec.name) fail('not-implemented', 'renaming services is not supported');
  if (spec.mode.kind !== service.spec.mode.kind) fail('not-implemented', 'service mode change is not allowed');
  const { updateStatus: _, ...rest } = service;
  return {
    ...rest,
    spec,
    specVersion: nextSpecVersion(tx),
    previousSpec: service.spec,
    previousSpecVersion: service.specVersion,
  };
}

/** The service as it was before, with its old version: tasks that still have that are right again. Undoing it is one more rollback. */
function rolledBack(service: Service, nowMs: number): Service {
  const { previousSpec, previousSpecVersion } = service;
  if (!previousSpec || previousSpecVersion === undefined) {
    return fail('invalid', `service ${service.id} does not have a previous spec`);
  }
  return {
    ...service,
    spec: previousSpec,
    specVersion: previousSpecVersion,
    previousSpec: service.spec,
    previousSpecVersion: service.specVersion,
    updateStatus: { state: 'rollback-started', startedAtMs: nowMs, message: 'manually requested rollback' },
  };
}

/**
 * The version of a specification that is being written: one more than the index of the state it is based on. Known
 * before the entry has an index, never above it, and growing: the next write of the service is based on a later state.
 */
const nextSpecVersion = (tx: Transaction): number => tx.version + 1;

function checkAgainstCluster(tx: Transaction, spec: ServiceSpec, self: Service['id'] | undefined): void {
  checkRoom(tx, spec, self);
  checkNetworks(tx, spec.task.networks);
  const taken = portConflict(tx.services.all(), spec, self);
  if (taken) fail('invalid', taken);
}

/** Every manager keeps everything in memory: a mistyped number must not take the cluster down. */
function checkRoom(tx: Transaction, spec: ServiceSpec, self: Service['id'] | undefined): void {
  if (self === undefined && tx.services.size >= SERVICES_MAX) {
    fail('exhausted', `the swarm has ${SERVICES_MAX} services, which is the most it keeps`);
  }
  let sum = replicasOf(spec);
  for (const service of tx.services.all()) if (service.id !== self) sum += replicasOf(service.spec);
  const before = self === undefined ? 0 : replicasOf(tx.services.get(self)?.spec ?? spec);
  if (sum > REPLICAS_SUM_MAX && replicasOf(spec) > before) {
    fail('exhausted', `all services together would have ${sum} replicas, the most is ${REPLICAS_SUM_MAX}`);
  }
}

const replicasOf = ({ mode }: ServiceSpec): number => (mode.kind === 'replicated' ? mode.replicas : 0);

const stored = (view: View, id: string): Service =>
  view.services.get(id) ?? fail('not-found', `service ${id} not found`);

function listServices(view: View, request: ControlRequest<'ListServices'>): ControlReply<'ListServices'> {
  const { filter } = request;
  const services = [...view.services.all()].filter(
    (service) =>
      passes(filter, { id: service.id, names: [service.spec.name], labels: service.spec.labels }) &&
      anyOf(filter.modes, (mode) => mode === service.spec.mode.kind),
  );
  if (!request.status) return { services, status: {} };
  return { services, status: Object.fromEntries(services.map((service) => [service.id, statusOf(view, service)])) };
}

export function statusOf(view: View, service: Service): ServiceStatus {
  const tasks = view.tasks.ofService(service.id);
  const wanted = tasks.filter(isWanted);
  return {
    runningTasks: wanted.filter((task) => task.status.state === 'running').length,
    desiredTasks: service.spec.mode.kind === 'replicated' ? service.spec.mode.replicas : wanted.length,
    completedTasks: tasks.filter(isCompleted).length,
  };
}

const isCompleted = (task: Task): boolean => task.status.state === 'complete';
