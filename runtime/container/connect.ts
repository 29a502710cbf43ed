// Putting a container into a further network and taking it out of one: in its record, and at once where it runs.
import { Scope } from '../../base/scope.ts';
import { sharesNetwork, withAttachment, withoutAttachment } from './attachments.ts';
import type { Container } from './container.ts';
import type { ContainerConfig, NetworkAttachment } from './contract.ts';
import { admit, knownNetwork, publishPlace, requestOf, rewriteFiles } from './network-places.ts';
import type { ContainerParts } from './parts.ts';
import { discardAhead } from './prepare-ahead.ts';
import { writeRecord } from './record.ts';
import { isAlive } from './state.ts';

/** The caller holds the lock. */
export async function connect(container: Container, parts: ContainerParts, added: NetworkAttachment): Promise<void> {
  const config = withAttachment(container.record.config, added, nameOf(parts));
  await discardAhead(container);
  if (!isAlive(container.state)) return await keep(container, config);
  await using undo = new Scope();
  const { sandboxPath } = container.status;
  const request = { ...requestOf(container, await admit(container, parts, added, undo), ''), publish: [] };
  const none = container.status.endpoints.find(({ networkName }) => networkName === 'none');
  if (none) await parts.networks.leave(none, { keepSandbox: true });
  const endpoint = await parts.networks.join({ ...request, sandboxPath });
  undo.handOver();
  await keep(container, config);
  container.change({ endpoints: [...container.status.endpoints.filter((each) => each !== none), endpoint] });
  await container.save();
  await rewriteFiles(container, parts, [], [endpoint]);
  publishPlace(parts, container, endpoint, 'connect');
}

/** The caller holds the lock. */
export async function disconnect(container: Container, parts: ContainerParts, network: string): Promise<void> {
  const config = withoutAttachment(container.record.config, network, nameOf(parts), container.id);
  await discardAhead(container);
  await keep(container, config);
  const { id } = parts.networks.get(network);
  const gone = container.status.endpoints.find(({ networkId }) => networkId === id);
  if (!gone) return;
  container.change({ endpoints: container.status.endpoints.filter((endpoint) => endpoint !== gone) });
  await container.save();
  await parts.networks.leave(gone, { keepSandbox: true });
  await rewriteFiles(container, parts, [gone], []);
  publishPlace(parts, container, gone, 'disconnect');
}

const nameOf =
  (parts: ContainerParts) =>
  (reference: string): string =>
    sharesNetwork(reference) ? reference : (knownNetwork(parts.networks, reference)?.name ?? known(reference, parts));

/** A network of the cluster may not be known here yet. */
function known(reference: string, { networks }: ContainerParts): string {
  return networks.guests ? reference : networks.get(reference).name;
}

async function keep(container: Container, config: ContainerConfig): Promise<void> {
  const record = { ...container.record, config };
  await writeRecord(container.folders.directory, record);
  container.record = record;
}
