// The stock docker client against the Engine API over fakes: what it prints is what people see.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { FakeCluster, NODE_1 } from '../api/support/fake-cluster.ts';
import { ApiFixture } from '../api/support/fixture.ts';
import { DockerClient, type Outcome } from '../support/docker-client.ts';

describe('the stock docker client', () => {
  let api: ApiFixture;
  let client: DockerClient;
  beforeEach(async () => {
    api = await ApiFixture.start();
    client = new DockerClient(api.socketPath);
  });
  afterEach(async () => {
    await api[Symbol.asyncDispose]();
    client[Symbol.dispose]();
  });

  const docker = (args: readonly string[], input?: string): Promise<Outcome> => client.run(args, input);
  const ok = (...args: string[]): Promise<string> => client.ok(...args);

  it('agrees on a version and shows the engine', async () => {
    assert.equal((await ok('version', '--format', '{{.Server.APIVersion}} {{.Server.Version}}')).trim(), '1.51 0.1.0');
    assert.match(await ok('info'), /Storage Driver: overlay2[\s\S]*Swarm: inactive[\s\S]*Total Memory: 4GiB/);
  });

  it('runs in the foreground with output, input and the exit code', async () => {
    assert.equal(await ok('run', '--rm', 'busybox', 'echo', 'hello'), 'hello\n');
    assert.equal((await docker(['run', '--rm', '-i', 'busybox', 'cat'], 'typed\n')).stdout, 'typed\n');
    assert.equal((await docker(['run', 'busybox', 'exit', '7'])).code, 7);
    const warned = await docker(['run', '--rm', 'busybox', 'warn', 'careful']);
    assert.deepEqual([warned.stdout, warned.stderr], ['', 'careful\n']);
  });

  it('tells a missing program and a missing image by its own exit codes', async () => {
    assert.equal((await docker(['run', '--rm', 'busybox', 'nosuchprogram'])).code, 127);
    const missing = await docker(['run', '--rm', 'missing']);
    assert.equal(missing.code, 125);
    // The registry is asked first, and then the engine that still lacks the image.
    assert.match(missing.stderr, /Unable to find image 'missing:latest' locally[\s\S]*No such image: missing:latest/);
  });

  it('works on a container in the background', async () => {
    const id = (
      await ok('run', '-d', '--name', 'web', '-p', '8080:80', '--memory', '64m', 'busybox', 'sleep', '60')
    ).trim();
    assert.match(id, /^[0-9a-f]{64}$/);
    assert.match(await ok('ps'), /busybox +"sleep 60" .* Up 5 seconds +web/);
    assert.equal(await ok('exec', 'web', 'echo', 'inside'), 'inside\n');
    assert.equal((await docker(['exec', '-i', 'web', 'cat'], 'in\n')).stdout, 'in\n');
    assert.equal((await docker(['exec', 'web', 'exit', '3'])).code, 3);
    assert.equal(
      (await ok('inspect', '-f', '{{.State.Status}} {{.HostConfig.Memory}} {{.Config.Cmd}}', 'web')).trim(),
      'running 67108864 [sleep 60]',
    );
    assert.match(await ok('top', 'web'), /4711/);
    assert.match(await ok('stats', '--no-stream', '--format', '{{.Name}} {{.MemUsage}}'), /web 1024KiB \/ 2MiB/);
    assert.equal((await docker(['rm', 'web'])).code, 1);
    assert.equal(await ok('stop', 'web'), 'web\n');
    assert.match(await ok('ps', '-a', '--format', '{{.Status}}'), /^Exited \(143\)/);
    assert.equal((await ok('wait', 'web')).trim(), '143');
    assert.equal(await ok('rm', 'web'), 'web\n');
  });

  it('reads logs', async () => {
    await ok('run', '-d', '--name', 'web', 'busybox', 'echo', 'logged');
    assert.equal(await ok('logs', 'web'), 'logged\n');
    assert.equal(await ok('logs', '-f', '--tail', '5', 'web'), 'logged\n');
    assert.match(await ok('logs', '-t', 'web'), /^2023-11-14T22:13:20\.\d+Z logged\n$/);
  });

  it('handles images, volumes and networks', async () => {
    assert.match(await ok('images'), /busybox +latest +b{12} /);
    await ok('tag', 'busybox', 'mine:1');
    assert.match(await ok('history', 'busybox'), /ADD rootfs/);
    assert.match(await ok('rmi', 'busybox'), /Deleted/);
    assert.match((await docker(['load'], 'archive')).stdout, /Loaded image: busybox:latest/);
    assert.match((await docker(['import', '-'], 'archive')).stdout, /^sha256:b+/);
    assert.equal(await ok('volume', 'create', 'data'), 'data\n');
    assert.match(await ok('volume', 'ls'), /local +data/);
    assert.match(await ok('network', 'ls'), /bridge +bridge +local/);
    assert.match(await ok('system', 'df'), /Local Volumes +1/);
  });

  it('shows events as they come', async () => {
    const child = spawn('docker', ['events', '--format', '{{.Type}} {{.Action}} {{.Actor.Attributes.name}}'], {
      env: { ...process.env, DOCKER_HOST: `unix://${api.socketPath}` },
    });
    const publish = (): void =>
      api.runtime.events.publish({
        type: 'container',
        action: 'start',
        id: 'a',
        attributes: { name: 'web' },
        scope: 'local',
      });
    const timer = setInterval(publish, 50);
    try {
      // The client writes its template's parts one by one, so a chunk is no line.
      const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
      assert.equal(line, 'container start web');
    } finally {
      clearInterval(timer);
      child.kill('SIGKILL');
    }
  });

  it('founds a swarm and says how to join it', async () => {
    api.swarm.init = async () => {
      const { nodes } = new FakeCluster(api.swarm);
      return nodes[0]?.id ?? '';
    };
    assert.match(
      await ok('swarm', 'init', '--advertise-addr', '10.0.0.1'),
      /Swarm initialized: current node \(1{25}\) is now a manager\.[\s\S]*docker swarm join --token SWMTKN-1-worker 10\.0\.0\.1:2377/,
    );
    assert.match(await ok('info'), /Swarm: active\n {2}NodeID: 1{25}[\s\S]*Managers: 1\n {2}Nodes: 2/);
    assert.equal((await ok('swarm', 'leave', '--force')).trim(), 'Node left the swarm.');
    assert.deepEqual(api.swarm.requests, [{ force: true }]);
  });

  it('tells what to do on a node that is no manager', async () => {
    const outcome = await docker(['service', 'ls']);
    assert.equal(outcome.code, 1);
    assert.match(outcome.stderr, /This node is not a swarm manager\. Use "docker swarm init" or "docker swarm join"/);
  });

  describe('on a manager', () => {
    beforeEach(() => {
      const cluster = new FakeCluster(api.swarm);
      void cluster;
    });

    it('shows nodes, and how to join', async () => {
      assert.match(
        await ok('node', 'ls'),
        /1{25} \* +node1 +Ready +Active +Leader +0\.1\.0\n2{25} +node2 +Ready +Active/,
      );
      assert.match(await ok('node', 'inspect', 'self', '--pretty'), /Address:\s+10\.0\.0\.1:2377[\s\S]*Leader:\s+Yes/);
      assert.match(
        await ok('swarm', 'join-token', 'worker'),
        /docker swarm join --token SWMTKN-1-worker 10\.0\.0\.1:2377/,
      );
      await ok('node', 'update', '--availability', 'drain', 'node2');
      assert.match(await ok('node', 'ls'), /node2 +Ready +Drain/);
      await ok('node', 'promote', 'node2');
    });

    it('creates a service and waits until it has converged', async () => {
      const out = await ok(
        'service',
        'create',
        '--name',
        'web',
        '--replicas',
        '3',
        '-p',
        '8080:80',
        '--update-monitor',
        '200ms',
        '--no-resolve-image',
        'busybox',
        'sleep',
        '60',
      );
      assert.match(out, /overall progress: 3 out of 3 tasks[\s\S]*converged/);
      assert.match(await ok('service', 'ls'), /web +replicated +3\/3 +busybox:latest +\*:8080->80\/tcp/);
      assert.match(await ok('service', 'ps', 'web'), /web\.1 +busybox:latest +node1 +Running +Running/);
      assert.match(await ok('node', 'ps', 'self'), /web\.1/);
      assert.match(await ok('service', 'inspect', '--pretty', 'web'), /Replicas:\s+3[\s\S]*PublishedPort = 8080/);
    });

    it('updates, scales, rolls back and removes it', async () => {
      await ok('service', 'create', '-d', '--name', 'web', '--update-monitor', '200ms', 'busybox', 'sleep', '60');
      assert.match(await ok('service', 'scale', 'web=4'), /web scaled to 4/);
      await ok('service', 'update', '--env-add', 'A=1', '--update-parallelism', '2', '--image', 'busybox:2', 'web');
      assert.equal(
        (
          await ok(
            'service',
            'inspect',
            '-f',
            '{{.Spec.TaskTemplate.ContainerSpec.Env}} {{.UpdateStatus.State}}',
            'web',
          )
        ).trim(),
        '[A=1] completed',
      );
      await ok('service', 'rollback', 'web');
      assert.equal(
        (await ok('service', 'inspect', '-f', '{{.Spec.TaskTemplate.ContainerSpec.Image}}', 'web')).trim(),
        // The client asks its engine for what the tag means at the registry, and pins that.
        `busybox:latest@sha256:${'b'.repeat(64)}`,
      );
      assert.equal(await ok('service', 'rm', 'web'), 'web\n');
    });

    it('follows the logs of a service with the names of its tasks', async () => {
      await ok('service', 'create', '-d', '--name', 'web', 'busybox', 'sleep', '60');
      const line = {
        serviceId: 's'.repeat(25),
        taskId: '1'.padStart(25, 't'),
        nodeId: NODE_1,
        timestamp: '2023-11-14T22:13:20Z',
      };
      api.swarm.cluster.logLines = [{ ...line, stream: 'stdout', bytes: Buffer.from('hello\n') }];
      assert.match(await ok('service', 'logs', 'web'), /^web\.1\.t+@node1 +\| hello\n$/);
    });

    it('deploys, shows and removes a stack on the network bridge', async () => {
      const file = join(client.home, 'stack.yml');
      await writeFile(
        file,
        `version: "3.8"
services:
  web:
    image: busybox
    command: sleep 60
    ports: ["8080:80"]
    deploy: {replicas: 2, update_config: {parallelism: 2, order: start-first}}
networks:
  default: {external: true, name: bridge}
`,
      );
      await ok('stack', 'deploy', '-c', file, 'demo');
      assert.match(await ok('stack', 'ls'), /demo +1/);
      assert.match(await ok('stack', 'services', 'demo'), /demo_web +replicated +2\/2/);
      assert.match(await ok('stack', 'ps', 'demo'), /demo_web\.1/);
      await ok('stack', 'deploy', '-c', file, 'demo');
      assert.match(await ok('stack', 'rm', 'demo'), /Removing service demo_web/);
    });
  });
});
