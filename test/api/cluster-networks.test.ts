import { strict as assert } from 'node:assert';
import { clusterNetworkJson, parseClusterNetwork } from '../../api/convert/network.ts';
import type { Network } from '../../proto/objects.ts';
import { aNetwork } from '../support/objects.ts';
import { FakeCluster } from './support/fake-cluster.ts';
import { ApiFixture } from './support/fixture.ts';

describe('the way to published ports of services', () => {
  let api: ApiFixture;
  beforeEach(async () => {
    api = await ApiFixture.start();
    api.runtime.networks.ingressReport = {
      nodes: [
        { address: '192.0.2.2', port: 4789, keepsClient: true, takesSix: true, reasons: [] },
        {
          address: '192.0.2.3',
          port: 4789,
          keepsClient: false,
          takesSix: false,
          reasons: ['node 192.0.2.3 does not answer'],
        },
      ],
      ports: [
        {
          protocol: 'tcp',
          publishedPort: 8080,
          local: [{ taskId: 't', address: '172.17.0.4', port: 80 }],
          remote: [{ address: '192.0.2.2', port: 8080 }],
        },
      ],
    };
  });
  afterEach(() => api[Symbol.asyncDispose]());

  it('is shown as network ingress where the node is in a swarm, and is no network otherwise', async () => {
    assert.equal((await api.call('GET', '/networks/ingress')).status, 404);
    assert.equal((await api.call('DELETE', '/networks/ingress')).status, 404);
    new FakeCluster(api.swarm); // puts the node into one
    const shown = (await api.call('GET', '/networks/ingress?verbose=true')).json<Record<string, unknown>>();
    assert.equal(shown['Ingress'], true);
    assert.deepEqual(shown['RoutingMesh'], {
      ClientAddresses: 'kept',
      Nodes: [
        { IP: '192.0.2.2', IPv4Clients: 'kept', IPv6: 'carried', Reasons: [] },
        { IP: '192.0.2.3', IPv4Clients: 'hidden', IPv6: 'not carried', Reasons: ['node 192.0.2.3 does not answer'] },
      ],
      Ports: [{ Port: '8080/tcp', Tasks: ['172.17.0.4:80'], Nodes: ['192.0.2.2:8080'] }],
    });
    const removal = await api.call('DELETE', '/networks/ingress');
    assert.equal(removal.status, 403);
    assert.match(removal.text, /can not be removed/);
    assert.doesNotMatch((await api.call('GET', '/networks')).text, /ingress/);
  });

  it('hides clients for a reason that docker info warns of', async () => {
    const warnings = async () => (await api.call('GET', '/info')).json<{ Warnings: string[] | null }>().Warnings;
    assert.equal(await warnings(), null);
    api.runtime.networks.ingressReport = { hidden: 'net.ipv4.conf.all.rp_filter is 1', nodes: [], ports: [] };
    assert.match(
      (await warnings())?.join() ?? '',
      /do not see their clients' addresses .*: net\.ipv4\.conf\.all\.rp_filter is 1/,
    );
  });
});

describe('a network of the cluster', () => {
  it('is asked for with several subnets, ranges and addresses of others, and shown with them', () => {
    const config = [
      { Subnet: '10.7.0.0/24', IPRange: '10.7.0.128/25', AuxiliaryAddresses: { router: '10.7.0.2' } },
      { Subnet: '10.8.0.0/24', Gateway: '10.8.0.9' },
    ];
    const spec = parseClusterNetwork({ Name: 'back', Driver: 'overlay', IPAM: { Driver: 'default', Config: config } });
    assert.deepEqual(spec, {
      name: 'back',
      driver: 'overlay',
      labels: {},
      options: {},
      internal: false,
      attachable: false,
      subnet: '10.7.0.0/24',
      range: '10.7.0.128/25',
      auxiliary: { router: '10.7.0.2' },
      further: [{ subnet: '10.8.0.0/24', gateway: '10.8.0.9' }],
    });
    const settled = {
      subnet: '10.7.0.0/24',
      gateway: '10.7.0.1',
      further: [{ subnet: '10.8.0.0/24', gateway: '10.8.0.9' }],
    };
    const network: Network = { ...aNetwork({ spec, ...settled }), version: 1, createdAtMs: 0, updatedAtMs: 0 };
    assert.deepEqual(clusterNetworkJson(network).IPAM.Config, [
      { ...config[0], Gateway: '10.7.0.1' },
      { Subnet: '10.8.0.0/24', Gateway: '10.8.0.9' },
    ]);
  });

  it('is asked for with several IPv6 subnets, and shown with their gateways', () => {
    const subnets = ['10.7.0.0/24', 'fd00:7::/64', '10.8.0.0/24', 'fd00:8::/64'].map((Subnet) => ({ Subnet }));
    const asked = { Name: 'back', Driver: 'overlay', IPAM: { Driver: 'default', Config: subnets } };
    assert.equal(parseClusterNetwork(asked).subnet6, undefined, 'IPv6 was not asked for');
    const spec = parseClusterNetwork({ ...asked, EnableIPv6: true });
    assert.deepEqual([spec.subnet6, spec.further6], ['fd00:7::/64', ['fd00:8::/64']]);
    const further = [{ subnet: '10.8.0.0/24', gateway: '10.8.0.9' }];
    const settled = { subnet: '10.7.0.0/24', gateway: '10.7.0.1', further };
    const sixes = { subnet6: 'fd00:7::/64', further6: ['fd00:8::/64'] };
    const network: Network = {
      ...aNetwork({ spec, ...settled, ...sixes }),
      version: 1,
      createdAtMs: 0,
      updatedAtMs: 0,
    };
    assert.deepEqual(clusterNetworkJson(network).IPAM.Config?.slice(2), [
      { Subnet: 'fd00:7::/64', Gateway: 'fd00:7::1' },
      { Subnet: 'fd00:8::/64', Gateway: 'fd00:8::9' },
    ]);
  });

  it('is asked for without a subnet, and with a gateway alone', () => {
    const ask = (config: object[]) => parseClusterNetwork({ Name: 'n', Driver: 'overlay', IPAM: { Config: config } });
    assert.equal(ask([]).subnet, undefined);
    assert.equal(ask([{ Gateway: '10.0.7.9' }]).gateway, '10.0.7.9');
  });
});
