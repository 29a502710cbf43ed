// `--stale`: reading what this one manager has, without asking whether it is the latest. It works where no manager leads.
import { Option } from 'commander';
import type { CommandContext } from './context.ts';

export const staleOption = (): Option =>
  new Option('--stale', "this manager's own copy, which may be behind").default(false);

/** The query for it; whoever asked is told what he gets. */
export function staleQuery(context: CommandContext, flags: { readonly stale: boolean }): { readonly stale?: string } {
  if (!flags.stale) return {};
  context.warn("stale: this manager's own copy; it may be behind the swarm's state");
  return { stale: 'true' };
}
