// From what a person typed to the object: exact id, then exact name, then unique prefix of an id.
import { fail } from '../../base/errors.ts';
import type { Network, NetworkAttachmentSpec, Node, Service, ServiceSpec, Task } from '../../proto/objects.ts';
import { isPredefinedNetwork } from '../../proto/defaults.ts';
import type { TableView, View } from '../store/contract.ts';

export function findService(view: View, text: string): Service {
  const exact = view.services.get(text) ?? view.services.byName(text);
  return exact ?? onlyOne('service', text, byPrefix(view.services, text));
}

export function findTask(view: View, text: string): Task {
  return view.tasks.get(text) ?? taskByName(view, text) ?? onlyOne('task', text, byPrefix(view.tasks, text));
}

/** As `docker service ps --no-trunc` writes it, with the id at the end: web.1.abc… */
export function taskName({ serviceName, identity, id }: Task): string {
  switch (identity.kind) {
    case 'slot':
      return `${serviceName}.${identity.slot}.${id}`;
    case 'node':
      return `${serviceName}.${identity.nodeId}.${id}`;
    case 'job':
      return `${serviceName}.${identity.index}.${id}`;
  }
}

/** The id is the name's last part, so no search is needed. */
function taskByName(view: View, name: string): Task | undefined {
  const task = view.tasks.get(name.slice(name.lastIndexOf('.') + 1));
  return task && taskName(task) === name ? task : undefined;
}

export function findNetwork(view: View, text: string): Network {
  const exact = view.networks.get(text) ?? view.networks.byName(text);
  return exact ?? onlyOne('network', text, byPrefix(view.networks, text));
}

/** Nodes also answer to their hostname, which several may have. */
export function findNode(view: View, text: string): Node {
  const exact = view.nodes.get(text) ?? view.nodes.byName(text);
  if (exact) return exact;
  const named = [...view.nodes.all()].filter((node) => sameName(node.description?.hostname ?? '', text));
  return onlyOne('node', text, named.length > 0 ? named : byPrefix(view.nodes, text));
}

/** The cluster's networks by id, so that a name may later mean another one. */
export function withNetworkIds(view: View, spec: ServiceSpec): ServiceSpec {
  const networks = spec.task.networks.map((attachment) =>
    isPredefinedNetwork(attachment.target)
      ? attachment
      : { ...attachment, target: findNetwork(view, attachment.target).id },
  );
  return { ...spec, task: { ...spec.task, networks } };
}

/** Every network that a service asks for is there, once, and they go together. */
export function checkNetworks(view: View, attachments: readonly NetworkAttachmentSpec[]): void {
  const seen = new Set<string>();
  for (const { target } of attachments) {
    const { name } = isPredefinedNetwork(target) ? { name: target } : findNetwork(view, target).spec;
    if (seen.has(target)) fail('invalid', `network ${name} is named twice`);
    seen.add(target);
  }
  const alone = attachments.find(({ target }) => target === 'host' || target === 'none');
  if (alone && attachments.length > 1) {
    fail('invalid', `a service on the network ${alone.target} cannot be on another one`);
  }
}

export const sameName = (a: string, b: string): boolean => a !== '' && a.toLowerCase() === b.toLowerCase();

/** An empty text is a prefix of everything and means nothing. */
const byPrefix = <T>(table: TableView<T>, text: string): readonly T[] => (text === '' ? [] : table.byIdPrefix(text));

function onlyOne<T>(kind: string, text: string, found: readonly T[]): T {
  if (found.length > 1) fail('invalid', `${kind} ${text} is ambiguous (${found.length} matches found)`);
  return found[0] ?? fail('not-found', `${kind} ${text} not found`);
}
