// What a kernel's refusal means to whoever lets it encrypt, and how things of it are taken out again.
import { constants } from 'node:os';
import type { Helper } from './esp-kernel.ts';
import { StepError } from './netd.ts';
import { readNetlinkResult, type Step } from './netd-protocol.ts';

/** A kernel that answers so does not have it. */
export const LACKS: ReadonlySet<number> = new Set([
  constants.errno.EPROTONOSUPPORT,
  constants.errno.EOPNOTSUPP,
  constants.errno.EAFNOSUPPORT,
  constants.errno.ENOSYS,
]);
/** What was asked for may be right: it is asked again. */
export const GONE_HELPER: ReadonlySet<string> = new Set(['unavailable', 'deadline', 'aborted']);
/** Who is to be taken out is out already. */
const GONE: ReadonlySet<number> = new Set([constants.errno.ESRCH, constants.errno.ENOENT, constants.errno.ENODEV]);
/** Then the network is left to the tunnel until the node joins it anew. */
export const FAILURES_MAX = 3;

/** Each by itself; what is gone already is no failure. */
export async function takeOut(helper: Helper, doing: string, steps: readonly Step[]): Promise<void> {
  if (steps.length === 0) return;
  const results = await helper.run(steps.map((step) => ({ ...step, mayFail: true })));
  for (const result of results) {
    const failures = result.errno === 0 ? readNetlinkResult(result.bytes).failures : [];
    const errno = failures.find((failure) => !GONE.has(failure.errno))?.errno ?? result.errno;
    if (errno !== 0 && !GONE.has(errno)) throw new StepError(doing, errno, 'the kernel refused');
  }
}
