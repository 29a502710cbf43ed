// The part of Go's templates that service specs use, with Docker's fields: {{.Service.Name}}, {{.Task.Slot}},
// {{.Service.Labels.tier}}, {{index .Service.Labels "com.example.tier"}} and their kin, in environment, hostname and
// mount sources. Anything else is an error that names it.
import { fail } from '../../base/errors.ts';
import type { Labels, NodeDescription, Task } from '../../proto/objects.ts';

export interface TemplateContext {
  readonly task: Task;
  readonly node: Pick<NodeDescription, 'hostname' | 'platform'>;
}

const ACTION = /\{\{-?\s*([^{}]*?)\s*-?\}\}/gs;
const INDEX = /^index\s+\.Service\.Labels\s+"([^"\\]*)"$/;
const LABEL = /^\.Service\.Labels\.([A-Za-z_][A-Za-z0-9_]*)$/;

/** `what` names the place in the sentence about what is wrong. */
export function expand(text: string, context: TemplateContext, what: string): string {
  if (!text.includes('{{')) return text;
  if (text.replace(ACTION, '').includes('{{'))
    return refuse(what, `an action in ${JSON.stringify(text)} is not closed`);
  // A dash beside the braces takes away the white space on its side.
  const trimmed = text.replace(/\s*\{\{-\s/g, '{{ ').replace(/\s-\}\}\s*/g, ' }}');
  return trimmed.replace(ACTION, (_action, expression: string) => evaluate(expression, context, what));
}

function evaluate(expression: string, { task, node }: TemplateContext, what: string): string {
  const value = VALUES.get(expression);
  if (value) return value({ task, node });
  const index = INDEX.exec(expression)?.[1];
  if (index !== undefined) return labelOf(task.serviceLabels, index) ?? '';
  const label = LABEL.exec(expression)?.[1];
  if (label === undefined) {
    return refuse(what, `{{${expression}}} is not known; there are ${KNOWN.join(', ')} and .Service.Labels`);
  }
  return labelOf(task.serviceLabels, label) ?? refuse(what, `the service has no label ${label}`);
}

const labelOf = (labels: Labels, name: string): string | undefined =>
  Object.hasOwn(labels, name) ? labels[name] : undefined;

function refuse(what: string, why: string): never {
  return fail('invalid', `expanding ${what} failed: ${why}`);
}

const VALUES: ReadonlyMap<string, (context: TemplateContext) => string> = new Map<
  string,
  (context: TemplateContext) => string
>([
  ['.Service.ID', ({ task }) => task.serviceId],
  ['.Service.Name', ({ task }) => task.serviceName],
  ['.Node.ID', ({ task }) => task.nodeId ?? ''],
  ['.Node.Hostname', ({ node }) => node.hostname],
  ['.Node.Platform.OS', ({ node }) => node.platform.os],
  ['.Node.Platform.Architecture', ({ node }) => node.platform.architecture],
  ['.Task.ID', ({ task }) => task.id],
  ['.Task.Name', ({ task }) => taskName(task)],
  ['.Task.Slot', ({ task }) => slotOf(task)],
]);

const KNOWN = [...VALUES.keys()];

/** What people and Docker call a task: web.3.id, and for global services web.nodeid.id. */
export const taskName = (task: Pick<Task, 'id' | 'identity' | 'serviceName'>): string =>
  `${task.serviceName}.${slotOf(task)}.${task.id}`;

function slotOf({ identity }: Pick<Task, 'identity'>): string {
  switch (identity.kind) {
    case 'slot':
      return String(identity.slot);
    case 'node':
      return identity.nodeId;
    case 'job':
      return String(identity.index);
  }
}
