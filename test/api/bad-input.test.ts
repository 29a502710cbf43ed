import assert from 'node:assert/strict';
import { FakeCluster } from './support/fake-cluster.ts';
import { ApiFixture } from './support/fixture.ts';

const container = (change: Record<string, unknown>) => ({ Image: 'busybox', ...change });
const host = (change: Record<string, unknown>) => container({ HostConfig: change });

const CONTAINERS: readonly (readonly [name: string, body: unknown, status: number, words: RegExp])[] = [
  ['nothing', '', 400, /EOF/],
  ['malformed JSON', '{"Image":', 400, /^body is not valid JSON/],
  ['a list', '[]', 400, /^body must be an object/],
  ['no image', { Cmd: ['true'] }, 400, /Image must not be empty/],
  ['nothing at all', {}, 400, /Config cannot be empty/],
  ['a number for the image', { Image: 3 }, 400, /^Image must be a string/],
  ['a number in the environment', container({ Env: ['A=1', 2] }), 400, /^Env\[1\] must be a string/],
  ['an environment entry without a name', container({ Env: ['=x'] }), 400, /invalid environment variable: =x/],
  ['an object for the command', container({ Cmd: {} }), 400, /^Cmd must be a list/],
  ['a text for a flag', container({ Tty: 'yes' }), 400, /^Tty must be true or false/],
  ['a label that is no text', container({ Labels: { a: 1 } }), 400, /^Labels\.a must be a string/],
  ['a relative working directory', container({ WorkingDir: 'tmp' }), 400, /needs to be an absolute path/],
  ['a port that is none', container({ ExposedPorts: { 'x/tcp': {} } }), 400, /invalid port specification/],
  ['a host port beyond the range', host({ PortBindings: { '80/tcp': [{ HostPort: '70000' }] } }), 400, /invalid port/],
  [
    'a number for the host port',
    host({ PortBindings: { '80/tcp': [{ HostPort: 80 }] } }),
    400,
    /HostPort must be a string/,
  ],
  ['a list for HostConfig', container({ HostConfig: [] }), 400, /^HostConfig must be an object/],
  ['negative memory', host({ Memory: -1 }), 400, /^HostConfig\.Memory must be at least 0/],
  ['too little memory', host({ Memory: 1000 }), 400, /Minimum memory limit allowed is 6MB/],
  ['swap without memory', host({ MemorySwap: 100_000_000 }), 400, /always set the Memory limit/],
  ['two ways to limit the processor', host({ NanoCpus: 1e9, CpuQuota: 50_000 }), 400, /Conflicting options/],
  [
    'an unknown restart policy',
    host({ RestartPolicy: { Name: 'often' } }),
    400,
    /invalid restart policy: unknown policy 'often'/,
  ],
  [
    'auto-remove with restart',
    host({ AutoRemove: true, RestartPolicy: { Name: 'always' } }),
    400,
    /can't create 'AutoRemove'/,
  ],
  ['a relative bind target', host({ Binds: ['/a:b'] }), 400, /mount path must be absolute/],
  ['two mounts on one path', host({ Binds: ['/a:/x', '/b:/x'] }), 400, /Duplicate mount point: \/x/],
  ['a mount without a target', host({ Mounts: [{ Type: 'bind', Source: '/a' }] }), 400, /Target must not be empty/],
  [
    'a mount of an unknown type',
    host({ Mounts: [{ Type: 'disk', Target: '/a' }] }),
    400,
    /Mounts\[0\]\.Type must be one of/,
  ],
  ['an unknown log driver', host({ LogConfig: { Type: 'pigeon' } }), 400, /no log driver named 'pigeon'/],
  ['a soft limit above the hard', host({ Ulimits: [{ Name: 'nofile', Soft: 9, Hard: 1 }] }), 400, /soft limit/],
  ['a wrong extra host', host({ ExtraHosts: ['nohost'] }), 400, /bad format for add-host/],
  ['an unknown health test', container({ Healthcheck: { Test: ['TRY'] } }), 400, /unknown health check type/],
  ['a wrong MAC address', container({ MacAddress: 'zz' }), 400, /invalid MAC address/],
  ['links to nothing', host({ Links: [':b'] }), 400, /^bad format for links: :b/],
  [
    'a part of a volume that leads out of it',
    host({ Mounts: [{ Type: 'volume', Target: '/x', VolumeOptions: { Subpath: '../y' } }] }),
    400,
    /subpath must be a relative path/,
  ],
  ['an unknown volume driver', host({ VolumeDriver: 'cloud' }), 404, /plugin "cloud" not found/],
  ['GPUs', host({ DeviceRequests: [{ Count: -1 }] }), 501, /DeviceRequests: .* not implemented/],
  [
    'an address that is none',
    { Image: 'busybox', NetworkingConfig: { EndpointsConfig: { red: { IPAMConfig: { IPv4Address: '1.2.3' } } } } },
    400,
    /^invalid IPv4 address: 1\.2\.3/,
  ],
];

