// shoal service create|ls|ps|inspect|scale|update|rollback|logs|rm
import { type Command, Option } from 'commander';
import { fail } from '../../base/errors.ts';
import { parseBytes, parseDurationMs } from '../../base/units.ts';
import { parsePorts } from '../compose/convert.ts';
import type { CommandContext } from '../context.ts';
import { staleOption, staleQuery } from '../stale.ts';
import { waitConverged } from '../progress.ts';
import { readFrames } from '../stdio-frames.ts';
import { table } from '../table.ts';
import { taskTable } from '../task-table.ts';
import { write } from '../terminal.ts';
import { filtersOf, type NodeJson, portText, type ServiceJson, type ServiceSpecJson, type TaskJson } from '../wire.ts';

const collect = (value: string, list: string[]): string[] => [...list, value];
const nanoseconds = (text: string): number => Math.round(parseDurationMs(text) * 1e6);

interface CreateFlags {
  readonly name?: string;
  readonly replicas: string;
  readonly mode: string;
  readonly publish: string[];
  readonly env: string[];
  readonly label: string[];
  readonly constraint: string[];
  readonly network: string[];
  readonly limitCpu?: string;
  readonly limitMemory?: string;
  readonly reserveCpu?: string;
  readonly reserveMemory?: string;
  readonly stopGracePeriod?: string;
  readonly restartCondition?: string;
  readonly restartDelay?: string;
  readonly updateParallelism?: string;
  readonly updateDelay?: string;
  readonly updateOrder?: string;
  readonly updateFailureAction?: string;
  readonly healthCmd?: string;
  readonly healthInterval?: string;
  readonly healthStartInterval?: string;
  readonly detach: boolean;
  readonly quiet: boolean;
}

export function addServiceCommands(program: Command, context: () => CommandContext): void {
  const service = program.command('service').description('services of the swarm');
  service
    .command('create')
    .description('create a service')
    .argument('<image>')
    .argument('[command...]')
    .passThroughOptions()
    .option('--name <name>')
    .option('--replicas <count>', 'number of tasks', '1')
    .addOption(new Option('--mode <mode>').choices(['replicated', 'global']).default('replicated'))
    .option('-p, --publish <port>', 'publish a port', collect, [])
    .option('-e, --env <NAME=value>', 'environment', collect, [])
    .option('-l, --label <key=value>', 'label of the service', collect, [])
    .option('--constraint <expression>', 'where tasks may run', collect, [])
    .option('--network <name>', 'network', collect, [])
    .option('--limit-cpu <cpus>')
    .option('--limit-memory <bytes>')
    .option('--reserve-cpu <cpus>')
    .option('--reserve-memory <bytes>')
    .option('--stop-grace-period <duration>')
    .option('--restart-condition <condition>')
    .option('--restart-delay <duration>')
    .option('--update-parallelism <count>')
    .option('--update-delay <duration>')
    .option('--update-order <order>')
    .option('--update-failure-action <action>')
    .option('--health-cmd <command>')
    .option('--health-interval <duration>')
    .option('--health-start-interval <duration>')
    .option('-d, --detach', 'do not wait until the tasks run', false)
    .option('-q, --quiet', 'no progress', false)
    .action((image: string, command: string[], flags: CreateFlags) => create(context(), image, command, flags));
  service
    .command('ls')
    .description('list services')
    .option('-q, --quiet', 'ids only', false)
    .addOption(staleOption())
    .action((flags: { quiet: boolean; stale: boolean }) => list(context(), flags));
  service
    .command('ps')
    .description('list the tasks of services')
    .argument('<service...>')
    .option('--no-trunc', 'whole ids and errors')
    .addOption(staleOption())
    .action((names: string[], flags: { trunc: boolean; stale: boolean }) => listTasks(context(), names, flags));
  service
    .command('inspect')
    .description('show services as JSON')
    .argument('<service...>')
    .action((names: string[]) => inspect(context(), names));
  service
    .command('scale')
    .description('set the number of tasks')
    .argument('<service=replicas...>')
    .option('-d, --detach', 'do not wait', false)
    .action((words: string[], flags: { detach: boolean }) => scale(context(), words, flags));
  service
    .command('update')
    .description('change a service')
    .argument('<service>')
    .option('--image <image>')
    .option('--replicas <count>')
    .option('--force', 'replace tasks although nothing changed', false)
    .option('--args <command>')
    .option('--env-add <NAME=value>', 'add or replace', collect, [])
    .option('--env-rm <NAME>', 'remove', collect, [])
    .option('--label-add <key=value>', 'add or replace', collect, [])
    .option('--label-rm <key>', 'remove', collect, [])
    .option('--constraint-add <expression>', 'add', collect, [])
    .option('--constraint-rm <expression>', 'remove', collect, [])
    .option('--publish-add <port>', 'add', collect, [])
    .option('--publish-rm <target port>', 'remove', collect, [])
    .option('--update-parallelism <count>')
    .option('--update-delay <duration>')
    .option('--update-order <order>')
    .option('--update-failure-action <action>')
    .option('--update-monitor <duration>')
    .option('-d, --detach', 'do not wait', false)
    .option('-q, --quiet', 'no progress', false)
    .action((name: string, flags: UpdateFlags) => update(context(), name, flags));
  service
    .command('rollback')
    .description('go back to the previous specification')
    .argument('<service>')
    .option('-d, --detach', 'do not wait', false)
    .action((name: string, flags: { detach: boolean }) => rollback(context(), name, flags));
  service
    .command('logs')
    .description('output of a service’s tasks')
    .argument('<service>')
    .option('-f, --follow', 'go on with new output', false)
    .option('-n, --tail <lines>', 'lines from the end', 'all')
    .option('-t, --timestamps', 'with times', false)
    .action((name: string, flags: { follow: boolean; tail: string; timestamps: boolean }) =>
      logs(context(), name, flags),
    );
  service
    .command('rm')
    .description('remove services')
    .argument('<service...>')
    .action((names: string[]) => remove(context(), names));
}

