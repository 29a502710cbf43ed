// All routes of the Engine API: one file per Docker object.
import type { ApiDeps } from './deps.ts';
import type { Reply } from './reply.ts';
import type { ApiRequest } from './request.ts';
import { Router } from './router.ts';
import { addContainerRoutes } from './routes/containers.ts';
import { addContainerFileRoutes } from './routes/container-files.ts';
import { addContainerStreamRoutes } from './routes/container-streams.ts';
import { addEventRoutes } from './routes/events.ts';
import { addExecRoutes } from './routes/exec.ts';
import { addImageRoutes } from './routes/images.ts';
import { addSystemRoutes } from './routes/system.ts';

export type Handler = (request: ApiRequest) => Promise<Reply>;
export type Routes = Router<Handler>;

export function createRoutes(deps: ApiDeps): Routes {
  const router: Routes = new Router();
  addSystemRoutes(router, deps);
  addEventRoutes(router, deps);
  addContainerRoutes(router, deps);
  addContainerStreamRoutes(router, deps);
  addContainerFileRoutes(router);
  addExecRoutes(router, deps);
  addImageRoutes(router, deps);
  return router;
}
