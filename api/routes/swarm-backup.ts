// /shoal/swarm: backup and restore of a cluster. Not part of Docker's API.
import type { ApiDeps } from '../deps.ts';
import { json, stream } from '../reply.ts';
import { readAll } from '../request.ts';
import type { Routes } from '../routes.ts';

const BACKUP_BYTES_MAX = 1024 * 1024 * 1024;

export function addSwarmBackupRoutes(router: Routes, { swarm }: ApiDeps): void {
  router.add('GET', '/shoal/swarm/backup', async ({ abort }) =>
    stream('application/octet-stream', swarm.backup(abort)),
  );

  // The key travels in a header: addresses end up in logs.
  router.add('POST', '/shoal/swarm/restore', async (request) => {
    const addresses = {
      listenAddress: request.query.text('listenAddr'),
      advertiseAddress: request.query.text('advertiseAddr'),
    };
    const file = await readAll(request.body, BACKUP_BYTES_MAX);
    return json(200, await swarm.restore({ ...addresses, unlockKey: request.header('x-shoal-unlock-key') }, file));
  });
}
