import assert from 'node:assert/strict';
import { type NetworkChange, Networks } from '../../agent/networks.ts';
import { CodedError } from '../../base/errors.ts';
import { silentLog } from '../../base/log.ts';
import { ManualClock } from '../../base/manual-clock.ts';
import { encodeJson } from '../../proto/assignment.ts';
import type { Task } from '../../proto/objects.ts';
import { FakeExecutor } from '../support/fake-executor.ts';
import { aTask } from '../support/objects.ts';
import { until } from '../support/until.ts';

const NETWORK = {
  networkId: 'net',
  name: 'back',
  subnet: '10.0.1.0/24',
  gateway: '10.0.1.1',
  vni: 5,
  internal: false,
  attachable: false,
  options: {},
};
const ENDPOINT = {
  networkId: 'net',
  taskId: 'a',
  serviceId: 's',
  address: '10.0.1.3',
  nodeId: 'n',
  nodeAddress: '192.0.2.1',
  nodePort: 0,
  ready: true,
  lost: false,
  name: 'web.1.a',
};

const change = (kind: NetworkChange['kind'], id: string, body?: object): NetworkChange => ({
  kind,
  id,
  body: body && encodeJson(body),
});

function setUp() {
  const executor = new FakeExecutor();
  const clock = new ManualClock();
  const awaited: number[] = [];
  const suspected = new Set<string>();
  const networks = new Networks({
    executor,
    clock,
    nodeId: 'n',
    isSuspected: (address) => suspected.has(address),
    log: silentLog,
    awaitOthers: async (index) => {
      awaited.push(index);
      return true;
    },
  });
  return { executor, clock, networks, awaited, suspected };
}

describe('networks on an agent', () => {
  it('send nobody to a node that is not reached while a service has other tasks, and there again once it is', async () => {
    const { executor, networks, suspected } = setUp();
    const on = (task: string, serviceId: string, nodeId: string, nodeAddress: string) => ({
      ...ENDPOINT,
      ...{ taskId: task, serviceId, nodeId, nodeAddress },
    });
    const all = [on('a', 's', 'n', '192.0.2.1'), on('b', 's', 'm', '192.0.2.2'), on('c', 'alone', 'm', '192.0.2.2')];
    networks.assign(7, false, [
      change('network', 'net', NETWORK),
      ...all.map((each) => change('endpoint', `net/${each.taskId}`, each)),
    ]);
    assert.deepEqual(
      [...networks.nodes()],
      [
        ['192.0.2.2', 0],
        ['192.0.2.2', 0],
      ],
    );
    const ready = async (): Promise<string[]> => {
      await networks.settled();
      const { endpoints = [] } = executor.networks.get('net')?.picture ?? {};
      return endpoints.flatMap((each) => (each.ready ? [each.taskId] : []));
    };
    assert.deepEqual(await ready(), ['a', 'b', 'c']);
    suspected.add('192.0.2.1').add('192.0.2.2'); // its own address means nothing
    networks.review(new Set(['192.0.2.2']));
    assert.deepEqual(await ready(), ['a', 'c']);
    suspected.clear();
    networks.review(new Set(['192.0.2.2']));
    assert.deepEqual(await ready(), ['a', 'b', 'c']);
  });

  it('are handed on whole, with the index that they are true for', async () => {
    const { executor, networks } = setUp();
    networks.assign(7, false, [change('network', 'net', NETWORK), change('endpoint', 'net/a', ENDPOINT)]);
    await networks.settled();
    assert.equal(executor.networks.get('net')?.index, 7);
    assert.deepEqual(executor.networks.get('net')?.picture.endpoints, [ENDPOINT]);
    networks.assign(9, false, [change('endpoint', 'net/a')]);
    await networks.settled();
    assert.deepEqual(executor.networks.get('net'), {
      index: 9,
      picture: { nodeId: 'n', network: NETWORK, services: [], endpoints: [] },
    });
  });

  it('go when they are told to, or are in a full set no more, also of an earlier life', async () => {
    const { executor, networks } = setUp();
    await executor.applyNetwork(1, {
      nodeId: 'n',
      network: { ...NETWORK, networkId: 'old' },
      services: [],
      endpoints: [],
    });
    networks.assign(7, true, [change('network', 'net', NETWORK)]);
    await networks.settled();
    assert.deepEqual(executor.heldNetworks(), ['net']);
    networks.assign(8, false, [change('network', 'net')]);
    await networks.settled();
    assert.deepEqual(executor.heldNetworks(), []);
  });

  it('are tried again where the last container was still there', async () => {
    const { executor, networks, clock } = setUp();
    networks.assign(7, false, [change('network', 'net', NETWORK)]);
    await networks.settled();
    const drop = executor.dropNetwork.bind(executor);
    executor.dropNetwork = () => Promise.reject(new CodedError('conflict', 'still used'));
    networks.assign(8, false, [change('network', 'net')]);
    await networks.settled();
    assert.deepEqual(executor.heldNetworks(), ['net']);
    executor.dropNetwork = drop;
    clock.advance(500);
    await until('it is gone', () => executor.heldNetworks().length === 0);
  });

  it('let a task go once every other node knows', async () => {
    const { networks, awaited } = setUp();
    const task = {
      ...aTask(),
      version: 42,
      attachments: [{ networkId: 'net', address: '10.0.1.3' }],
    } as unknown as Task;
    await networks.leave(task, 'ended');
    await networks.leave({ ...task, attachments: [] }, 'stop');
    assert.deepEqual(awaited, []);
    await networks.leave(task, 'stop');
    assert.deepEqual(awaited, [42]);
  });
});
