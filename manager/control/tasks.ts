// Tasks are read only here: they come and go by their service.
import type { ControlReply, ControlRequest, TaskFilter } from '../../proto/control.ts';
import type { Node, Service, Task } from '../../proto/objects.ts';
import { outdatedIn } from '../../proto/outdated.ts';
import type { View } from '../store/contract.ts';
import { anyOf, passes } from './filters.ts';
import type { Handlers, HandlerDeps } from './handlers.ts';
import { findTask, sameName, taskName } from './references.ts';

export function taskHandlers({ store }: HandlerDeps): Pick<Handlers, 'GetTask' | 'ListTasks'> {
  return {
    GetTask: async ({ task }) => ({ task: findTask(store.view(), task) }),
    ListTasks: async (request) => listTasks(store.view(), request),
  };
}

function listTasks(view: View, { filter }: ControlRequest<'ListTasks'>): ControlReply<'ListTasks'> {
  const outdated = outdatedTasks(view);
  const tasks = candidates(view, filter).filter(
    (task) =>
      passes(filter, { id: task.id, names: [taskName(task)], labels: task.serviceLabels }) &&
      anyOf(filter.desired, (desired) => desired === task.desired) &&
      (filter.upToDate === undefined || outdated(task) !== filter.upToDate),
  );
  return { tasks };
}

/** Tasks of the asked services and nodes, through the indices. */
function candidates(view: View, filter: TaskFilter): readonly Task[] {
  const services = filter.services?.length ? servicesOf(view, filter.services) : undefined;
  const nodes = filter.nodes?.length ? nodesOf(view, filter.nodes) : undefined;
  if (services) {
    const ids = nodes && new Set<string | undefined>(nodes.map((node) => node.id));
    return services.flatMap(({ id }) => view.tasks.ofService(id)).filter((task) => !ids || ids.has(task.nodeId));
  }
  if (nodes) return nodes.flatMap(({ id }) => view.tasks.ofNode(id));
  return [...view.tasks.all()];
}

function servicesOf(view: View, texts: readonly string[]): readonly Service[] {
  const found = texts.map((text) => view.services.get(text) ?? view.services.byName(text));
  return [...new Set(found)].filter((service) => service !== undefined);
}

function nodesOf(view: View, texts: readonly string[]): readonly Node[] {
  const named = (node: Node, text: string): boolean =>
    node.id === text || sameName(node.spec.name, text) || sameName(node.description?.hostname ?? '', text);
  return [...view.nodes.all()].filter((node) => texts.some((text) => named(node, text)));
}

/**
 * Tasks that a rollout would replace, or whose service is gone. After a scale the present tasks carry an older version
 * of the specification and are right all the same: clients that wait for a service to converge count them.
 */
function outdatedTasks(view: View): (task: Task) => boolean {
  const known = new Map<string, (task: Task) => boolean>();
  return (task) => {
    const service = view.services.get(task.serviceId);
    if (!service) return true;
    const isOutdated = known.get(service.id) ?? outdatedIn(service, (id) => view.nodes.get(id));
    known.set(service.id, isOutdated);
    return isOutdated(task);
  };
}
