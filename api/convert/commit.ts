// The configuration of an image made from a container: the container's own, changed by what the request names.
import type { ContainerInfo } from '../../runtime/container/contract.ts';
import type { ImageConfig } from '../../runtime/image/contract.ts';
import { Fields } from './fields.ts';
import { parseHealthCheck } from './health.ts';

export function committedConfig({ config }: ContainerInfo, body: Fields): ImageConfig {
  const env = body.texts('Env');
  const health = parseHealthCheck(body.objectOrAbsent('Healthcheck')) ?? config.healthCheck;
  const anonymous = config.mounts.filter(({ type, source }) => type === 'volume' && source === '');
  return {
    user: body.text('User') || config.user,
    env: [...config.env.filter((entry) => !env.some((own) => nameOf(own) === nameOf(entry))), ...env],
    entrypoint: nonEmpty(body.wordsOrAbsent('Entrypoint')) ?? nonEmpty(config.entrypoint),
    command: nonEmpty(body.wordsOrAbsent('Cmd')) ?? config.command,
    workingDirectory: body.text('WorkingDir') || config.workingDirectory,
    exposedPorts: union(config.exposedPorts, body.keys('ExposedPorts')),
    volumes: union(
      anonymous.map(({ target }) => target),
      body.keys('Volumes'),
    ),
    labels: { ...config.labels, ...body.textMap('Labels') },
    stopSignal: body.text('StopSignal') || config.stopSignal,
    ...(health && { healthCheck: health }),
  };
}

const nameOf = (entry: string): string => entry.split('=', 1)[0] ?? '';
const union = (a: readonly string[], b: readonly string[]): string[] => [...new Set([...a, ...b])];
const nonEmpty = (words: readonly string[] | undefined) => (words && words.length > 0 ? words : undefined);
