// Containers in networks, through the stock docker client.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type ApiServer, createApiServer } from '../../api/server.ts';
import { systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import { SYSTEM } from '../api/support/fixture.ts';
import { FakeSwarm } from '../api/support/fake-swarm.ts';
import { DockerClient } from '../support/docker-client.ts';
import { requireRoot, requireTool } from '../support/requirements.ts';
import { LAB_LOG, RuntimeLab } from '../support/runtime-lab.ts';

describe('containers in networks, through the stock docker client', function () {
  this.timeout(60_000);
  let lab: RuntimeLab;
  let api: ApiServer;
  let docker: DockerClient;
  const ok = async (...args: string[]): Promise<string> => (await docker.ok(...args)).trim();
  const refused = async (words: RegExp, ...args: string[]): Promise<void> => {
    const { code, stderr } = await docker.run(args);
    assert.notEqual(code, 0, args.join(' '));
    assert.match(stderr, words);
  };
  const idle = (...args: string[]): Promise<string> => ok('run', '-d', ...args, 'bb', 'sleep', '300');

  before(async function () {
    requireRoot(this);
    requireTool(this, '/usr/bin/busybox');
    lab = await RuntimeLab.open();
    const common = { clock: systemClock, random: systemRandom, log: LAB_LOG };
    api = createApiServer({ ...common, runtime: lab.runtime, swarm: new FakeSwarm(), system: SYSTEM });
    const path = join(lab.root, 'api.sock');
    await api.listen({ kind: 'unix', path, mode: 0o600 });
    docker = new DockerClient(path);
  });
  beforeEach(async () => {
    await ok('network', 'create', 'red');
    await ok('network', 'create', 'blue');
  });
  afterEach(async () => {
    const ids = (await ok('ps', '-aq')).split('\n').filter(Boolean);
    if (ids.length > 0) await ok('rm', '-fv', ...ids);
    await ok('network', 'prune', '-f');
  });
  after(async () => {
    docker?.[Symbol.dispose]();
    await api?.close();
    await lab?.[Symbol.asyncDispose]();
  });

  it('have IPv6 where their network has, and show it', async () => {
    const subnet = ['--subnet', 'fd00:6::/64', '--gateway', 'fd00:6::fe'];
    assert.match(await ok('network', 'create', ...subnet, 'unused'), /^[0-9a-f]{64}$/);
    await ok('network', 'create', '--ipv6', ...subnet, 'six');
    const shown = await ok('network', 'inspect', '-f', '{{.EnableIPv6}} {{json .IPAM.Config}}', 'six');
    assert.match(shown, /^true .*\{"Subnet":"fd00:6::\/64","Gateway":"fd00:6::fe"\}\]$/);
    assert.match(await ok('network', 'inspect', '-f', '{{.EnableIPv6}}', 'red'), /^false$/);
    const asked = ['--network', 'six', '--ip6', 'fd00:6::77', '-p', '8080:80', '-p', '[::]:9090:90'];
    const id = await idle('--name', 'web', ...asked);
    const format =
      '{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}/{{.GlobalIPv6PrefixLen}} {{.IPv6Gateway}}{{end}}';
    assert.equal(await ok('inspect', '-f', format, id), 'fd00:6::77/64 fd00:6::fe');
    assert.equal(
      await ok('inspect', '-f', '{{json .NetworkSettings.Ports}}', id),
      '{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}],"90/tcp":[{"HostIp":"::","HostPort":"9090"}]}',
    );
    assert.match(await ok('ps', '--format', '{{.Ports}}'), /\[::\]:8080->80\/tcp/);
    assert.match(await ok('exec', id, 'cat', '/etc/hosts'), new RegExp(`^fd00:6::77\t${id.slice(0, 12)}$`, 'm'));
    const on = await ok('network', 'inspect', '-f', '{{range .Containers}}{{.IPv6Address}}{{end}}', 'six');
    assert.equal(on, 'fd00:6::77/64');
    assert.match(
      await ok('run', '--rm', '--network', 'six', 'bb', 'ping', '-6', '-c1', '-W2', 'web'),
      /1 packets received/,
    );
    await ok('network', 'connect', 'red', id);
    await ok('network', 'disconnect', 'six', id);
    assert.doesNotMatch(await ok('exec', id, 'cat', '/etc/hosts'), /fd00:6/);
    await ok('network', 'connect', '--ip6', 'fd00:6::78', 'six', id);
    assert.match(await ok('exec', id, 'ip', '-6', 'address'), /fd00:6::78\/64/);
    await refused(
      /no configured subnet contains IP address fd00:6::79/,
      'run',
      '--rm',
      '--network',
      'red',
      '--ip6',
      'fd00:6::79',
      'bb',
      'true',
    );
    await refused(
      /overlaps with fd00:6::\/64 of network six/,
      'network',
      'create',
      '--ipv6',
      '--subnet',
      'fd00:6::/80',
      'other',
    );
  });

  it('stand in networks of the driver macvlan', async () => {
    await ok('network', 'create', '-d', 'macvlan', '--subnet', '10.71.0.0/24', 'lan');
    assert.equal(await ok('network', 'inspect', '-f', '{{.Driver}} {{.Internal}}', 'lan'), 'macvlan true');
    await idle('--network', 'lan', '--name', 'web', '-p', '8080:80');
    const ping = ['bb', 'ping', '-c1', '-W2', 'web'];
    assert.match(await ok('run', '--rm', '--network', 'lan', '--ip', '10.71.0.9', ...ping), /1 packets received/);
    await ok('network', 'connect', 'red', 'web');
    assert.match(await ok('run', '--rm', '--network', 'red', ...ping), /1 packets received/);
    await refused(/no network link eth77/, 'network', 'create', '-d', 'macvlan', '-o', 'parent=eth77', 'wrong');
  });

  it('find each other by name and alias, with the resolver named in resolv.conf', async () => {
    const id = await idle('--network', 'red', '--name', 'web', '--network-alias', 'www');
    for (const name of ['web', 'www', id.slice(0, 12)]) {
      assert.match(await ok('run', '--rm', '--network', 'red', 'bb', 'ping', '-c1', '-W2', name), /1 packets received/);
    }
    const resolv = await ok(
      'run',
      '--rm',
      '--network',
      'red',
      '--dns-search',
      'a.example',
      'bb',
      'cat',
      '/etc/resolv.conf',
    );
    assert.match(resolv, /^nameserver 127\.0\.0\.11\nsearch a\.example\noptions ndots:0/);
    assert.doesNotMatch(await ok('run', '--rm', 'bb', 'cat', '/etc/resolv.conf'), /127\.0\.0\.11/);
  });

  it('are connected and disconnected while they run, and keep it over a restart', async () => {
    await idle('--name', 'web');
    await idle('--name', 'peer', '--network', 'red');
    await refused(/bad address|Temporary failure|Name or service/i, 'exec', 'web', 'ping', '-c1', '-W1', 'peer');
    await ok('network', 'connect', '--alias', 'site', 'red', 'web');
    assert.match(await ok('exec', 'web', 'ping', '-c1', '-W2', 'peer'), /1 packets received/);
    assert.match(await ok('exec', 'peer', 'ping', '-c1', '-W2', 'site'), /1 packets received/);
    const networks = (): Promise<string> =>
      ok('inspect', '-f', '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}', 'web');
    assert.equal(await networks(), 'bridge red');
    await refused(/already exists in network red/, 'network', 'connect', 'red', 'web');
    await ok('restart', '-t', '0', 'web');
    assert.match(await ok('exec', 'web', 'ping', '-c1', '-W2', 'peer'), /1 packets received/);
    await ok('network', 'disconnect', 'bridge', 'web');
    assert.equal(await networks(), 'red');
    assert.match(await ok('exec', 'web', 'ping', '-c1', '-W2', 'peer'), /1 packets received/);
    await refused(/is not connected to network bridge/, 'network', 'disconnect', 'bridge', 'web');
    await refused(/has active endpoints \(name:"peer".*name:"web"/, 'network', 'rm', 'red');
    await ok('network', 'disconnect', 'red', 'web');
    assert.equal(await ok('exec', 'web', 'ls', '/sys/class/net'), 'lo');
    await ok('network', 'connect', 'blue', 'web');
    assert.match(await ok('exec', 'web', 'ip', 'route'), /default via/);
    assert.equal(await ok('network', 'inspect', '-f', '{{len .Containers}}', 'blue'), '1');
  });

  it('are in several networks from the start, by address and by alias', async () => {
    const subnet = await ok('network', 'inspect', '-f', '{{(index .IPAM.Config 0).Subnet}}', 'red');
    const address = subnet.replace('.0.0/16', '.9.9');
    await idle('--name', 'both', '--network', `name=red,alias=r,ip=${address}`, '--network', 'name=blue,alias=b');
    const asked = await ok('inspect', '-f', '{{.NetworkSettings.Networks.red.IPAddress}}', 'both');
    assert.equal(asked, address);
    assert.match(await ok('run', '--rm', '--network', 'red', 'bb', 'ping', '-c1', '-W2', 'r'), /1 packets received/);
    assert.match(await ok('run', '--rm', '--network', 'blue', 'bb', 'ping', '-c1', '-W2', 'b'), /1 packets received/);
  });

  it('share the network of another container, with its files', async () => {
    await idle('--name', 'web', '--network', 'red');
    const own = await ok('exec', 'web', 'sh', '-c', 'hostname; cat /sys/class/net/eth0/address /etc/hosts');
    const shared = ['run', '--rm', '--network', 'container:web', 'bb', 'sh', '-c'];
    assert.equal(await ok(...shared, 'hostname; cat /sys/class/net/eth0/address /etc/hosts'), own);
    await refused(
      /conflicting options: port publishing/,
      'run',
      '--rm',
      '-p',
      '80',
      '--network',
      'container:web',
      'bb',
    );
    const id = await ok('create', '--network', 'container:web', 'bb', 'true');
    await refused(/sharing network namespace/, 'network', 'connect', 'blue', id);
    await ok('rm', '-f', 'web');
    await refused(/No such container|non running container/, 'start', id);
  });

  it('are linked on the default bridge by lines of the hosts file, and elsewhere by the resolver', async () => {
    await idle('--name', 'db');
    assert.match(await ok('run', '--rm', '--link', 'db:database', 'bb', 'ping', '-c1', '-W2', 'database'), /1 packets/);
    await idle('--name', 'db2', '--network', 'red');
    const linked = ['run', '--rm', '--network', 'red', '--link', 'db2:database', 'bb'];
    assert.match(await ok(...linked, 'ping', '-c1', '-W2', 'database'), /1 packets received/);
  });
});
