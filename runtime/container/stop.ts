// Ending a container's process: stop, kill, restart; and pausing it.
import { codeOf, fail } from '../../base/errors.ts';
import type { Container } from './container.ts';
import { type ContainerParts, publishContainer } from './parts.ts';
import { parseSignal, SIGKILL, SIGTERM } from './signals.ts';
import { isAlive, isUp } from './state.ts';
import { startSupervised } from './supervise.ts';

export interface StopOptions {
  readonly signal?: string;
  readonly graceMs?: number; // below 0: for ever
}

const GRACE_MS = 10_000;
const KILL_MS = 10_000;

export const stopSignalOf = (container: Container): number =>
  container.record.config.stopSignal === '' ? SIGTERM : parseSignal(container.record.config.stopSignal);

/** Rejects `not-modified` when it does not run. */
export async function stop(container: Container, parts: ContainerParts, options: StopOptions): Promise<void> {
  await bringDown(container, parts, options);
  publishContainer(parts, container, 'stop');
}

/** Without the event of a stop: removal by force is none. */
export async function bringDown(container: Container, parts: ContainerParts, options: StopOptions): Promise<void> {
  const signal =
    options.signal === undefined || options.signal === '' ? stopSignalOf(container) : parseSignal(options.signal);
  const down = await container.lock.run(() => prepareStop(container, parts));
  if (!down) return;
  await signalUnlessGone(container, parts, signal);
  const configured = container.record.config.stopGraceMs;
  const graceMs = options.graceMs ?? (configured < 0 ? GRACE_MS : configured);
  if (!(await within(parts, down, graceMs))) await killUntilDown(container, parts, down);
}

/** Resolves with what to wait for, or undefined when the container only waited for its restart and is down now. */
async function prepareStop(
  container: Container,
  parts: ContainerParts,
): Promise<{ promise: Promise<unknown> } | undefined> {
  if (!isUp(container.state)) fail('not-modified', `container ${container.id} is not running`);
  container.change({ stoppedByHand: true });
  if (container.state === 'restarting') {
    await giveUpRestart(container, parts);
    return undefined;
  }
  const promise = container.waiters.on('down'); // before the signal: the exit may come at once
  await Promise.all([container.save(), thaw(container, parts)]);
  return { promise };
}

async function giveUpRestart(container: Container, parts: ContainerParts): Promise<void> {
  container.restartTimer?.cancel();
  container.restartTimer = undefined;
  container.restartDelayMs = 0;
  container.change({ state: 'exited', finishedAtMs: container.status.finishedAtMs || parts.clock.nowMs() });
  await container.save();
  container.waiters.tell('down', { exitCode: container.status.exitCode, error: '' });
}

async function within(parts: ContainerParts, down: { promise: Promise<unknown> }, ms: number): Promise<boolean> {
  if (ms < 0) return down.promise.then(() => true);
  let timer: Disposable | undefined;
  const timeout = new Promise<false>((resolve) => {
    timer = parts.clock.after(ms, () => resolve(false));
  });
  const isDown = await Promise.race([down.promise.then(() => true), timeout]);
  timer?.[Symbol.dispose]();
  return isDown;
}

async function killUntilDown(
  container: Container,
  parts: ContainerParts,
  down: { promise: Promise<unknown> },
): Promise<void> {
  await signalUnlessGone(container, parts, SIGKILL);
  if (await within(parts, down, KILL_MS)) return;
  parts.log.warn('container did not die of SIGKILL; ending its shim', { containerId: container.id });
  await container.shim?.kill();
  if (!(await within(parts, down, KILL_MS)))
    fail('internal', `tried to kill container ${container.id}, but did not receive an exit event`);
}

/** Of one that has ended the word is under way; the caller waits for that. */
async function signalUnlessGone(container: Container, parts: ContainerParts, signal: number): Promise<void> {
  try {
    await signalProcess(container, parts, signal);
  } catch (error) {
    if (codeOf(error) !== 'not-found') throw error;
  }
}

async function signalProcess(container: Container, parts: ContainerParts, signal: number): Promise<void> {
  const { shim } = container;
  if (!shim) return; // it has exited meanwhile
  await shim.signal(signal);
  publishContainer(parts, container, 'kill', { signal: String(signal) });
}

/** By SIGKILL it resolves when the container is down, by another signal when that is sent. */
export async function kill(
  container: Container,
  parts: ContainerParts,
  { signal: text }: { readonly signal: string },
): Promise<void> {
  const signal = text === '' ? SIGKILL : parseSignal(text);
  if (!isUp(container.state)) fail('conflict', `container ${container.id} is not running`);
  const ends = signal === SIGKILL || signal === stopSignalOf(container);
  if (ends) container.change({ stoppedByHand: true });
  if (container.state === 'restarting') {
    if (ends) await container.lock.run(() => giveUpRestart(container, parts));
    return;
  }
  // Before the signal: the exit may come at once.
  const down = signal === SIGKILL ? { promise: container.waiters.on('down') } : undefined;
  if (ends) await container.lock.run(() => thaw(container, parts));
  if (down) await killUntilDown(container, parts, down);
  else await signalProcess(container, parts, signal);
  if (ends) await container.save();
}

/** Whether it goes down or comes up by itself meanwhile makes no difference. */
export async function restart(container: Container, parts: ContainerParts, options: StopOptions): Promise<void> {
  if (isUp(container.state)) await unlessAlreadySo(stop(container, parts, options));
  await unlessAlreadySo(container.lock.run(() => startByHand(container, parts)));
  publishContainer(parts, container, 'restart');
}

/** Waits for what may find its work done. */
export async function unlessAlreadySo(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (codeOf(error) !== 'not-modified') throw error;
  }
}

/** The caller holds the lock. */
export async function startByHand(container: Container, parts: ContainerParts): Promise<void> {
  if (container.isBeingRemoved) fail('conflict', 'container is marked for removal and cannot be started');
  if (container.state === 'paused') fail('conflict', 'cannot start a paused container, try unpause instead');
  if (container.state === 'running') fail('not-modified', `container ${container.id} is already running`);
  container.restartTimer?.cancel();
  container.restartTimer = undefined;
  container.restartDelayMs = 0;
  container.change({ stoppedByHand: false, restartCount: 0 });
  await startSupervised(container, parts);
}

/** A frozen process would take its signal only when somebody thaws it. */
async function thaw(container: Container, parts: ContainerParts): Promise<void> {
  if (container.state !== 'paused') return;
  await parts.cgroups.freeze(container.id, false, container.record.config.cgroupParent);
  container.change({ state: 'running' });
}

export async function pause(container: Container, parts: ContainerParts): Promise<void> {
  if (container.state === 'paused') fail('conflict', `container ${container.id} is already paused`);
  if (!isAlive(container.state)) fail('conflict', `container ${container.id} is not running`);
  await parts.cgroups.freeze(container.id, true, container.record.config.cgroupParent);
  container.change({ state: 'paused' });
  await container.save();
  publishContainer(parts, container, 'pause');
}

export async function unpause(container: Container, parts: ContainerParts): Promise<void> {
  if (container.state !== 'paused') fail('conflict', `container ${container.id} is not paused`);
  await thaw(container, parts);
  await container.save();
  publishContainer(parts, container, 'unpause');
}
