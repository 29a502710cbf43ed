// The C helper of the nodes' daemons, where the program came without one, as a package does: it is made on the machine.
import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import type { ClusterPlan } from './plan.ts';
import { run } from './shell.ts';

export function hasHelper(plan: ClusterPlan): boolean {
  return existsSync(join(plan.program, 'dist/native'));
}

/** Compiles it once, before the daemons would do so beside each other, and puts it where each looks. */
export async function buildHelper(plan: ClusterPlan): Promise<void> {
  const [first, ...others] = plan.nodes.map((node) => join(node.dataRoot, 'native'));
  if (first === undefined) return;
  await run(process.execPath, [join(plan.program, 'dist/runtime/native/build-cli.js'), first]);
  // One that is there may be running: it is left alone.
  for (const other of others) cpSync(first, other, { recursive: true, verbatimSymlinks: true, force: false });
}
