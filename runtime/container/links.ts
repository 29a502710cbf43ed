// Links of the default bridge, where no resolver answers: another container's address under an alias, as a line of the
// hosts file, and what it exposes and was told, as variables. On other networks links are names that the resolver knows.
// A link to a container that is gone is none.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, fail } from '../../base/errors.ts';
import { attachmentsOf } from './attachments.ts';
import type { Container } from './container.ts';
import type { ContainerConfig, NetworkAttachment } from './contract.ts';
import type { ContainerParts } from './parts.ts';
import { writeRecord } from './record.ts';
import { isAlive } from './state.ts';

interface Link {
  readonly alias: string;
  readonly other: Container;
}

const isBridge = ({ network }: NetworkAttachment): boolean => network === 'bridge' || network === 'default';

/** In the form of extra hosts. What is linked has to run. */
export function linkedHosts(container: Container, parts: ContainerParts): string[] {
  return linksOf(container, parts).map(({ alias, other }) => {
    const address = addressOf(other);
    const own = container.record.name;
    if (address === undefined)
      return fail('conflict', `Cannot link to a non running container: /${other.record.name} AS /${own}/${alias}`);
    return `${namesOf(alias, other)}:${address}`;
  });
}

/** `DB_PORT_80_TCP_ADDR` and the like. What does not run says nothing. */
export function linkVariables(container: Container, parts: ContainerParts): string[] {
  return linksOf(container, parts).flatMap(({ alias, other }) => {
    const address = addressOf(other);
    const name = alias.toUpperCase().replaceAll('-', '_');
    return address === undefined
      ? []
      : [
          ...portVariables(name, address, other.record.config.exposedPorts),
          `${name}_NAME=/${container.record.name}/${alias}`,
          ...ownVariables(name, other.record.config.env),
        ];
  });
}

/** Takes one away: from the record, and at once from the hosts file. The caller holds the lock, and nothing is prepared. */
export async function unlink(container: Container, parts: ContainerParts, alias: string): Promise<void> {
  const { record, folders } = container;
  const links = linksOf(container, parts);
  if (!links.some((link) => link.alias === alias)) fail('not-found', `No such container: ${record.name}/${alias}`);
  const changed = { ...record, config: without(record.config, alias) };
  await writeRecord(folders.directory, changed);
  container.record = changed;
  if (isAlive(container.state)) rewriteHosts(join(folders.runDirectory, 'hosts'), links, alias);
}

/** In place: the file is mounted into the container. What is renamed since stands there by its new name then. */
function rewriteHosts(path: string, links: readonly Link[], gone: string): void {
  const lines = readFileSync(path, 'utf8').split('\n');
  const rewritten = lines.flatMap((line) => {
    const [address = '', names = ''] = line.split('\t');
    const link = links.find(({ alias, other }) => `${names} `.startsWith(`${alias} ${other.id.slice(0, 12)} `));
    if (!link) return [line];
    return link.alias === gone ? [] : [`${address}\t${namesOf(link.alias, link.other)}`];
  });
  writeFileSync(path, rewritten.join('\n'));
}

function without(config: ContainerConfig, alias: string): ContainerConfig {
  const attachments = attachmentsOf(config).map((attachment) =>
    isBridge(attachment)
      ? { ...attachment, links: attachment.links.filter((link) => link.alias !== alias) }
      : attachment,
  );
  return { ...config, attachments };
}

function linksOf({ record: { config } }: Container, parts: ContainerParts): Link[] {
  const links = attachmentsOf(config).find(isBridge)?.links ?? [];
  return links.flatMap(({ to, alias }) => {
    const other = found(to, parts);
    return other ? [{ alias, other }] : [];
  });
}

function found(reference: string, parts: ContainerParts): Container | undefined {
  try {
    return parts.find(reference);
  } catch (error) {
    if (codeOf(error) === 'not-found') return undefined;
    throw error;
  }
}

const addressOf = ({ status }: Container): string | undefined =>
  status.endpoints.find(({ networkName }) => networkName === 'bridge')?.address;

const namesOf = (alias: string, other: Container): string =>
  [...new Set([alias, other.id.slice(0, 12), other.record.name])].join(' ');

function portVariables(name: string, address: string, exposed: readonly string[]): string[] {
  const ports = exposed
    .map((text) => {
      const [port = '', protocol = 'tcp'] = text.split('/');
      return { port: Number(port), protocol };
    })
    .sort((a, b) => a.port - b.port || (a.protocol < b.protocol ? -1 : 1));
  const url = ({ port, protocol }: { port: number; protocol: string }) => `${protocol}://${address}:${port}`;
  const [first] = ports;
  return [
    ...(first ? [`${name}_PORT=${url(first)}`] : []),
    ...ports.flatMap(({ port, protocol }) => {
      const own = `${name}_PORT_${port}_${protocol.toUpperCase()}`;
      return [
        `${own}=${url({ port, protocol })}`,
        `${own}_ADDR=${address}`,
        `${own}_PORT=${port}`,
        `${own}_PROTO=${protocol}`,
      ];
    }),
  ];
}

const NOT_TOLD = /^(HOME|PATH)=/;

const ownVariables = (name: string, env: readonly string[]): string[] =>
  env.filter((entry) => entry.includes('=') && !NOT_TOLD.test(entry)).map((entry) => `${name}_ENV_${entry}`);