async function create(
  context: CommandContext,
  image: string,
  command: readonly string[],
  flags: CreateFlags,
): Promise<void> {
  const spec = {
    Name: flags.name,
    Labels: labels(flags.label),
    TaskTemplate: {
      ContainerSpec: {
        Image: image,
        Args: command.length > 0 ? command : undefined,
        Env: flags.env,
        StopGracePeriod: flags.stopGracePeriod && nanoseconds(flags.stopGracePeriod),
        Healthcheck: healthCheck(flags),
      },
      Resources: {
        Limits: resources(flags.limitCpu, flags.limitMemory),
        Reservations: resources(flags.reserveCpu, flags.reserveMemory),
      },
      RestartPolicy: {
        Condition: flags.restartCondition,
        Delay: flags.restartDelay && nanoseconds(flags.restartDelay),
      },
      Placement: { Constraints: flags.constraint },
      Networks: flags.network.map((target) => ({ Target: target })),
    },
    Mode: flags.mode === 'global' ? { Global: {} } : { Replicated: { Replicas: count(flags.replicas, '--replicas') } },
    UpdateConfig: {
      Parallelism: flags.updateParallelism === undefined ? 1 : count(flags.updateParallelism, '--update-parallelism'),
      Delay: flags.updateDelay && nanoseconds(flags.updateDelay),
      Order: flags.updateOrder,
      FailureAction: flags.updateFailureAction,
    },
    EndpointSpec: { Ports: flags.publish.flatMap((port) => parsePorts(port, '--publish')) },
  };
  const { ID } = await context.engine.json<{ ID: string }>('/services/create', { method: 'POST', json: spec });
  context.print(ID);
  if (!flags.detach) await waitConverged(context, ID, flags);
}

function healthCheck(flags: CreateFlags): object | undefined {
  if (!flags.healthCmd) return undefined;
  return {
    Test: ['CMD-SHELL', flags.healthCmd],
    Interval: flags.healthInterval && nanoseconds(flags.healthInterval),
    StartInterval: flags.healthStartInterval && nanoseconds(flags.healthStartInterval),
  };
}

function resources(cpus: string | undefined, memory: string | undefined): object | undefined {
  if (!cpus && !memory) return undefined;
  return { NanoCPUs: cpus && Math.round(Number(cpus) * 1e9), MemoryBytes: memory && parseBytes(memory) };
}

function labels(list: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    list.map((entry) => {
      const [key = '', ...value] = entry.split('=');
      return [key, value.join('=')];
    }),
  );
}

function count(text: string, what: string): number {
  if (!/^\d+$/.test(text)) fail('invalid', `${what} '${text}' must be a whole number`);
  return Number(text);
}

