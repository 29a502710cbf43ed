// Starts a container's command in what was prepared for it.
import { CodedError, codeOf, sentenceOf } from '../../base/errors.ts';
import type { Shim } from '../native/contract.ts';
import type { Endpoint } from '../network/contract.ts';
import type { Container } from './container.ts';
import { publishPlace } from './network-places.ts';
import { type ContainerParts, publishContainer } from './parts.ts';
import { type Prepared, prepare } from './prepare.ts';
import { takeAhead } from './prepare-ahead.ts';
import { type ContainerStatus, NEW_STATUS } from './record.ts';
import { isUnframed } from './unframed.ts';

/** Leaves the container running, or as it was with the error noted. The caller holds the lock. */
export async function launch(container: Container, parts: ContainerParts): Promise<Shim> {
  await container.clearing;
  try {
    return await startCommand(container, parts, (await takeAhead(container)) ?? (await prepare(container, parts)));
  } catch (error) {
    container.attachPoint.disconnect();
    const failure = startFailure(error);
    container.change({ ...notInNetworks, exitCode: exitCodeOf(failure.message), error: failure.message, pid: 0 });
    await container.save();
    throw failure;
  }
}

async function startCommand(container: Container, parts: ContainerParts, prepared: Prepared): Promise<Shim> {
  await using undo = prepared.undo;
  const { shim, endpoints } = prepared;
  const running = runningStatus(container, parts, shim, endpoints);
  await container.attachPoint.connect(shim);
  const { consoleSize, record } = container;
  if (consoleSize && record.config.terminal) await shim.resize(consoleSize); // asked for after it was prepared
  // On disk before the command starts: whoever finds the shim after a crash then finds its network too.
  await container.saveThrough(shim, running, (note) => shim.start(note));
  undo.handOver();
  container.change(running);
  container.shim = shim;
  for (const warning of shim.warnings) parts.log.warn('a setting was lowered', { containerId: container.id, warning });
  for (const endpoint of endpoints) publishPlace(parts, container, endpoint, 'connect');
  publishMounts(container, parts, 'mount');
  publishContainer(parts, container, 'start');
  return shim;
}

function runningStatus(
  container: Container,
  parts: ContainerParts,
  shim: Shim,
  endpoints: readonly Endpoint[],
): ContainerStatus {
  return {
    ...container.status,
    state: 'running',
    pid: shim.pid,
    exitCode: 0,
    error: '',
    oomKilled: false,
    startedAtMs: parts.clock.nowMs(),
    finishedAtMs: 0,
    endpoints,
    sandboxPath: endpoints[0]?.sandboxPath ?? '',
    health: hasProbe(container.record.config.healthCheck)
      ? { status: 'starting', failingStreak: 0, log: [] }
      : undefined,
  };
}

export const hasProbe = (check: { readonly test: readonly string[] } | undefined): boolean =>
  check !== undefined && check.test.length > 0 && check.test[0] !== 'NONE';

/** How it fares in networks when it does not run. */
export const notInNetworks = { endpoints: NEW_STATUS.endpoints, sandboxPath: NEW_STATUS.sandboxPath };

export function publishMounts(container: Container, parts: ContainerParts, action: 'mount' | 'unmount'): void {
  for (const mount of container.record.mounts) {
    if (mount.type !== 'volume') continue;
    const { name, driver, target, readOnly } = mount;
    const detail = action === 'mount' ? { destination: target, propagation: '', 'read/write': String(!readOnly) } : {};
    parts.publish({ type: 'volume', action, id: name, attributes: { container: container.id, driver, ...detail } });
  }
}

/** Clients read their exit code from this text, so Docker's frame stays around the reason. */
function startFailure(error: unknown): CodedError {
  const code = codeOf(error);
  const reason = sentenceOf(error);
  if ((code !== 'invalid' && code !== 'internal') || isUnframed(reason)) return new CodedError(code, reason);
  const frame = 'failed to create task for container: failed to create shim task: OCI runtime create failed';
  const step = reason.startsWith('exec: ') ? 'unable to start container process: ' : '';
  return new CodedError(code, `${frame}: ${step}${reason}: unknown`);
}

function exitCodeOf(message: string): number {
  if (message.startsWith('error while mounting volume ')) return 128; // whatever its reason says of files
  if (/executable file .*not found|no such file or directory|system cannot find/i.test(message)) return 127;
  if (/permission denied|is a directory|exec format error/i.test(message)) return 126;
  return 128;
}
