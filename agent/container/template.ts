// The part of Go's templates that service specs use: {{.Service.Name}}, {{.Task.Slot}}, {{index .Service.Labels "x"}} and
// their kin, in environment, hostname and mounts. Anything else is an error that names it.
import { fail } from '../../base/errors.ts';
import type { NodeDescription, Task } from '../../proto/objects.ts';

export interface TemplateContext {
  readonly task: Task;
  readonly node: NodeDescription;
}

export function expand(text: string, context: TemplateContext, what: string): string {
  if (!text.includes('{{')) return text;
  return text.replace(/\{\{-?\s*(.*?)\s*-?\}\}/gs, (_whole, expression: string) => evaluate(expression, context, what));
}

function evaluate(expression: string, context: TemplateContext, what: string): string {
  const value = VALUES[expression];
  if (value) return value(context);
  const index = /^index \.(Service|Node|Task)\.Labels\s+"([^"]*)"$/.exec(expression);
  if (index?.[2] !== undefined) {
    const labels = index[1] === 'Node' ? context.node.engine.labels : context.task.serviceLabels;
    return labels[index[2]] ?? '';
  }
  return fail('invalid', `expanding ${what} failed: template: ${what}: can't evaluate {{${expression}}}`);
}

const VALUES: Readonly<Record<string, (context: TemplateContext) => string>> = {
  '.Service.ID': ({ task }) => task.serviceId,
  '.Service.Name': ({ task }) => task.serviceName,
  '.Node.ID': ({ task }) => task.nodeId ?? '',
  '.Node.Hostname': ({ node }) => node.hostname,
  '.Node.Platform.OS': ({ node }) => node.platform.os,
  '.Node.Platform.Architecture': ({ node }) => node.platform.architecture,
  '.Task.ID': ({ task }) => task.id,
  '.Task.Name': ({ task }) => taskName(task),
  '.Task.Slot': ({ task }) => slotOf(task),
};

/** What people and Docker call a task: web.3.id, and for global services web.nodeid.id. */
export const taskName = (task: Task): string => `${task.serviceName}.${slotOf(task)}.${task.id}`;

function slotOf({ identity }: Task): string {
  switch (identity.kind) {
    case 'slot':
      return String(identity.slot);
    case 'node':
      return identity.nodeId;
    case 'job':
      return String(identity.index);
  }
}
