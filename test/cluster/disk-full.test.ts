// A manager whose file system has no space left: a small one of its own, filled and freed. Needs root to mount it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, errnoOf, sentenceOf } from '../../base/errors.ts';
import { Scope } from '../../base/scope.ts';
import { aServiceSpec } from '../support/objects.ts';
import { requireRoot } from '../support/requirements.ts';
import { INIT_DEFAULTS, startTestSwarm, type TestNode } from '../support/test-swarm.ts';
import { until } from '../support/until.ts';

const SIZE_BYTES = 4 * 1024 * 1024;

/** Takes all the space that is left. */
async function fill(file: string): Promise<void> {
  for (let size = SIZE_BYTES; size >= 256; size = Math.floor(size / 2)) {
    for (;;) {
      try {
        await writeFile(file, Buffer.alloc(size, 1), { flag: 'a', flush: true });
      } catch (error) {
        assert.equal(errnoOf(error), 'ENOSPC');
        break;
      }
    }
  }
}

const create = (node: TestNode, name: string): Promise<string> =>
  node
    .control()
    .call('CreateService', { spec: aServiceSpec({ name, mode: { kind: 'replicated', replicas: 0 } }) })
    .then(
      () => 'accepted',
      (error: unknown) => `${codeOf(error)}: ${sentenceOf(error)}`,
    );

describe('a manager whose disk is full', function () {
  this.timeout(60_000);

  it('refuses writes with a sentence, answers reads, and accepts writes when there is space', async function () {
    requireRoot(this);
    await using scope = new Scope();
    const swarm = scope.own(await startTestSwarm());
    const node = await swarm.add();
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_BYTES}`, 'shoal-full', node.dataRoot]);
    scope.defer(async () => {
      await node.stop();
      execFileSync('umount', [node.dataRoot]);
    });
    const address = `127.0.0.1:${node.port}`;
    await node.node.init({ ...INIT_DEFAULTS, listenAddress: address, advertiseAddress: address });
    assert.equal(await create(node, 'before'), 'accepted');

    const ballast = join(node.dataRoot, 'ballast');
    await fill(ballast);
    let refusal = '';
    for (let at = 0; at < 200 && !refusal.startsWith('exhausted'); at += 1) refusal = await create(node, `full${at}`);
    assert.match(refusal, /^exhausted: the disk of manager \w+ is full: writes are refused until there is space again/);
    const { services } = await node.control().call('ListServices', { filter: {}, status: false });
    assert.ok(services.some(({ spec }) => spec.name === 'before'));

    await rm(ballast);
    let names = 0;
    await until('writes are accepted again', async () => (await create(node, `after${++names}`)) === 'accepted');
    await node.restart();
    await until('nothing is lost', async () => {
      const now = await node.control().call('ListServices', { filter: {}, status: false });
      return ['before', `after${names}`].every((name) => now.services.some(({ spec }) => spec.name === name));
    });
  });
});
