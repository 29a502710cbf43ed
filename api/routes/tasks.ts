// /tasks: what the cluster makes of services.
import { asOneOf } from '../../base/parse.ts';
import { taskJson } from '../convert/service.ts';
import type { ApiDeps } from '../deps.ts';
import { parseFilters } from '../filters.ts';
import { json } from '../reply.ts';
import type { Routes } from '../routes.ts';
import { taskLogs } from './task-logs.ts';

const TASK_FILTERS = [
  '_up-to-date',
  'desired-state',
  'id',
  'label',
  'name',
  'node',
  'runtime',
  'service',
  'up-to-date',
];
const DESIRED_STATES = ['running', 'shutdown', 'accepted'] as const;

export function addTaskRoutes(router: Routes, { swarm, clock }: ApiDeps): void {
  router.add('GET', '/tasks', async ({ query, reading, readingHeaders }) => {
    const filters = parseFilters(query.text('filters'), TASK_FILTERS);
    const upToDate = filters.flag('_up-to-date') ?? filters.flag('up-to-date');
    const filter = {
      ids: filters.values('id'),
      names: filters.values('name'),
      labels: filters.values('label'),
      services: filters.values('service'),
      nodes: filters.values('node'),
      desired: filters.values('desired-state').map((state) => asOneOf(state, 'filters.desired-state', DESIRED_STATES)),
      ...(upToDate === undefined ? {} : { upToDate }),
    };
    const { tasks } = await swarm.control().call('ListTasks', { filter }, reading);
    // Newest first: clients show the first task of a slot as the present one.
    const ordered = [...tasks].sort((a, b) => b.createdAtMs - a.createdAtMs);
    return json(200, ordered.map(taskJson), readingHeaders);
  });

  router.add('GET', '/tasks/{id}', async (request) => {
    const { task } = await swarm.control().call('GetTask', { task: request.param('id') }, request.reading);
    return json(200, taskJson(task), request.readingHeaders);
  });

  router.add('GET', '/tasks/{id}/logs', async (request) => {
    const control = swarm.control();
    const { task } = await control.call('GetTask', { task: request.param('id') }, { abort: request.abort });
    const terminal = task.spec.runtime.container.tty ?? false;
    return taskLogs(request, control, { task: task.id }, { terminal, nowMs: clock.nowMs() });
  });
}