const task = (change: Record<string, unknown>) => ({
  Name: 'web',
  TaskTemplate: { ContainerSpec: { Image: 'busybox', ...change } },
});
const service = (change: Record<string, unknown>) => ({ ...task({}), ...change });

const SERVICES: readonly (readonly [name: string, body: unknown, status: number, words: RegExp])[] = [
  ['malformed JSON', '{"Name":', 400, /^body is not valid JSON/],
  ['no task', { Name: 'web' }, 400, /TaskTemplate must be provided/],
  ['no container', { Name: 'web', TaskTemplate: {} }, 400, /ContainerSpec must be provided/],
  ['a number for the name', service({ Name: 4 }), 400, /^Name must be a string/],
  [
    'a text for replicas',
    service({ Mode: { Replicated: { Replicas: 'two' } } }),
    400,
    /Mode\.Replicated\.Replicas must be a number/,
  ],
  ['half a replica', service({ Mode: { Replicated: { Replicas: 1.5 } } }), 400, /Replicas must be a whole number/],
  ['two modes', service({ Mode: { Replicated: {}, Global: {} } }), 400, /only one service mode/],
  [
    'an unknown failure action',
    service({ UpdateConfig: { FailureAction: 'panic' } }),
    400,
    /UpdateConfig\.FailureAction must be one of/,
  ],
  ['an unknown order', service({ UpdateConfig: { Order: 'last' } }), 400, /UpdateConfig\.Order must be one of/],
  ['an unknown endpoint mode', service({ EndpointSpec: { Mode: 'dns' } }), 400, /EndpointSpec\.Mode must be one of/],
  [
    'an unknown protocol',
    service({ EndpointSpec: { Ports: [{ Protocol: 'icmp', TargetPort: 1 }] } }),
    400,
    /Ports\[0\]\.Protocol/,
  ],
  [
    'a text for a port',
    service({ EndpointSpec: { Ports: [{ TargetPort: '80' }] } }),
    400,
    /Ports\[0\]\.TargetPort must be a number/,
  ],
  [
    'a wrong restart condition',
    service({ TaskTemplate: { ContainerSpec: { Image: 'x' }, RestartPolicy: { Condition: 'maybe' } } }),
    400,
    /RestartPolicy\.Condition/,
  ],
  ['a mount of an unknown type', task({ Mounts: [{ Type: 'disk' }] }), 400, /Mounts\[0\]\.Type/],
  ['jobs', service({ Mode: { ReplicatedJob: {} } }), 501, /^Mode\.ReplicatedJob: jobs are not implemented yet/],
  ['secrets', task({ Secrets: [{ SecretID: 'x' }] }), 501, /Secrets: secrets are not implemented yet/],
  ['configs', task({ Configs: [{ ConfigID: 'x' }] }), 501, /Configs: configs are not implemented yet/],
  ['a credential spec', task({ Privileges: { CredentialSpec: { File: 'x' } } }), 501, /CredentialSpec/],
  ['a plugin', service({ TaskTemplate: { ContainerSpec: { Image: 'x' }, Runtime: 'plugin' } }), 501, /runtime plugin/],
];

