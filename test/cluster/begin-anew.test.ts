// Beginning a swarm anew: with one manager of three, from a backup on another machine; and a manager that lost its log.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createApiServer } from '../../api/server.ts';
import { systemClock } from '../../base/clock.ts';
import { codeOf, sentenceOf } from '../../base/errors.ts';
import { silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { Scope } from '../../base/scope.ts';
import type { Task } from '../../proto/objects.ts';
import { FakeRuntime } from '../api/support/fake-runtime.ts';
import { SYSTEM } from '../api/support/fixture.ts';
import { aServiceSpec } from '../support/objects.ts';
import { INIT_DEFAULTS, startTestSwarm, type TestNode, type TestSwarm } from '../support/test-swarm.ts';
import { until } from '../support/until.ts';

async function createService(node: TestNode, name: string, replicas = 0): Promise<void> {
  const spec = aServiceSpec({ name, mode: { kind: 'replicated', replicas } });
  await node.control().call('CreateService', { spec });
}

async function runningTasks(ask: TestNode): Promise<Task[]> {
  const { tasks } = await ask.control().call('ListTasks', { filter: { desired: ['running'] } });
  return tasks.filter(({ status }) => status.state === 'running');
}

const serviceNames = async (ask: TestNode): Promise<string[]> => {
  const { services } = await ask.control().call('ListServices', { filter: {}, status: false });
  return services.map(({ spec }) => spec.name).sort();
};

const idsOf = (tasks: readonly Task[]): string[] => tasks.map(({ id }) => id).sort();

/** A worker that runs all four tasks of `web`, as no other node takes any. */
async function workerWithTasks(swarm: TestSwarm): Promise<{ worker: TestNode; ids: string[] }> {
  const { first } = swarm;
  const worker = await swarm.join('worker');
  const { nodes } = await first.control().call('ListNodes', { filter: {} });
  for (const node of nodes.filter(({ role }) => role === 'manager')) {
    const { spec, version } = node;
    await first.control().call('UpdateNode', { node: node.id, version, spec: { ...spec, availability: 'drain' } });
  }
  await createService(first, 'web', 4);
  await until('four tasks run', async () => (await runningTasks(first)).length === 4);
  return { worker, ids: idsOf(await runningTasks(first)) };
}

const startsOf = (node: TestNode): number => node.executor.events.filter((event) => event.startsWith('start')).length;

async function backupOf(node: TestNode): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of node.node.backup(AbortSignal.timeout(10_000))) parts.push(part);
  return Buffer.concat(parts);
}

const addressesOf = (node: TestNode) => ({
  listenAddress: `127.0.0.1:${node.port}`,
  advertiseAddress: `127.0.0.1:${node.port}`,
});

/** Output and complaints of the client. */
async function shoal(socketPath: string, args: readonly string[], input = ''): Promise<string> {
  const child = spawn(process.execPath, [CLIENT, '-H', `unix://${socketPath}`, ...args]);
  const parts: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => parts.push(part));
  child.stdin.end(input);
  await once(child, 'close');
  return Buffer.concat(parts).toString('utf8');
}

const CLIENT = resolve(import.meta.dirname, '../../cli/main.js');

async function socketOf(node: TestNode, scope: Scope): Promise<string> {
  const common = { clock: systemClock, random: systemRandom, log: silentLog };
  const api = createApiServer({ ...common, runtime: new FakeRuntime(), swarm: node.node, system: SYSTEM });
  scope.defer(() => api.close());
  const path = join(node.dataRoot, 'api.sock');
  await api.listen({ kind: 'unix', path, mode: 0o600 });
  return path;
}

