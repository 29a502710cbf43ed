// /nodes: the cluster's machines.
import type { ClusterControl } from '../../proto/control.ts';
import type { ApiRequest } from '../request.ts';
import { tlsInfo } from '../convert/cluster.ts';
import { nodeJson, parseNodeSpec } from '../convert/node.ts';
import type { ApiDeps } from '../deps.ts';
import { parseFilters } from '../filters.ts';
import { empty, json } from '../reply.ts';
import type { Routes } from '../routes.ts';
import type { TlsInfo } from '../types/swarm.ts';

const NODE_FILTERS = ['id', 'label', 'membership', 'name', 'node.label', 'role'];

export function addNodeRoutes(router: Routes, { swarm }: ApiDeps): void {
  router.add('GET', '/nodes', async ({ query, reading, readingHeaders }) => {
    const filters = parseFilters(query.text('filters'), NODE_FILTERS);
    const filter = {
      ids: filters.values('id'),
      names: filters.values('name'),
      labels: filters.values('label'),
      nodeLabels: filters.values('node.label'),
      roles: filters.values('role'),
      memberships: filters.values('membership'),
    };
    const control = swarm.control();
    const [{ nodes, managers }, tls] = await Promise.all([
      control.call('ListNodes', { filter }, reading),
      clusterTls(control, reading),
    ]);
    const managerOf = new Map(managers.map((manager) => [manager.nodeId, manager]));
    return json(
      200,
      nodes.map((node) => nodeJson(node, managerOf.get(node.id), tls)),
      readingHeaders,
    );
  });

  router.add('GET', '/nodes/{id}', async (request) => {
    const { reading, readingHeaders } = request;
    const control = swarm.control();
    const [{ node, manager }, tls] = await Promise.all([
      control.call('GetNode', { node: request.param('id') }, reading),
      clusterTls(control, reading),
    ]);
    return json(200, nodeJson(node, manager, tls), readingHeaders);
  });

  router.add('POST', '/nodes/{id}/update', async (request) => {
    const version = request.query.requiredInteger('version', { min: 0 });
    const spec = parseNodeSpec(await request.json());
    const { abort } = request;
    await swarm.control().call('UpdateNode', { node: request.param('id'), version, spec }, { abort });
    return empty(200);
  });

  router.add('DELETE', '/nodes/{id}', async (request) => {
    const { query, abort } = request;
    await swarm.control().call('RemoveNode', { node: request.param('id'), force: query.flag('force') }, { abort });
    return empty(200);
  });
}

async function clusterTls(control: ClusterControl, reading: ApiRequest['reading']): Promise<TlsInfo> {
  const { cluster } = await control.call('GetCluster', {}, reading);
  return tlsInfo(cluster.rootCertificates);
}