async function list(context: CommandContext, flags: { quiet: boolean; stale: boolean }): Promise<void> {
  const query = { status: 'true', ...staleQuery(context, flags) };
  const services = await context.engine.json<ServiceJson[]>('/services', { query });
  const sorted = services.toSorted((a, b) => a.Spec.Name.localeCompare(b.Spec.Name));
  if (flags.quiet) return context.print(sorted.map((service) => service.ID).join('\n'));
  const rows = sorted.map(({ ID, Spec, ServiceStatus, Endpoint }) => [
    ID.slice(0, 12),
    Spec.Name,
    Spec.Mode.Global ? 'global' : 'replicated',
    `${ServiceStatus?.RunningTasks ?? 0}/${ServiceStatus?.DesiredTasks ?? 0}`,
    Spec.TaskTemplate.ContainerSpec.Image.replace(/@sha256:.*/, ''),
    portText(Endpoint?.Ports),
  ]);
  context.print(table(['ID', 'NAME', 'MODE', 'REPLICAS', 'IMAGE', 'PORTS'], rows));
}

async function listTasks(
  context: CommandContext,
  services: readonly string[],
  flags: { trunc: boolean; stale: boolean },
): Promise<void> {
  const stale = staleQuery(context, flags);
  const found = await Promise.all(
    services.map((name) => context.engine.json<ServiceJson>(`/services/${encodeURIComponent(name)}`, { query: stale })),
  );
  const tasks = await context.engine.json<TaskJson[]>('/tasks', {
    query: { filters: filtersOf({ service: found.map(({ ID }) => ID) }), ...stale },
  });
  context.print(await renderTasks(context, tasks, found, !flags.trunc));
}

/** Also used by `stack ps`. */
export async function renderTasks(
  context: CommandContext,
  tasks: readonly TaskJson[],
  services: readonly ServiceJson[],
  full: boolean,
): Promise<string> {
  const nodes = await context.engine.json<NodeJson[]>('/nodes');
  const hostname = new Map(nodes.map((node) => [node.ID, node.Description.Hostname]));
  const name = new Map(services.map(({ ID, Spec }) => [ID, Spec.Name]));
  return taskTable(
    tasks,
    {
      service: (task) => name.get(task.ServiceID) ?? task.ServiceID,
      node: (task) => hostname.get(task.NodeID ?? '') ?? '',
    },
    { full, nowMs: context.nowMs() },
  );
}

async function inspect(context: CommandContext, names: readonly string[]): Promise<void> {
  const found = await Promise.all(names.map((name) => context.engine.json(`/services/${encodeURIComponent(name)}`)));
  context.print(JSON.stringify(found, null, 4));
}

async function scale(context: CommandContext, words: readonly string[], flags: { detach: boolean }): Promise<void> {
  for (const word of words) {
    const [name = '', replicas = ''] = word.split('=');
    const id = await change(context, name, (spec) => {
      if (!spec.Mode.Replicated) fail('invalid', `${name}: scale can only be used with replicated mode`);
      return { ...spec, Mode: { Replicated: { Replicas: count(replicas, word) } } };
    });
    context.print(`${name} scaled to ${replicas}`);
    if (!flags.detach) await waitConverged(context, id, { quiet: false });
  }
}

interface UpdateFlags {
  readonly image?: string;
  readonly replicas?: string;
  readonly force: boolean;
  readonly args?: string;
  readonly envAdd: string[];
  readonly envRm: string[];
  readonly labelAdd: string[];
  readonly labelRm: string[];
  readonly constraintAdd: string[];
  readonly constraintRm: string[];
  readonly publishAdd: string[];
  readonly publishRm: string[];
  readonly updateParallelism?: string;
  readonly updateDelay?: string;
  readonly updateOrder?: string;
  readonly updateFailureAction?: string;
  readonly updateMonitor?: string;
  readonly detach: boolean;
  readonly quiet: boolean;
}

async function update(context: CommandContext, name: string, flags: UpdateFlags): Promise<void> {
  const id = await change(context, name, (spec) => changed(spec, flags));
  context.print(name);
  if (!flags.detach) await waitConverged(context, id, flags);
}