describe('bad input', () => {
  let api: ApiFixture;
  beforeEach(async () => {
    api = await ApiFixture.start();
  });
  afterEach(() => api[Symbol.asyncDispose]());

  for (const [name, body, status, words] of CONTAINERS) {
    it(`refuses a container with ${name}, and creates nothing`, async () => {
      const answer = await api.call('POST', '/containers/create', body);
      assert.equal(answer.status, status, answer.text);
      assert.match(answer.json<{ message: string }>().message, words);
      assert.deepEqual(api.runtime.containers.calls, []);
    });
  }

  for (const [name, body, status, words] of SERVICES) {
    it(`refuses a service with ${name}, and asks the cluster for nothing`, async () => {
      new FakeCluster(api.swarm);
      for (const path of ['/services/create', '/services/x/update?version=1']) {
        const answer = await api.call('POST', path, body);
        assert.equal(answer.status, status, answer.text);
        assert.match(answer.json<{ message: string }>().message, words);
      }
      assert.deepEqual(api.swarm.cluster.calls, []);
    });
  }

  for (const [name, method, path, body, status, words] of [
    [
      'a container name',
      'POST',
      '/containers/create?name=a/b',
      { Image: 'busybox' },
      400,
      /^Invalid container name \(a\/b\)/,
    ],
    ['a version', 'POST', '/services/x/update', task({}), 400, /parameter version is required/],
    [
      'a rollback',
      'POST',
      '/services/x/update?version=1&rollback=next',
      task({}),
      400,
      /unrecognized rollback option next/,
    ],
    [
      'a role',
      'POST',
      '/nodes/x/update?version=1',
      { Role: 'boss', Availability: 'active' },
      400,
      /^Role must be one of/,
    ],
    [
      'an availability',
      'POST',
      '/nodes/x/update?version=1',
      { Role: 'worker', Availability: 'busy' },
      400,
      /^Availability must be/,
    ],
    [
      'a desired state',
      'GET',
      '/tasks?filters=%7B%22desired-state%22%3A%5B%22happy%22%5D%7D',
      undefined,
      400,
      /desired-state must be one of/,
    ],
    ['a swarm name', 'POST', '/swarm/init', { Spec: { Name: 'mine' } }, 400, /swarm name/],
    [
      'a join without a token',
      'POST',
      '/swarm/join',
      { RemoteAddrs: ['10.0.0.1:2377'] },
      400,
      /join token is required/,
    ],
    ['a join without an address', 'POST', '/swarm/join', { JoinToken: 'x' }, 400, /RemoteAddr/],
    [
      'a gateway without its subnet, beside another subnet',
      'POST',
      '/networks/create',
      { Name: 'n', Driver: 'overlay', IPAM: { Config: [{ Subnet: '10.1.0.0/24' }, { Gateway: '10.2.0.1' }] } },
      400,
      /a subnet is needed beside other subnets/,
    ],
    ['a network name', 'POST', '/networks/create', { Name: 'a b' }, 400, /invalid network name/],
    [
      'a network driver',
      'POST',
      '/networks/create',
      { Name: 'n', Driver: 'carrier' },
      404,
      /plugin "carrier" not found/,
    ],
    ['a volume name', 'POST', '/volumes/create', { Name: 'a/b' }, 400, /includes invalid characters/],
    ['an exec without a command', 'POST', '/containers/x/exec', {}, 400, /No exec command specified/],
    ['detach keys', 'POST', '/containers/x/exec', { Cmd: ['a'], DetachKeys: 'ctrl-$' }, 400, /detach keys/],
    ['a time', 'GET', '/events?since=yesterday', undefined, 400, /since/],
    ['a tag without a repository', 'POST', '/images/busybox/tag', undefined, 400, /invalid reference format/],
    ['an import without a source', 'POST', '/images/create', undefined, 400, /fromImage or fromSrc/],
  ] as const) {
    it(`refuses ${name} that is wrong`, async () => {
      new FakeCluster(api.swarm);
      const answer = await api.call(method, path, body);
      assert.equal(answer.status, status, answer.text);
      assert.match(answer.json<{ message: string }>().message, words);
      assert.deepEqual(api.swarm.cluster.calls, []);
      assert.deepEqual(api.swarm.requests, []);
      assert.deepEqual(api.runtime.containers.calls, []);
    });
  }

  it('refuses JSON that does not call itself JSON, as a web page would send it', async () => {
    const answer = await api.call('POST', '/containers/create', '{"Image":"busybox"}', {
      'Content-Type': 'text/plain',
    });
    assert.equal(answer.status, 400);
    assert.match(answer.text, /unsupported Content-Type header \(text\/plain\)/);
    assert.deepEqual(api.runtime.containers.calls, []);
  });

  for (const [method, path] of [
    ['GET', '/swarm'],
    ['GET', '/nodes'],
    ['GET', '/services'],
    ['GET', '/tasks'],
    ['GET', '/secrets'],
    ['GET', '/configs'],
    ['DELETE', '/services/x'],
  ] as const) {
    it(`answers ${method} ${path} with 503 and the way out on a node that is no manager`, async () => {
      const answer = await api.call(method, path);
      assert.equal(answer.status, 503);
      assert.match(answer.text, /This node is not a swarm manager\. Use \\"docker swarm init\\"/);
    });
  }
});
