// `service ps` and `stack ps`: newest task of each slot first, its predecessors indented below it.
import { ago } from './human.ts';
import { shortened, table } from './table.ts';
import { portText, type TaskJson } from './wire.ts';

const ERROR_COLUMNS = 60;

export interface TaskNames {
  service(task: TaskJson): string;
  node(task: TaskJson): string;
}

export function taskTable(
  tasks: readonly TaskJson[],
  names: TaskNames,
  options: { full: boolean; nowMs: number },
): string {
  const base = (task: TaskJson): string => `${names.service(task)}.${task.Slot || task.NodeID || ''}`;
  const sorted = tasks.toSorted(
    (a, b) =>
      names.service(a).localeCompare(names.service(b)) ||
      (a.Slot ?? 0) - (b.Slot ?? 0) ||
      (a.NodeID ?? '').localeCompare(b.NodeID ?? '') * (a.Slot ? 0 : 1) ||
      Date.parse(b.CreatedAt) - Date.parse(a.CreatedAt),
  );
  let last = '';
  const rows = sorted.map((task) => {
    const name = base(task);
    const shown = name === last ? ` \\_ ${name}` : name;
    last = name;
    const error = task.Status.Err ? `"${task.Status.Err}"` : '';
    return [
      options.full ? task.ID : task.ID.slice(0, 12),
      shown,
      task.Spec.ContainerSpec.Image.replace(/@sha256:.*/, ''),
      names.node(task),
      capital(task.DesiredState),
      `${capital(task.Status.State)} ${ago(task.Status.Timestamp, options.nowMs).toLowerCase()}`,
      options.full ? error : shortened(error, ERROR_COLUMNS),
      portText(task.Status.PortStatus?.Ports),
    ];
  });
  return table(['ID', 'NAME', 'IMAGE', 'NODE', 'DESIRED STATE', 'CURRENT STATE', 'ERROR', 'PORTS'], rows);
}

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);
