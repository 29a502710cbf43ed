// Answers beside the published description of the Engine API. The description is not ours to copy: give its path in
// SHOAL_ENGINE_API to have these run.
import assert from 'node:assert/strict';
import { EngineDescription } from './support/shape-check.ts';
import { FakeCluster, NODE_1 } from './support/fake-cluster.ts';
import { ApiFixture } from './support/fixture.ts';

const path = process.env['SHOAL_ENGINE_API'];

if (path !== undefined)
  describe('answers, by the published description (SHOAL_ENGINE_API)', () => {
    let api: ApiFixture;
    let description: EngineDescription;
    const ids: Record<string, string> = {};

    before(async () => {
      description = new EngineDescription(path ?? '');
      api = await ApiFixture.start();
      new FakeCluster(api.swarm);
      const config = { Cmd: ['sleep', '60'], Healthcheck: { Test: ['CMD', 'true'] }, ExposedPorts: { '80/tcp': {} } };
      ids['container'] = await api.create(config, 'web');
      await api.call('POST', '/containers/web/start');
      const exec = { Cmd: ['true'], AttachStdout: true };
      ids['exec'] = (await api.call('POST', '/containers/web/exec', exec)).json<{ Id: string }>().Id;
      await api.call('POST', '/volumes/create', { Name: 'data' });
      const service = {
        Name: 'web',
        TaskTemplate: { ContainerSpec: { Image: 'busybox' }, Networks: [{ Target: 'bridge' }] },
        EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8080 }] },
      };
      ids['service'] = (await api.call('POST', '/services/create', service)).json<{ ID: string }>().ID;
      ids['task'] = (await api.call('GET', '/tasks')).json<{ ID: string }[]>()[0]?.ID ?? '';
    });
    after(() => api[Symbol.asyncDispose]());

    for (const [method, template, actual, status] of [
      ['GET', '/containers/json', '/containers/json?all=1', 200],
      ['GET', '/containers/{id}/json', '/containers/web/json', 200],
      ['GET', '/containers/{id}/top', '/containers/web/top', 200],
      ['GET', '/containers/{id}/stats', '/containers/web/stats?stream=0&one-shot=1', 200],
      ['POST', '/containers/{id}/update', '/containers/web/update', 200],
      ['POST', '/containers/prune', '/containers/prune', 200],
      ['GET', '/exec/{id}/json', '/exec/:exec/json', 200],
      ['GET', '/images/json', '/images/json', 200],
      ['GET', '/images/{name}/json', '/images/busybox/json', 200],
      ['GET', '/images/{name}/history', '/images/busybox/history', 200],
      ['POST', '/images/prune', '/images/prune', 200],
      ['GET', '/distribution/{name}/json', '/distribution/busybox/json', 200],
      ['GET', '/info', '/info', 200],
      ['GET', '/version', '/version', 200],
      ['GET', '/system/df', '/system/df', 200],
      ['GET', '/networks', '/networks', 200],
      ['GET', '/networks/{id}', '/networks/bridge', 200],
      ['GET', '/volumes', '/volumes', 200],
      ['GET', '/volumes/{name}', '/volumes/data', 200],
      ['POST', '/volumes/prune', '/volumes/prune', 200],
      ['GET', '/swarm', '/swarm', 200],
      ['GET', '/swarm/unlockkey', '/swarm/unlockkey', 200],
      ['GET', '/nodes', '/nodes', 200],
      ['GET', '/nodes/{id}', `/nodes/${NODE_1}`, 200],
      ['GET', '/services', '/services?status=1', 200],
      ['GET', '/services/{id}', '/services/web', 200],
      ['GET', '/tasks', '/tasks', 200],
      ['GET', '/tasks/{id}', '/tasks/:task', 200],
      ['GET', '/secrets', '/secrets', 200],
      ['GET', '/configs', '/configs', 200],
      ['GET', '/plugins', '/plugins', 200],
      ['GET', '/plugins/{name}/json', '/plugins/x/json', 404],
      ['GET', '/containers/{id}/json', '/containers/nobody/json', 404],
    ] as const) {
      it(`${method} ${template} has the described shape (${status})`, async () => {
        const url = actual.replace(/:(\w+)/, (_, kind: string) => ids[kind] ?? '');
        const body = method === 'POST' && template.endsWith('update') ? { Memory: 67_108_864 } : undefined;
        const answer = await api.call(method, url, body);
        assert.equal(answer.status, status, answer.text);
        assert.deepEqual(description.faults(method, template, status, answer.json()), []);
      });
    }

    it('inspect of a container lacks no described key but the ones that are not for it', async () => {
      const answer = await api.call('GET', '/containers/web/json');
      const absent = description.absent('GET', '/containers/{id}/json', 200, answer.json());
      const forOthers =
        /^\.(SizeRw|SizeRootFs|ImageManifestDescriptor|GraphDriver\.|Config\.(NetworkDisabled|MacAddress|StopSignal|StopTimeout|Shell|ArgsEscaped)|State\.Health|Config\.Healthcheck\.|HostConfig\.(Annotations|Mounts|StorageOpt|Tmpfs|Sysctls|Init|KernelMemoryTCP|CpuPercent))/;
      assert.deepEqual(
        absent.filter((key) => !forOthers.test(key)),
        [],
      );
    });

    it('every described operation has a route', async () => {
      const missing: string[] = [];
      for (const [method, template] of description.operations) {
        const url = template.replace(/\{\w+\}/g, 'x');
        const client = api.raw();
        client.send(`${method} ${url} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
        await client.head();
        if (client.body.toString().includes('page not found')) missing.push(`${method} ${template}`);
        client.socket.destroy();
      }
      assert.deepEqual(missing, []);
    });
  });
