// shoal network doctor
import type { Command } from 'commander';
import type { CommandContext } from '../context.ts';
import { table } from '../table.ts';

interface NetworkReport {
  readonly differences: readonly { readonly cause: string; readonly sentence: string }[];
  readonly repaired: Readonly<Record<string, number>>;
}

export function addNetworkCommands(program: Command, context: () => CommandContext): void {
  const network = program.command('network').description('networks of this machine');
  network
    .command('doctor')
    .description('compare the kernel with what it should hold, and name each difference')
    .action(() => doctor(context()));
}

/** Ends with 1 when something differs. The daemon repairs by itself; this only looks. */
async function doctor(context: CommandContext): Promise<void> {
  const { differences, repaired } = await context.engine.json<NetworkReport>('/shoal/networks/report');
  const counts = Object.entries(repaired).map(([cause, count]) => `${count} × ${cause}`);
  context.print(counts.length === 0 ? 'Nothing had to be repaired.' : `Repaired so far: ${counts.join(', ')}.`);
  if (differences.length === 0) return context.print('The kernel holds what it should.');
  context.print(
    table(
      ['CAUSE', 'DIFFERENCE'],
      differences.map(({ cause, sentence }) => [cause, sentence]),
    ),
  );
  process.exitCode = 1;
}
