// Waiting for a service to become what was asked for, with a line for each change on a terminal or in a file.
// The Engine API has no event for it, so this asks; a rollout that pauses or rolls back is a failure.
import { setTimeout as delay } from 'node:timers/promises';
import { CodedError } from '../base/errors.ts';
import type { CommandContext } from './context.ts';
import { filtersOf, type ServiceJson, type TaskJson } from './wire.ts';

const ASK_EVERY_MS = 100;
/** How long all replicas must stay up before the service counts as converged. */
const STABLE_MS = 1_000;

export async function waitConverged(context: CommandContext, id: string, options: { quiet: boolean }): Promise<void> {
  let shown = '';
  let stableSinceMs: number | undefined;
  for (;;) {
    const service = await context.engine.json<ServiceJson>(`/services/${id}`);
    failOnBadEnd(service);
    const tasks = await context.engine.json<TaskJson[]>('/tasks', {
      query: { filters: filtersOf({ service: [id], 'desired-state': ['running'], '_up-to-date': ['true'] }) },
    });
    const wanted = service.Spec.Mode.Replicated?.Replicas ?? tasks.length;
    const up = tasks.filter((task) => task.Status.State === 'running').length;
    const waiting = tasks.find((task) => task.Status.Err)?.Status.Err;
    const text = `overall progress: ${up} out of ${wanted} tasks${waiting && up < wanted ? ` (${waiting})` : ''}`;
    if (text !== shown && !options.quiet) context.print(text);
    shown = text;
    const rolling = ['updating', 'rollback_started'].includes(service.UpdateStatus?.State ?? '');
    stableSinceMs = up === wanted && !rolling ? (stableSinceMs ?? context.nowMs()) : undefined;
    if (stableSinceMs !== undefined && context.nowMs() - stableSinceMs >= STABLE_MS) break;
    await delay(ASK_EVERY_MS);
  }
  if (!options.quiet) context.print(`verify: Service ${id} converged`);
}

function failOnBadEnd({ UpdateStatus: status }: ServiceJson): void {
  const state = status?.State ?? '';
  if (!['paused', 'rollback_paused', 'rollback_completed'].includes(state)) return;
  const what = state === 'rollback_completed' ? 'the update failed and was rolled back' : 'the update is paused';
  throw new CodedError('conflict', `${what}: ${status?.Message ?? 'no reason given'}`);
}
