// A column for each node, with its tasks as boxes; tasks that wait for a node have a column of their own.
import type { NodeView, TaskView } from '../api/types/dashboard-feed.ts';
import { type ClusterState, hueOf, isDown, isShown, isWanted, versionOf } from './state.ts';

const byName = (a: TaskView, b: TaskView): number =>
  a.name.localeCompare(b.name, 'en', { numeric: true }) || a.id.localeCompare(b.id);

export function Columns({ state }: { state: ClusterState }) {
  const nodes = [...state.nodes.values()].toSorted((a, b) =>
    a.hostname.localeCompare(b.hostname, 'en', { numeric: true }),
  );
  const shown = [...state.tasks.values()].filter(isShown).toSorted(byName);
  const waiting = shown.filter((task) => !state.nodes.has(task.nodeId));
  return (
    <main class="columns">
      {nodes.map((node) => (
        <Column key={node.id} node={node} state={state} tasks={shown.filter((task) => task.nodeId === node.id)} />
      ))}
      {waiting.length > 0 && (
        <section class="node waiting" aria-label="waiting for a node">
          <h2>waiting</h2>
          <Boxes tasks={waiting} />
        </section>
      )}
    </main>
  );
}

function Column({ node, state, tasks }: { node: NodeView; state: ClusterState; tasks: readonly TaskView[] }) {
  const manager = state.managers.get(node.id);
  const role = manager?.leader ? 'leader' : node.role;
  const down = isDown(node) || manager?.reachable === false;
  const stateText = isDown(node) ? node.state : node.availability === 'active' ? 'ready' : node.availability;
  return (
    <section class={`node${down ? ' down' : ''}`} data-node={node.hostname} data-state={stateText}>
      <h2>{node.hostname}</h2>
      <p class="facts">
        <span class={`role ${role}`}>{role}</span> <span>{down && !isDown(node) ? 'unreachable' : stateText}</span>
      </p>
      <Load node={node} tasks={tasks} />
      <Boxes tasks={tasks} />
    </section>
  );
}

/** Reserved shares where anything is reserved; the number of tasks always. */
function Load({ node, tasks }: { node: NodeView; tasks: readonly TaskView[] }) {
  const sum = (pick: (task: TaskView) => number): number =>
    tasks.filter(isWanted).reduce((total, task) => total + pick(task), 0);
  const share = Math.max(
    node.memoryBytes > 0 ? sum((task) => task.memoryBytes) / node.memoryBytes : 0,
    node.nanoCpus > 0 ? sum((task) => task.nanoCpus) / node.nanoCpus : 0,
  );
  return (
    <p class="load">
      {tasks.filter(isWanted).length} tasks · {node.nanoCpus / 1e9} CPUs · {(node.memoryBytes / 2 ** 30).toFixed(1)} GiB
      {share > 0 && <meter value={share} max={1} title={`${Math.round(share * 100)} % reserved`} />}
    </p>
  );
}

function Boxes({ tasks }: { tasks: readonly TaskView[] }) {
  return (
    <ul class="boxes">
      {tasks.map((task) => (
        <Box key={task.id} task={task} />
      ))}
    </ul>
  );
}

function Box({ task }: { task: TaskView }) {
  const wanted = isWanted(task);
  const version = versionOf(task.image);
  const hue = hueOf(task.name.split('.')[0] ?? '');
  const title = `${task.name} · ${task.image} · ${task.state}${task.error ? ` · ${task.error}` : ''}`;
  return (
    <li
      class={`task ${wanted ? '' : 'leaving'} ${task.state === 'running' ? 'running' : 'coming'}`}
      data-task={task.id}
      data-wanted={String(wanted)}
      data-version={version}
      title={title}
      style={{ '--hue': String(hue) }}
    >
      <b>{task.name}</b>
      <span>
        {version} · {wanted ? task.state : 'leaving'}
      </span>
      {task.error && <em>{task.error}</em>}
    </li>
  );
}
