// shoal node ls
import type { Command } from 'commander';
import type { CommandContext } from '../context.ts';
import { staleOption, staleQuery } from '../stale.ts';
import { table } from '../table.ts';
import type { NodeJson } from '../wire.ts';

export function addNodeCommands(program: Command, context: () => CommandContext): void {
  const node = program.command('node').description('nodes of the swarm');
  node
    .command('ls')
    .description('list nodes')
    .option('-q, --quiet', 'ids only', false)
    .addOption(staleOption())
    .action((flags: { quiet: boolean; stale: boolean }) => list(context(), flags));
}

async function list(context: CommandContext, flags: { quiet: boolean; stale: boolean }): Promise<void> {
  const query = staleQuery(context, flags);
  const nodes = (await context.engine.json<NodeJson[]>('/nodes', { query })).toSorted((a, b) =>
    a.Description.Hostname.localeCompare(b.Description.Hostname),
  );
  if (flags.quiet) return context.print(nodes.map(({ ID }) => ID).join('\n'));
  const info = await context.engine.json<{ Swarm?: { NodeID?: string } }>('/info');
  const rows = nodes.map(({ ID, Description, Status, Spec, ManagerStatus }) => [
    `${ID}${ID === info.Swarm?.NodeID ? ' *' : ''}`,
    Description.Hostname,
    capital(Status.State),
    capital(Spec.Availability),
    ManagerStatus ? (ManagerStatus.Leader ? 'Leader' : capital(ManagerStatus.Reachability ?? '')) : '',
    Description.Engine?.EngineVersion ?? '',
  ]);
  context.print(table(['ID', 'HOSTNAME', 'STATUS', 'AVAILABILITY', 'MANAGER STATUS', 'ENGINE VERSION'], rows));
}

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);
