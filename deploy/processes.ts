// Waiting for processes that are not our children. Node has no event for that, so this looks every 10 ms.
import { existsSync, readFileSync } from 'node:fs';

/**
 * Resolves when none of them runs, or after `withinMs`. `reaped`: nor is left as a zombie, which is up to the system's
 * first process once their parents are gone.
 */
export async function ended(pids: readonly number[], options: { withinMs: number; reaped: boolean }): Promise<void> {
  const deadline = performance.now() + options.withinMs;
  const isThere = options.reaped ? exists : runs;
  while (pids.some(isThere) && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const exists = (pid: number): boolean => existsSync(`/proc/${pid}`);

function runs(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false; // it ended while we looked
  }
}
