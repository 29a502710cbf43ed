import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { TestCluster } from '../support/cluster.ts';
import { requireRoot } from '../support/requirements.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const run = promisify(execFile);

describe('the package', () => {
  const prefix = mkdtempSync(join(tmpdir(), 'package-'));
  const name = `t${randomBytes(2).toString('hex')}`;
  const cluster = new TestCluster(name);
  let started = false;

  before(function () {
    requireRoot(this);
  });

  after(async () => {
    if (started) await deploy('stop');
    rmSync(prefix, { recursive: true, force: true });
  });

  /** The installed program, as `npm start` would run it from its copy, with a state directory of its own. */
  const deploy = async (command: 'start' | 'stop'): Promise<void> => {
    const program = join(prefix, 'lib/node_modules/shoal');
    const state = join(prefix, 'state');
    const args = [join(program, 'dist/deploy/main.js'), command, '--detach', '--name', name, '--no-demo'];
    await run(process.execPath, [...args, '--program', program, '--state-directory', state], {
      cwd: prefix,
      timeout: 120_000,
    });
  };

  it('installs under another prefix and forms a three-node cluster without the checkout', async () => {
    await run('npm', ['pack', '--pack-destination', prefix, '--loglevel=error'], { cwd: ROOT });
    const archive = readdirSync(prefix).find((file) => file.endsWith('.tgz')) ?? '';
    const install = [
      'install',
      '--global',
      '--prefix',
      prefix,
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
    ];
    await run('npm', [...install, join(prefix, archive)], { cwd: prefix, timeout: 120_000 });
    started = true;
    await deploy('start');
    const nodes = await cluster.json<{ Status: { State: string } }[]>(1, '/nodes');
    assert.deepEqual(
      nodes.map(({ Status }) => Status.State),
      ['ready', 'ready', 'ready'],
    );
  });

  it('brings its programs', async () => {
    const { stdout } = await run(join(prefix, 'bin/shoald'), ['--validate']);
    assert.equal(stdout, 'configuration OK\n');
    const help = await run(join(prefix, 'bin/shoal'), ['--help']);
    assert.match(help.stdout, /containers and services/);
  });
});