describe('a swarm that begins anew', function () {
  this.timeout(90_000);

  it('goes on with one manager of three, keeps all it had, and shuts the others out', async () => {
    await using swarm = await startTestSwarm();
    const { first } = swarm;
    const [second, third] = [await swarm.join('manager'), await swarm.join('manager')];
    const { worker, ids } = await workerWithTasks(swarm);
    const { nodeId } = first.node.info();
    const starts = startsOf(worker);
    await second.stop();
    await third.stop();
    assert.equal(await first.node.init({ ...INIT_DEFAULTS, advertiseAddress: '', forceNewCluster: true }), nodeId);
    assert.deepEqual(await serviceNames(first), ['web']);
    await createService(first, 'later');
    await until('the worker is back', async () => {
      const { nodes } = await first.control().call('ListNodes', { filter: {} });
      return nodes.find(({ id }) => id === worker.node.info().nodeId)?.status.state === 'ready';
    });
    assert.deepEqual(idsOf(await runningTasks(first)), ids);
    assert.equal(startsOf(worker), starts, 'no task was started again');
    const { managers } = await first.control().call('ListNodes', { filter: {} });
    assert.deepEqual(
      managers.map(({ nodeId: id }) => id),
      [nodeId],
    );
    await second.restart();
    await createService(first, 'with-the-old-one-up');
    const fourth = await swarm.join('manager');
    await until('a new manager is in', async () => {
      const reply = await first.control().call('ListNodes', { filter: {} });
      return reply.managers.length === 2 && reply.managers.every(({ reachable }) => reachable);
    });
    assert.deepEqual(await serviceNames(fourth), ['later', 'web', 'with-the-old-one-up']);
  });

  it('comes back from a backup on another machine, with the same tasks, which nobody restarts', async () => {
    await using swarm = await startTestSwarm();
    const { first } = swarm;
    const { worker, ids } = await workerWithTasks(swarm);
    const file = await backupOf(first);
    await createService(first, 'after-the-backup');
    const clusterId = (await first.control().call('GetCluster', {})).cluster.id;
    const starts = startsOf(worker);
    await first.stop();
    const fresh = await swarm.add();
    // Where the workers look for their manager.
    const nodeId = await fresh.node.restore({ ...addressesOf(first), unlockKey: '' }, file);
    assert.notEqual(nodeId, worker.node.info().nodeId);
    assert.deepEqual(await serviceNames(fresh), ['web']);
    assert.equal((await fresh.control().call('GetCluster', {})).cluster.id, clusterId);
    await until('the worker is back', async () => {
      const { nodes } = await fresh.control().call('ListNodes', { filter: {} });
      return nodes.find(({ id }) => id === worker.node.info().nodeId)?.status.state === 'ready';
    });
    assert.deepEqual(idsOf(await runningTasks(fresh)), ids);
    assert.equal(startsOf(worker), starts, 'no task was started again');
    await fresh.restart();
    await until('it leads after a restart', async () => (await serviceNames(fresh)).length === 1);
  });

  it('opens the backup of a locked swarm with its key only, and refuses a damaged one', async () => {
    await using swarm = await startTestSwarm();
    const { first } = swarm;
    const { cluster } = await first.control().call('GetCluster', {});
    const rotation = { rotateWorkerToken: false, rotateManagerToken: false };
    const spec = { ...cluster.spec, autoLockManagers: true };
    await first.control().call('UpdateCluster', { version: cluster.version, spec, ...rotation });
    const { unlockKey } = await first.control().call('GetUnlockKey', {});
    const file = await backupOf(first);
    assert.ok(!file.includes(unlockKey));
    await first.stop();
    const fresh = await swarm.add();
    const restore = (bytes: Buffer, key: string): Promise<string> =>
      fresh.node.restore({ ...addressesOf(fresh), unlockKey: key }, bytes).then(
        () => 'restored',
        (error: unknown) => `${codeOf(error)}: ${sentenceOf(error)}`,
      );
    assert.match(await restore(file, ''), /^unauthenticated: the backup is sealed/);
    assert.match(await restore(file, `SWMKEY-1-${'A'.repeat(43)}`), /^unauthenticated: .*invalid key/);
    assert.match(await restore(file.subarray(0, -1), unlockKey), /is not complete|damaged/);
    const spoiled = Buffer.from(file);
    spoiled.writeUInt8(spoiled.readUInt8(spoiled.length >> 1) ^ 1, spoiled.length >> 1);
    assert.match(await restore(spoiled, unlockKey), /damaged|unreadable/);
    assert.equal(fresh.node.info().state, 'inactive');
    assert.equal(await restore(file, unlockKey), 'restored');
    await fresh.restart();
    assert.equal(fresh.node.info().state, 'locked');
    await fresh.node.unlock(unlockKey);
  });

  it('is backed up and restored by the client, which asks for the key of a locked one', async () => {
    await using scope = new Scope();
    const swarm = scope.own(await startTestSwarm());
    const [old, fresh] = [await swarm.add(), await swarm.add()];
    await old.node.init({ ...INIT_DEFAULTS, ...addressesOf(old), autoLockManagers: true });
    const { unlockKey } = await old.control().call('GetUnlockKey', {});
    await createService(old, 'kept');
    const file = join(old.dataRoot, 'backup');
    assert.match(await shoal(await socketOf(old, scope), ['swarm', 'backup', file]), /The swarm is in/);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    await old.stop();
    const args = ['swarm', 'restore', file, '--listen-addr', addressesOf(fresh).listenAddress];
    const socket = await socketOf(fresh, scope);
    assert.match(await shoal(socket, [...args, '--advertise-addr', '127.0.0.1'], 'nonsense\n'), /invalid key string/);
    const said = await shoal(
      socket,
      [...args, '--advertise-addr', addressesOf(fresh).advertiseAddress],
      `${unlockKey}\n`,
    );
    assert.match(said, /Swarm restored: node \(\w+\) is now its manager/);
    assert.deepEqual(await serviceNames(fresh), ['kept']);
  });

  it('refuses a manager whose log is gone, and says what to do', async () => {
    await using swarm = await startTestSwarm();
    const second = await swarm.join('manager');
    await swarm.join('manager');
    await second.stop();
    await rm(join(second.dataRoot, 'swarm/raft'), { recursive: true });
    await second.restart();
    await until('it says so', () => /its votes with it: remove this node/.test(second.node.info().error));
    assert.equal(second.node.info().state, 'error');
  });
});
