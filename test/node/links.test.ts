// Links of the default bridge, as the stock client asks for them, and their end.
import assert from 'node:assert/strict';
import { ClientLab } from '../support/client-lab.ts';
import { requireRoot, requireTool } from '../support/requirements.ts';

describe('links of the default bridge', () => {
  let lab: ClientLab;
  before(async function () {
    requireRoot(this);
    requireTool(this, '/usr/bin/busybox');
    this.timeout(120_000); // the helper may have to be compiled
    lab = await ClientLab.open();
    await lab.ok('run', '-d', '--name', 'db', '-e', 'A=1', '--expose', '80', 'bb', 'sleep', '1000');
    await lab.ok('run', '-d', '--name', 'web', '--link', 'db:data', '--link', 'db', 'bb', 'sleep', '1000');
  });
  afterEach(() => lab.ok('start', 'db', 'web'));
  after(() => lab?.[Symbol.asyncDispose]());

  const ok = async (...args: string[]): Promise<string> => (await lab.ok(...args)).trimEnd();
  const inside = (script: string) => ok('exec', 'web', 'sh', '-c', script);
  const links = () => ok('inspect', '-f', '{{.HostConfig.Links}}', 'web');

  it('give a name, variables, and names of their own', async () => {
    const address = await ok('inspect', '-f', '{{.NetworkSettings.IPAddress}}', 'db');
    assert.match(await inside('grep data /etc/hosts'), new RegExp(`^${address}\tdata [0-9a-f]{12} db$`));
    const variables = await inside('echo $DATA_PORT $DATA_PORT_80_TCP_ADDR $DATA_NAME $DATA_ENV_A');
    assert.equal(variables, `tcp://${address}:80 ${address} /web/data 1`);
    assert.equal(await links(), '[/db:/web/data /db:/web/db]');
  });

  it('want who is linked to run', async () => {
    await lab.ok('stop', '-t', '0', 'web', 'db');
    const { code, stderr } = await lab.run('start', 'web');
    assert.equal(code, 1);
    assert.match(stderr, /Cannot link to a non running container: \/db AS \/web\/data/);
  });

  it('are taken away by rm --link, which leaves both containers', async () => {
    await lab.ok('rename', 'db', 'store');
    assert.equal(await links(), '[/store:/web/data /store:/web/db]');
    await lab.ok('rm', '--link', 'web/data');
    assert.equal(await links(), '[/store:/web/db]');
    assert.equal(await inside('grep -c data /etc/hosts; grep -c store /etc/hosts; true'), '0\n1');
    await lab.ok('rename', 'store', 'db');
    await lab.ok('restart', '-t', '0', 'web');
    assert.equal(await inside('echo "$DATA_NAME"; grep -c data /etc/hosts; true'), '\n0');
    const again = await lab.run('rm', '--link', 'web/data');
    assert.match(again.stderr, /No such container: web\/data/);
    assert.match((await lab.run('rm', '--link', 'web')).stderr, /cannot remove the default link name/);
  });
});
