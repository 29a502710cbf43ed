import assert from 'node:assert/strict';
import { overlayState } from '../../agent/container/network-state.ts';
import type { EndpointEntry, NetworkServiceEntry } from '../../proto/assignment.ts';

const network = {
  networkId: 'net',
  name: 'back',
  subnet: '10.0.1.0/24',
  gateway: '10.0.1.1',
  vni: 5000,
  internal: false,
  options: {},
};
const service = (more: Partial<NetworkServiceEntry> = {}): NetworkServiceEntry => ({
  networkId: 'net',
  serviceId: 'web',
  name: 's_web',
  aliases: ['web'],
  virtualAddress: '10.0.1.2',
  ...more,
});
const endpoint = (number: number, more: Partial<EndpointEntry> = {}): EndpointEntry => ({
  networkId: 'net',
  taskId: `t${number}`,
  serviceId: 'web',
  address: `10.0.1.${number}`,
  nodeId: 'here',
  nodeAddress: '192.0.2.1',
  nodePort: 0,
  ready: true,
  lost: false,
  name: `s_web.${number}.t${number}`,
  ...more,
});
const there = { nodeId: 'there', nodeAddress: '192.0.2.2', nodePort: 4790 };
const picture = (services: NetworkServiceEntry[], endpoints: EndpointEntry[]) =>
  overlayState({ nodeId: 'here', network, services, endpoints });
const answers = (state: ReturnType<typeof picture>) =>
  Object.fromEntries(state.names.map(({ name, addresses }) => [name, addresses.join()]));

describe('what the managers say of a network', () => {
  it('says which services keep their clients', () => {
    const [kept] = picture([service({ affinity: 'client-address' })], [endpoint(3)]).services;
    assert.deepEqual(kept, { virtualAddress: '10.0.1.2', targets: ['10.0.1.3'], affinity: 'client-address' });
  });

  it('puts who is ready behind the virtual address, and everybody where they are', () => {
    const state = picture(
      [service()],
      [endpoint(3), endpoint(4, there), endpoint(5, { ready: false, lost: true, ...there })],
    );
    assert.deepEqual(state.services, [{ virtualAddress: '10.0.1.2', targets: ['10.0.1.3', '10.0.1.4'] }]);
    const node = { id: 'there', address: '192.0.2.2', port: 4790 };
    assert.deepEqual(state.endpoints, [
      { address: '10.0.1.3', lost: false },
      { address: '10.0.1.4', lost: false, node },
      { address: '10.0.1.5', lost: true, node },
    ]);
  });

  it('says of another node by which means it can encrypt, if that was told', () => {
    const nodes = picture([], [endpoint(3), endpoint(4, { ...there, nodeMeans: [] }), endpoint(5, there)]).endpoints;
    assert.deepEqual(
      nodes.map(({ node }) => node?.means),
      [undefined, [], undefined],
    );
  });

  it('says of nodes in which life their kernels are, and of this one what the others were told', () => {
    const encryption = { keys: [{ id: 1, secret: 'ab'.repeat(32) }], sendId: 1 };
    const life = 'cd'.repeat(16);
    const told = [
      endpoint(3, { nodeMeans: ['esp', 'tunnel'], nodeLife: life }),
      endpoint(4, { ...there, nodeLife: life }),
    ];
    const stateOf = (endpoints: EndpointEntry[]) =>
      overlayState({ nodeId: 'here', network: { ...network, encryption }, services: [], endpoints });
    const state = stateOf(told);
    assert.equal(state.endpoints[1]?.node?.life, life);
    const heard = stateOf([endpoint(3, { nodeWireguardPort: 7 }), endpoint(4, { ...there, nodeWireguardPort: 8 })]);
    assert.deepEqual([heard.encryption?.self?.wireguardPort, heard.endpoints[1]?.node?.wireguardPort], [7, 8]);
    const self = { id: 'here', address: '192.0.2.1', port: 4789, means: ['esp', 'tunnel'], life };
    assert.deepEqual(state.encryption, { nodeId: 'here', ...encryption, self });
    assert.equal(stateOf(told.slice(1)).encryption?.self, undefined);
  });

  it('names the virtual address, the tasks, and single tasks elsewhere', () => {
    const state = picture([service()], [endpoint(3), endpoint(4, there)]);
    assert.deepEqual(answers(state), {
      s_web: '10.0.1.2',
      web: '10.0.1.2',
      'tasks.s_web': '10.0.1.3,10.0.1.4',
      'tasks.web': '10.0.1.3,10.0.1.4',
      's_web.4.t4': '10.0.1.4',
    });
  });

  it('names the tasks themselves for a service without a virtual address, and nobody while none is ready', () => {
    const { virtualAddress: _, ...plain } = service();
    assert.equal(answers(picture([plain], [endpoint(3), endpoint(4)]))['web'], '10.0.1.3,10.0.1.4');
    assert.equal(answers(picture([plain], [endpoint(3, { ready: false })]))['web'], undefined);
  });

  it('lets an alias of two services mean both', () => {
    const other = service({ serviceId: 'api', name: 's_api', aliases: ['WEB'], virtualAddress: '10.0.1.9' });
    assert.equal(answers(picture([service(), other], [endpoint(3)]))['web'], '10.0.1.2,10.0.1.9');
  });
});
