// A daemon that has just begun: its containers are known before its place in the swarm is.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { seededRandom } from '../../base/random.ts';
import { LateSwarm } from '../../daemon/late-swarm.ts';
import { ApiFixture } from './support/fixture.ts';
import { FakeRuntime } from './support/fake-runtime.ts';

describe('a daemon that has just begun', () => {
  it('answers for its containers, and of its swarm once it has taken it up', async () => {
    await using api = await ApiFixture.start();
    let tellOpened = (): void => undefined;
    api.swarm.opened = new Promise((resolve) => {
      tellOpened = resolve;
    });
    const answered: string[] = [];
    const ask = async (path: string): Promise<void> => {
      const { status } = await api.call('GET', path);
      answered.push(`${path} ${status}`);
    };
    const waiting = [ask('/info'), ask('/nodes'), ask('/networks')];
    for (const path of ['/_ping', '/version', '/containers/json', '/images/json']) await ask(path);
    assert.deepEqual(answered, ['/_ping 200', '/version 200', '/containers/json 200', '/images/json 200']);
    api.swarm.current = { ...api.swarm.current, state: 'active', controlAvailable: true };
    tellOpened();
    await Promise.all(waiting);
    assert.ok(answered.includes('/info 200'));
    assert.equal(answered.length, 7);
  });

  it('says what it knows of containers before it has taken them over, and changes nothing until then', async () => {
    await using api = await ApiFixture.start();
    const id = await api.create({}, 'web');
    let tellAdopted = (): void => undefined;
    api.runtime.adopted = new Promise((resolve) => {
      tellAdopted = resolve;
    });
    let isStarted = false;
    const started = api.call('POST', `/containers/${id}/start`).then(({ status }) => {
      isStarted = true;
      return status;
    });
    assert.equal((await api.call('GET', '/containers/json?all=1')).json<object[]>().length, 1);
    assert.equal((await api.call('GET', '/containers/web/json')).status, 200);
    assert.equal(isStarted, false);
    tellAdopted();
    assert.equal(await started, 204);
  });

  it('makes a container on a network of the swarm only once it knows its networks', async () => {
    await using api = await ApiFixture.start();
    let tellOpened = (): void => undefined;
    api.swarm.opened = new Promise((resolve) => {
      tellOpened = resolve;
    });
    let isMade = false;
    const made = api.create({}).then(() => {
      isMade = true;
    });
    await api.call('GET', '/_ping'); // a later request is through
    assert.equal(isMade, false);
    tellOpened();
    await made;
  });
});

describe('the swarm of a daemon', () => {
  const dataRoot = mkdtempSync(join(tmpdir(), 'shoal-late-'));
  after(() => rmSync(dataRoot, { recursive: true, force: true }));
  const late = (): LateSwarm =>
    new LateSwarm({
      dataRoot,
      runtime: new FakeRuntime(),
      hostname: 'node1',
      version: '0.1.0',
      labels: {},
      defaultAdvertiseAddress: '',
      clock: systemClock,
      random: seededRandom(1),
      log: silentLog,
    });

  it('is not loaded where there is none, and says so in Docker’s words', async () => {
    await using swarm = late();
    await swarm.open();
    await swarm.opened;
    assert.equal(swarm.info().state, 'inactive');
    assert.throws(() => swarm.control(), /This node is not a swarm manager/);
  });

  it('is pending until what an interrupted join left is cleared', async () => {
    mkdirSync(join(dataRoot, 'swarm'));
    await using swarm = late();
    assert.equal(swarm.info().state, 'pending');
    assert.throws(() => swarm.control(), /about to take up its place/);
    await swarm.open();
    assert.equal(swarm.info().state, 'inactive');
    await using again = late();
    assert.equal(again.info().state, 'inactive'); // nothing was left
  });

  it('tells everybody who waits why it can not be taken up', async () => {
    mkdirSync(join(dataRoot, 'swarm/node.json'), { recursive: true });
    await using swarm = late();
    const asked = swarm.opened;
    await assert.rejects(swarm.open());
    await assert.rejects(asked);
    rmSync(join(dataRoot, 'swarm'), { recursive: true });
  });
});
