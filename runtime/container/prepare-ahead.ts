// A new container is prepared while its record is written and its creation answered: most are started at once, and the
// kernel's slow steps then overlap with the client's next requests. What is not started soon is taken down again, unseen.
// `ahead` changes under the container's lock only, so it is either used or taken down.
import { attachmentsOf } from './attachments.ts';
import type { Container } from './container.ts';
import { OWN_RUNTIME } from './oci-runtimes.ts';
import type { ContainerParts } from './parts.ts';
import { type Prepared, prepare } from './prepare.ts';
import { raceAbort } from './race.ts';
import { needsVolumeMounts } from './volume-mounts.ts';

const ALWAYS_THERE = ['bridge', 'none', 'host', 'default'];
const KEPT_MS = 2_000;

export interface Ahead {
  readonly prepared: Promise<Prepared | undefined>; // undefined: it failed, and start will say why
  /** It is somebody's: nobody need wait to take it down any more. */
  readonly taken: () => void;
}

/** Its places in networks are made at once, all else when `onDisk` says that its folders are there. */
export function prepareAhead(container: Container, parts: ContainerParts, onDisk: Promise<void>): void {
  if (!parts.preparesAhead || !isPlain(container) || needsVolumeMounts(container, parts)) return;
  let taken: () => void = () => undefined;
  const over = new Promise<void>((resolve) => {
    taken = resolve;
  });
  const ahead: Ahead = { prepared: attempt(container, parts, onDisk), taken };
  container.ahead = ahead;
  parts.background.run(`prepare ${container.id.slice(0, 12)}`, async (abort) => {
    using _ = parts.clock.after(KEPT_MS, taken);
    await raceAbort(over, abort);
    if (container.ahead === ahead) await container.lock.run(() => discardIf(container, ahead));
  });
}

async function discardIf(container: Container, ahead: Ahead): Promise<void> {
  if (container.ahead === ahead) await discardAhead(container);
}

/** Only what nobody else can miss meanwhile: no published ports, no network that could be removed, no other container. */
function isPlain({ record: { config } }: Container): boolean {
  const isShared = [config.pidMode, config.ipcMode].some((mode) => mode.startsWith('container:'));
  const attachments = attachmentsOf(config);
  const isOwnNetwork = attachments.every(
    ({ network, links, address }) => ALWAYS_THERE.includes(network) && links.length === 0 && address === '',
  );
  const isOurs = ['', OWN_RUNTIME].includes(config.runtime ?? '');
  return (
    attachments.length > 0 && isOwnNetwork && !isShared && isOurs && config.publish.length === 0 && !config.publishAll
  );
}

async function attempt(
  container: Container,
  parts: ContainerParts,
  onDisk: Promise<void>,
): Promise<Prepared | undefined> {
  try {
    return await prepare(container, parts, onDisk);
  } catch (error) {
    parts.log.debug('preparing ahead failed', { containerId: container.id, error });
    return undefined;
  }
}

/** What was prepared becomes the caller's. The caller holds the lock. */
export async function takeAhead(container: Container): Promise<Prepared | undefined> {
  const { ahead } = container;
  container.ahead = undefined;
  ahead?.taken();
  return ahead?.prepared;
}

/** The caller holds the lock. */
export async function discardAhead(container: Container): Promise<void> {
  const prepared = await takeAhead(container);
  await prepared?.undo[Symbol.asyncDispose]();
}
