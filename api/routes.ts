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
import { addSystemRoutes } from './routes/system.ts';
import { addTaskRoutes } from './routes/tasks.ts';
import { addVolumeRoutes } from './routes/volumes.ts';

export type Handler = (request: ApiRequest) => Promise<Reply>;
export type Routes = Router<Handler>;

export function createRoutes(deps: ApiDeps): Routes {
  const router: Routes = new Router();
  addSystemRoutes(router, deps);
  addEventRoutes(router, deps);
  addContainerRoutes(router, deps);
  addContainerStreamRoutes(router, deps);
  addContainerFileRoutes(router, deps);
  addExecRoutes(router, deps);
  addImageRoutes(router, deps);
  addRegistryRoutes(router, deps);
  addNetworkRoutes(router, deps);
  addVolumeRoutes(router, deps);
  addSwarmRoutes(router, deps);
  addSwarmBackupRoutes(router, deps);
  addNodeRoutes(router, deps);
  addServiceRoutes(router, deps);
  addTaskRoutes(router, deps);
  addDashboardRoutes(router, deps);
  addAbsentRoutes(router, deps);
  return router;
}
