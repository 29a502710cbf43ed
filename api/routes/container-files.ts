// Files of containers: cp, diff, export, commit. The runtime offers none of these yet.
import { notImplemented } from '../faults.ts';
import type { Routes } from '../routes.ts';

export function addContainerFileRoutes(router: Routes): void {
  const missing = (method: string, path: string, what: string): void =>
    router.add(method, path, async () => {
      throw notImplemented(what);
    });
  missing('GET', '/containers/{id}/changes', 'listing the changed files of a container');
  missing('GET', '/containers/{id}/export', 'exporting the file system of a container');
  missing('HEAD', '/containers/{id}/archive', 'copying files from a container');
  missing('GET', '/containers/{id}/archive', 'copying files from a container');
  missing('PUT', '/containers/{id}/archive', 'copying files into a container');
  missing('POST', '/commit', 'making an image from a container');
}
