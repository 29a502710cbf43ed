// shoal stack deploy|ls|ps|services|rm
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { fail } from '../../base/errors.ts';
import { convertService, stackLabel } from '../compose/convert.ts';
import { loadCompose } from '../compose/load.ts';
import { makeNetworks, networksOf, removeNetwork, stackNetworks } from './stack-networks.ts';
import type { CommandContext } from '../context.ts';
import { waitConverged } from '../progress.ts';
import { table } from '../table.ts';
import { filtersOf, portText, type ServiceJson, type ServiceSpecJson, type TaskJson } from '../wire.ts';
import { renderTasks } from './services.ts';

export function addStackCommands(program: Command, context: () => CommandContext): void {
  const stack = program.command('stack').description('services declared together in a compose file');
  stack
    .command('deploy')
    .description('create or update a stack')
    .argument('<stack>')
    .requiredOption('-c, --compose-file <file>', 'compose file')
    .option('-d, --detach [yes]', 'do not wait until the services run', false)
    .option('--prune', 'remove services that the file no longer has', false)
    .action((name: string, flags: DeployFlags) => deploy(context(), name, flags));
  stack
    .command('ls')
    .description('list stacks')
    .action(() => list(context()));
  stack
    .command('ps')
    .description('list the tasks of a stack')
    .argument('<stack>')
    .option('--no-trunc', 'whole ids and errors')
    .action((name: string, flags: { trunc: boolean }) => listTasks(context(), name, flags));
  stack
    .command('services')
    .description('list the services of a stack')
    .argument('<stack>')
    .action((name: string) => listServices(context(), name));
  stack
    .command('rm')
    .description('remove stacks')
    .argument('<stack...>')
    .action((names: string[]) => remove(context(), names));
}

interface DeployFlags {
  readonly composeFile: string;
  readonly detach: boolean | string;
  readonly prune: boolean;
}

async function deploy(context: CommandContext, stack: string, flags: DeployFlags): Promise<void> {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_-]*$/.test(stack))
    fail('invalid', `'${stack}' is not a stack name: letters, digits, _ and -`);
  const file = loadCompose(await readFile(flags.composeFile, 'utf8'), flags.composeFile, process.env);
  const networks = stackNetworks(stack, file.networks, Object.values(file.services));
  await makeNetworks(context, stack, networks);
  const names = new Map(networks.map(({ key, name }) => [key, name]));
  const specs = Object.entries(file.services).map(([name, service]) => convertService(stack, name, service, names));
  const existing = new Map((await servicesOf(context, stack)).map((service) => [service.Spec.Name, service]));
  const ids: string[] = [];
  for (const spec of specs) ids.push(await apply(context, spec, existing.get(spec.Name)));
  if (flags.prune) {
    const kept = new Set(specs.map((spec) => spec.Name));
    for (const service of existing.values()) if (!kept.has(service.Spec.Name)) await removeService(context, service);
  }
  const detach = flags.detach === true || flags.detach === 'true';
  if (!detach) for (const id of ids) await waitConverged(context, id, { quiet: false });
}

async function apply(
  context: CommandContext,
  spec: ServiceSpecJson,
  existing: ServiceJson | undefined,
): Promise<string> {
  if (!existing) {
    const { ID } = await context.engine.json<{ ID: string }>('/services/create', { method: 'POST', json: spec });
    context.print(`Creating service ${spec.Name}`);
    return ID;
  }
  context.print(`Updating service ${spec.Name} (id: ${existing.ID})`);
  // A deploy is not a reason to replace tasks: the force counter stays as it is.
  const task = { ...spec.TaskTemplate, ForceUpdate: existing.Spec.TaskTemplate.ForceUpdate ?? 0 };
  await context.engine.json(`/services/${existing.ID}/update`, {
    method: 'POST',
    query: { version: String(existing.Version.Index) },
    json: { ...spec, TaskTemplate: task },
  });
  return existing.ID;
}

const servicesOf = (context: CommandContext, stack: string): Promise<ServiceJson[]> =>
  context.engine.json<ServiceJson[]>('/services', {
    query: { status: 'true', filters: filtersOf({ label: [stackLabel(stack)] }) },
  });

async function existingServices(context: CommandContext, stack: string): Promise<ServiceJson[]> {
  const services = await servicesOf(context, stack);
  if (services.length === 0) fail('not-found', `nothing found in stack: ${stack}`);
  return services;
}

async function list(context: CommandContext): Promise<void> {
  const services = await context.engine.json<ServiceJson[]>('/services');
  const counts = new Map<string, number>();
  for (const { Spec } of services) {
    const stack = Spec.Labels?.['com.docker.stack.namespace'];
    if (stack) counts.set(stack, (counts.get(stack) ?? 0) + 1);
  }
  context.print(
    table(
      ['NAME', 'SERVICES'],
      [...counts].toSorted().map(([name, count]) => [name, String(count)]),
    ),
  );
}

async function listTasks(context: CommandContext, stack: string, flags: { trunc: boolean }): Promise<void> {
  const services = await existingServices(context, stack);
  const query = { filters: filtersOf({ service: services.map(({ ID }) => ID) }) };
  context.print(
    await renderTasks(context, await context.engine.json<TaskJson[]>('/tasks', { query }), services, !flags.trunc),
  );
}

async function listServices(context: CommandContext, stack: string): Promise<void> {
  const rows = (await existingServices(context, stack)).map(({ ID, Spec, ServiceStatus, Endpoint }) => [
    ID.slice(0, 12),
    Spec.Name,
    Spec.Mode.Global ? 'global' : 'replicated',
    `${ServiceStatus?.RunningTasks ?? 0}/${ServiceStatus?.DesiredTasks ?? 0}`,
    Spec.TaskTemplate.ContainerSpec.Image.replace(/@sha256:.*/, ''),
    portText(Endpoint?.Ports),
  ]);
  context.print(table(['ID', 'NAME', 'MODE', 'REPLICAS', 'IMAGE', 'PORTS'], rows));
}

async function remove(context: CommandContext, stacks: readonly string[]): Promise<void> {
  for (const stack of stacks) {
    const [services, networks] = [await servicesOf(context, stack), await networksOf(context, stack)];
    if (services.length + networks.length === 0) fail('not-found', `nothing found in stack: ${stack}`);
    for (const service of services) await removeService(context, service);
    for (const network of networks) await removeNetwork(context, network);
  }
}

async function removeService(context: CommandContext, service: ServiceJson): Promise<void> {
  await context.engine.json(`/services/${service.ID}`, { method: 'DELETE' });
  context.print(`Removing service ${service.Spec.Name}`);
}
