// What an image says is the default for what a container's config leaves open. Pure; Docker's rules.
import { fail } from '../../base/errors.ts';
import type { ImageConfig } from '../image/contract.ts';
import type { ContainerConfig, HealthCheckSpec } from './contract.ts';

export interface MergedConfig {
  readonly config: ContainerConfig; // entrypoint and command as they will run
  readonly args: readonly string[];
}

export function mergeImage(asked: ContainerConfig, image: ImageConfig): MergedConfig {
  const { entrypoint, command } = commandOf(asked, image);
  const args = [...(entrypoint ?? []), ...(command ?? [])];
  if (args.length === 0) fail('invalid', 'no command specified');
  const config: ContainerConfig = {
    ...asked,
    entrypoint,
    command,
    env: mergeEnv(image.env, asked.env),
    workingDirectory: asked.workingDirectory || image.workingDirectory,
    user: asked.user || image.user,
    labels: { ...image.labels, ...asked.labels },
    stopSignal: asked.stopSignal || image.stopSignal,
    exposedPorts: [...new Set([...image.exposedPorts, ...asked.exposedPorts])],
    healthCheck: mergeHealth(asked.healthCheck, image.healthCheck),
    mounts: [...asked.mounts, ...imageVolumes(asked, image)],
  };
  return { config, args };
}

/** An entrypoint of its own makes the image's command meaningless. [''] is how clients write "none". */
function commandOf(
  asked: ContainerConfig,
  image: ImageConfig,
): { entrypoint: readonly string[] | undefined; command: readonly string[] | undefined } {
  const isReset = asked.entrypoint?.length === 1 && asked.entrypoint[0] === '';
  if (asked.entrypoint !== undefined)
    return { entrypoint: isReset ? undefined : asked.entrypoint, command: asked.command };
  const hasCommand = asked.command !== undefined && asked.command.length > 0;
  return { entrypoint: image.entrypoint, command: hasCommand ? asked.command : image.command };
}

export function mergeEnv(base: readonly string[], over: readonly string[]): string[] {
  const nameOf = (entry: string): string => entry.split('=', 1)[0] ?? '';
  const overNames = new Set(over.map(nameOf));
  const kept = base.filter((entry) => !overNames.has(nameOf(entry)));
  // NAME without '=' removes the image's variable.
  return [...kept, ...over.filter((entry) => entry.includes('='))];
}

function mergeHealth(
  asked: HealthCheckSpec | undefined,
  image: ImageConfig['healthCheck'],
): HealthCheckSpec | undefined {
  if (!asked) return image;
  if (!image) return asked.test.length > 0 ? asked : undefined;
  return {
    test: asked.test.length > 0 ? asked.test : image.test,
    intervalMs: asked.intervalMs || image.intervalMs,
    timeoutMs: asked.timeoutMs || image.timeoutMs,
    startPeriodMs: asked.startPeriodMs || image.startPeriodMs,
    startIntervalMs: asked.startIntervalMs || image.startIntervalMs,
    retries: asked.retries || image.retries,
  };
}

/** Declared volumes become anonymous ones, unless something is mounted there anyway. */
function imageVolumes(asked: ContainerConfig, image: ImageConfig): ContainerConfig['mounts'] {
  const taken = new Set([
    ...asked.mounts.map((mount) => cleanTarget(mount.target)),
    ...Object.keys(asked.tmpfs).map(cleanTarget),
  ]);
  return image.volumes
    .map(cleanTarget)
    .filter((target) => !taken.has(target))
    .map((target) => ({
      type: 'volume',
      source: '',
      target,
      readOnly: false,
      propagation: '',
      tmpfsOptions: '',
      noCopy: false,
      createSource: false,
    }));
}

/** /a/../b//c/ → /b/c, as text: nothing is looked up. */
export function cleanTarget(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}
