// POST /shoal/dashboard/links: a link for whoever already holds the socket. Not part of Docker's API.
import { fail } from '../../base/errors.ts';
import type { ApiDeps } from '../deps.ts';
import { json } from '../reply.ts';
import type { Routes } from '../routes.ts';

export function addDashboardRoutes(router: Routes, { dashboard }: ApiDeps): void {
  router.add('POST', '/shoal/dashboard/links', async () => {
    const links = dashboard ?? fail('unavailable', 'no dashboard listens: start shoald with --dashboard address:port');
    return json(201, { URL: links.createLink() });
  });
}
