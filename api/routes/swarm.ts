// /swarm: founding, joining and leaving are this node's business; inspect and update are the cluster's.
import { asOneOf } from '../../base/parse.ts';
import { fail } from '../../base/errors.ts';
import { changedClusterSpec, parseSwarmSpec, refuseOtherTicks, swarmJson } from '../convert/cluster.ts';
import { Fields } from '../convert/fields.ts';
import type { ApiDeps, SwarmInitRequest, SwarmJoinRequest } from '../deps.ts';
import { empty, json } from '../reply.ts';
import type { Routes } from '../routes.ts';

export function addSwarmRoutes(router: Routes, { swarm }: ApiDeps): void {
  router.add('GET', '/swarm', async ({ abort }) => {
    const { cluster } = await swarm.control().call('GetCluster', {}, { abort });
    return json(200, swarmJson(cluster));
  });

  router.add('POST', '/swarm/init', async (request) =>
    json(200, await swarm.init(parseInit(new Fields(await request.json())))),
  );

  router.add('POST', '/swarm/join', async (request) => {
    await swarm.join(parseJoin(new Fields(await request.json())));
    return empty(200);
  });

  router.add('POST', '/swarm/leave', async ({ query }) => {
    await swarm.leave({ force: query.flag('force') });
    return empty(200);
  });

  router.add('POST', '/swarm/update', async (request) => {
    const { query, abort } = request;
    const version = query.requiredInteger('version', { min: 0 });
    const asked = new Fields(await request.json());
    const change = parseSwarmSpec(asked);
    const control = swarm.control();
    const { cluster } = await control.call('GetCluster', {}, { abort });
    refuseOtherTicks(asked, cluster.spec.raft);
    const rotation = {
      rotateWorkerToken: query.flag('rotateWorkerToken'),
      rotateManagerToken: query.flag('rotateManagerToken'),
      rotateUnlockKey: query.flag('rotateManagerUnlockKey'),
    };
    const spec = changedClusterSpec(cluster.spec, change);
    await control.call('UpdateCluster', { version, spec, ...rotation }, { abort });
    return empty(200);
  });

  router.add('GET', '/swarm/unlockkey', async ({ abort }) => {
    const { unlockKey } = await swarm.control().call('GetUnlockKey', {}, { abort });
    return json(200, { UnlockKey: unlockKey });
  });
  router.add('POST', '/swarm/unlock', async (request) => {
    await swarm.unlock(new Fields(await request.json()).text('UnlockKey'));
    return empty(200);
  });
}

const AVAILABILITIES = ['active', 'pause', 'drain'] as const;

function parseInit(body: Fields): SwarmInitRequest {
  refuseOtherTicks(body.object('Spec'), undefined);
  return {
    listenAddress: body.text('ListenAddr'),
    advertiseAddress: body.text('AdvertiseAddr'),
    dataPathAddress: body.text('DataPathAddr'),
    dataPathPort: body.integer('DataPathPort', { min: 0, max: 49_151 }),
    defaultAddressPools: body.texts('DefaultAddrPool'),
    subnetSize: body.integer('SubnetSize', { min: 0, max: 29 }),
    forceNewCluster: body.flag('ForceNewCluster'),
    autoLockManagers: body.flag('AutoLockManagers'),
    availability: availabilityOf(body),
    spec: parseSwarmSpec(body.object('Spec')),
  };
}

function parseJoin(body: Fields): SwarmJoinRequest {
  const remoteAddresses = body.texts('RemoteAddrs');
  if (remoteAddresses.length === 0) fail('invalid', 'at least 1 RemoteAddr is required to join');
  const joinToken = body.text('JoinToken');
  if (joinToken === '') fail('invalid', 'a join token is required: see docker swarm join-token on a manager');
  return {
    listenAddress: body.text('ListenAddr'),
    advertiseAddress: body.text('AdvertiseAddr'),
    dataPathAddress: body.text('DataPathAddr'),
    remoteAddresses,
    joinToken,
    availability: availabilityOf(body),
  };
}

const availabilityOf = (body: Fields) =>
  asOneOf(body.text('Availability', 'active') || 'active', 'Availability', AVAILABILITIES);
