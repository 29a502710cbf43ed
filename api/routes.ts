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

/** What a daemon that just began knows before it has taken over containers and swarm of the last one. */
const KNOWN_AT_ONCE = new Set(['/_ping', '/version', '/containers/json', '/containers/{id}/json']);

export function createRoutes(deps: ApiDeps): Routes {
  const router: Routes = new Router();
  const { runtime, swarm } = deps;
  const ofMachine = after(() => runtime.adopted, router);
  const ofSwarm = after(() => swarm.opened, router);
  addSystemRoutes(ofMachine, deps);
  addInfoRoutes(ofSwarm, deps);
  addEventRoutes(ofMachine, deps);
  addContainerRoutes(ofMachine, deps);
  addContainerStreamRoutes(ofMachine, deps);
  addContainerFileRoutes(ofMachine, deps);
  addExecRoutes(ofMachine, deps);
  addImageRoutes(ofMachine, deps);
  addRegistryRoutes(ofMachine, deps);
  addNetworkRoutes(ofSwarm, deps);
  addVolumeRoutes(ofMachine, deps);
  addSwarmRoutes(ofSwarm, deps);
  addSwarmBackupRoutes(ofSwarm, deps);
  addNodeRoutes(ofSwarm, deps);
  addServiceRoutes(ofSwarm, deps);
  addTaskRoutes(ofSwarm, deps);
  addDashboardRoutes(ofSwarm, deps);
  addAbsentRoutes(ofSwarm, deps);
  return router;
}

/** Routes that wait: a client that comes early gets its answer a moment later, not a wrong one. */
function after(ready: () => Promise<void>, router: Routes): Routes {
  const wrap = (handler: Handler, method: string, pattern: string): Handler => {
    if (method !== 'POST' && KNOWN_AT_ONCE.has(pattern)) return handler;
    return async (request) => {
      await ready();
      return await handler(request);
    };
  };
  return new Router({ router, wrap });
}
