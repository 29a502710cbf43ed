// All routes of the Engine API: one file per Docker object.
import type { ApiDeps } from './deps.ts';
import type { Reply } from './reply.ts';
import type { ApiRequest } from './request.ts';
import { Router } from './router.ts';
import { addAbsentRoutes } from './routes/absent.ts';
import { addContainerRoutes } from './routes/containers.ts';
import { addContainerFileRoutes } from './routes/container-files.ts';
import { addContainerStreamRoutes } from './routes/container-streams.ts';
import { addDashboardRoutes } from './routes/dashboard.ts';
import { addEventRoutes } from './routes/events.ts';
import { addExecRoutes } from './routes/exec.ts';
import { addImageRoutes } from './routes/images.ts';
import { addNetworkRoutes } from './routes/networks.ts';
import { addNodeRoutes } from './routes/nodes.ts';
import { addRegistryRoutes } from './routes/registry.ts';
import { addServiceRoutes } from './routes/services.ts';
import { addSwarmRoutes } from './routes/swarm.ts';
import { addSwarmBackupRoutes } from './routes/swarm-backup.ts';
import { addInfoRoutes, addSystemRoutes } from './routes/system.ts';
import { addTaskRoutes } from './routes/tasks.ts';
import { addVolumeRoutes } from './routes/volumes.ts';

export type Handler = (request: ApiRequest) => Promise<Reply>;
export type Routes = Router<Handler>;

export function createRoutes(deps: ApiDeps): Routes {
  const router: Routes = new Router();
  const ofSwarm = afterSwarm(router, deps);
  addSystemRoutes(router, deps);
  addInfoRoutes(ofSwarm, deps);
  addEventRoutes(router, deps);
  addContainerRoutes(router, deps);
  addContainerStreamRoutes(router, deps);
  addContainerFileRoutes(router, deps);
  addExecRoutes(router, deps);
  addImageRoutes(router, deps);
  addRegistryRoutes(router, deps);
  addNetworkRoutes(ofSwarm, deps);
  addVolumeRoutes(router, deps);
  addSwarmRoutes(ofSwarm, deps);
  addSwarmBackupRoutes(ofSwarm, deps);
  addNodeRoutes(ofSwarm, deps);
  addServiceRoutes(ofSwarm, deps);
  addTaskRoutes(ofSwarm, deps);
  addDashboardRoutes(ofSwarm, deps);
  addAbsentRoutes(ofSwarm, deps);
  return router;
}

/** For what asks the swarm: a daemon that just began answers of its containers earlier than of its swarm. */
function afterSwarm(router: Routes, { swarm }: ApiDeps): Routes {
  const wrap =
    (handler: Handler): Handler =>
    async (request) => {
      await swarm.opened;
      return await handler(request);
    };
  return new Router({ router, wrap });
}