/** The specification with the flags applied. Pure. */
export function changed(spec: ServiceSpecJson, flags: UpdateFlags): ServiceSpecJson {
  const { TaskTemplate: task } = spec;
  const container = task.ContainerSpec;
  const env = (container['Env'] as string[] | undefined) ?? [];
  const keyOf = (entry: string): string => entry.split('=')[0] ?? '';
  const replaced = new Set([...flags.envRm, ...flags.envAdd.map(keyOf)]);
  const placement = (task.Placement ?? {}) as { Constraints?: readonly string[] };
  const constraints = (placement.Constraints ?? []).filter((entry) => !flags.constraintRm.includes(entry));
  const ports = (spec.EndpointSpec?.Ports ?? []).filter((port) => !flags.publishRm.includes(String(port.TargetPort)));
  const kept = Object.entries(spec.Labels ?? {}).filter(([key]) => !flags.labelRm.includes(key));
  return {
    ...spec,
    Labels: { ...Object.fromEntries(kept), ...labels(flags.labelAdd) },
    Mode: flags.replicas === undefined ? spec.Mode : { Replicated: { Replicas: count(flags.replicas, '--replicas') } },
    TaskTemplate: {
      ...task,
      ContainerSpec: {
        ...container,
        Image: flags.image ?? container.Image,
        ...(flags.args === undefined ? {} : { Args: flags.args.split(/\s+/).filter(Boolean) }),
        Env: [...env.filter((entry) => !replaced.has(keyOf(entry))), ...flags.envAdd],
      },
      Placement: { ...placement, Constraints: [...constraints, ...flags.constraintAdd] },
      ForceUpdate: (task.ForceUpdate ?? 0) + (flags.force ? 1 : 0),
    },
    UpdateConfig: {
      ...spec.UpdateConfig,
      ...(flags.updateParallelism === undefined
        ? {}
        : { Parallelism: count(flags.updateParallelism, '--update-parallelism') }),
      ...(flags.updateDelay === undefined ? {} : { Delay: nanoseconds(flags.updateDelay) }),
      ...(flags.updateOrder === undefined ? {} : { Order: flags.updateOrder }),
      ...(flags.updateFailureAction === undefined ? {} : { FailureAction: flags.updateFailureAction }),
      ...(flags.updateMonitor === undefined ? {} : { Monitor: nanoseconds(flags.updateMonitor) }),
    },
    EndpointSpec: {
      ...spec.EndpointSpec,
      Ports: [...ports, ...flags.publishAdd.flatMap((port) => parsePorts(port, '--publish-add'))],
    },
  };
}

/** Reads, changes, writes on the version that was read; resolves with the service's id. */
async function change(
  context: CommandContext,
  name: string,
  make: (spec: ServiceSpecJson) => ServiceSpecJson,
): Promise<string> {
  const { ID, Version, Spec } = await context.engine.json<ServiceJson>(`/services/${encodeURIComponent(name)}`);
  await context.engine.json(`/services/${ID}/update`, {
    method: 'POST',
    query: { version: String(Version.Index) },
    json: make(Spec),
  });
  return ID;
}

async function rollback(context: CommandContext, name: string, flags: { detach: boolean }): Promise<void> {
  const { ID, Version, Spec } = await context.engine.json<ServiceJson>(`/services/${encodeURIComponent(name)}`);
  const query = { version: String(Version.Index), rollback: 'previous' };
  await context.engine.json(`/services/${ID}/update`, { method: 'POST', query, json: Spec });
  context.print(name);
  if (flags.detach) return;
  // Its end, rollback_completed, is what was asked for here, so only the tasks are waited for.
  await context.engine.json(`/services/${ID}`);
}

async function logs(
  context: CommandContext,
  name: string,
  flags: { follow: boolean; tail: string; timestamps: boolean },
): Promise<void> {
  const query = {
    stdout: '1',
    stderr: '1',
    details: '1',
    follow: flags.follow ? '1' : '0',
    tail: flags.tail,
    timestamps: flags.timestamps ? '1' : '0',
  };
  const response = await context.engine.stream(`/services/${encodeURIComponent(name)}/logs`, { query });
  for await (const { stream, bytes } of readFrames(response as AsyncIterable<Buffer>))
    await write(process[stream], labelled(bytes));
}

/** `com.docker.swarm.task.id=…,… text` → `task id | text`. */
function labelled(bytes: Buffer): Buffer {
  const text = bytes.toString('utf8');
  const match = /^(\d{4}-\S+ )?(\S*com\.docker\.swarm\.task\.id=([0-9a-z]+)\S*) /.exec(text);
  if (!match) return bytes;
  return Buffer.from(`${match[3]?.slice(0, 12)}    | ${match[1] ?? ''}${text.slice(match[0].length)}`);
}

async function remove(context: CommandContext, names: readonly string[]): Promise<void> {
  for (const name of names) {
    await context.engine.json(`/services/${encodeURIComponent(name)}`, { method: 'DELETE' });
    context.print(name);
  }
}
