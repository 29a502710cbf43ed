// Events as /events writes them, and which of them a client asked for.
import type { RuntimeEvent } from '../../runtime/contract.ts';
import type { Filters } from '../filters.ts';
import type { EventMessage } from '../types/system.ts';

export function eventMessage(event: RuntimeEvent): EventMessage {
  const { type, action, id, attributes, scope, timeNs } = event;
  const legacy = type === 'container' || type === 'image' ? { status: action, id, ...from(event) } : {};
  return {
    ...legacy,
    Type: type,
    Action: action,
    Actor: { ID: id, Attributes: { ...attributes } },
    scope,
    time: Number(timeNs / 1_000_000_000n),
    timeNano: timeNs,
  };
}

function from({ type, attributes }: RuntimeEvent): { from?: string } {
  const image = attributes['image'];
  return type === 'container' && image !== undefined ? { from: image } : {};
}

/** JSON with timeNano as an integer of full precision, which JSON.stringify can not write. */
export function eventJson(event: RuntimeEvent): string {
  const { timeNano, ...rest } = eventMessage(event);
  return `${JSON.stringify(rest).slice(0, -1)},"timeNano":${timeNano}}\n`;
}

export function wantsEvent(event: RuntimeEvent, filters: Filters): boolean {
  const { type, action, id, attributes, scope } = event;
  const names = (kind: string) => (wanted: string) =>
    type === kind && (id === wanted || attributes['name'] === wanted || (wanted.length >= 3 && id.startsWith(wanted)));
  const objects = ['container', 'network', 'volume', 'daemon', 'service', 'node', 'secret', 'config', 'plugin'];
  return (
    filters.some('type', (wanted) => wanted === type) &&
    filters.some('scope', (wanted) => wanted === scope) &&
    filters.some('event', (wanted) => wanted === action || action.startsWith(`${wanted}:`)) &&
    filters.matchLabels(attributes) &&
    filters.some('image', (wanted) => isImage(event, wanted)) &&
    objectWanted(objects, filters, names)
  );
}

/** Naming a container and a network asks for the events of either. */
function objectWanted(
  kinds: readonly string[],
  filters: Filters,
  names: (kind: string) => (wanted: string) => boolean,
): boolean {
  const asked = kinds.filter((kind) => filters.has(kind));
  return asked.length === 0 || asked.some((kind) => filters.values(kind).some(names(kind)));
}

function isImage({ type, id, attributes }: RuntimeEvent, wanted: string): boolean {
  const image = type === 'image' ? [id, attributes['name'] ?? ''] : [attributes['image'] ?? ''];
  const bare = (reference: string): string => reference.replace(/:[^/:]*$/, '');
  return image.some((name) => name !== '' && (name === wanted || bare(name) === wanted));
}
