// The corpus of hostile archives through every way by which an image comes in. Whatever an archive tries, nothing of the
// host changes; what is refused leaves nothing, and the outcome is the same whichever way it came.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { CodedError } from '../../base/errors.ts';
import { sha256 } from '../../runtime/image/digest.ts';
import { dockerArchive, streamOf } from '../image/support.ts';
import { FakeRegistry } from '../support/fake-registry.ts';
import { HOSTILE_TARS, type HostileTar, type Outcome } from '../support/hostile-tars.ts';
import { requireRoot } from '../support/requirements.ts';
import { eventually, RuntimeLab } from '../support/runtime-lab.ts';

describe('past escapes by archives (CVE-2014-6407, CVE-2014-9356, CVE-2017-14992, CVE-2021-32760, CVE-2025-48387): one that', function () {
  this.timeout(60_000);
  let lab: RuntimeLab;
  let registry: FakeRegistry;
  let outside: string;
  let opened = false;

  before(async function () {
    requireRoot(this);
    lab = await RuntimeLab.open();
    registry = await FakeRegistry.start();
    outside = join(lab.root, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'canary'), 'untouched', { mode: 0o600 });
    opened = true;
  });
  after(async () => {
    if (!opened) return;
    await registry[Symbol.asyncDispose]();
    rmSync(outside, { recursive: true });
    await lab[Symbol.asyncDispose]();
  });

  const ways: readonly (readonly [way: string, bring: (layer: Buffer) => Promise<unknown>])[] = [
    [
      'load',
      async (layer) => {
        const archive = await dockerArchive({ tags: ['hostile:1'], layers: [layer], diffIds: [sha256(plain(layer))] });
        await lab.runtime.images.load(streamOf(archive), () => undefined);
      },
    ],
    [
      'import',
      (layer) => lab.runtime.images.import(streamOf(layer), { target: 'hostile:1', changes: [], message: '' }),
    ],
    [
      'pull',
      async (layer) => {
        registry.addImage('hostile', '1', {
          layers: [{ tar: layer, pack: (tar) => tar }],
          diffIds: [sha256(plain(layer))],
        });
        const name = `${registry.host}/hostile:1`;
        await lab.runtime.registries.pull(name, { report: () => undefined });
        await lab.runtime.images.tag(name, 'hostile:1');
        await lab.runtime.images.remove(name, { force: true });
      },
    ],
  ];

  const below = (folder: string): string[] => readdirSync(join(lab.root, 'data/image', folder)).sort();

  async function outcomeOf({ make }: HostileTar, bring: (layer: Buffer) => Promise<unknown>): Promise<Outcome> {
    try {
      await bring(make(outside));
    } catch (error) {
      assert.ok(error instanceof CodedError, String(error));
      assert.notEqual(error.message, '');
      return 'refused';
    }
    const [unpacked = ''] = lab.runtime.images.get('hostile:1').layerFolders;
    const attributes = ['--xattrs', '--xattrs-include=*', '--format=pax', '-cf', '-', '-C', unpacked, '.'];
    assert.ok(!execFileSync('tar', attributes).includes('xattr.trusted.'), 'an attribute of the kernel came with it');
    await lab.runtime.images.remove('hostile:1', { force: true });
    return 'applied';
  }

  for (const hostile of HOSTILE_TARS) {
    it(`${hostile.name} is ${hostile.outcome}`, async () => {
      const before = [below('layer'), below('blobs/sha256')];
      for (const [way, bring] of ways) {
        assert.equal(await outcomeOf(hostile, bring), hostile.outcome, `by ${way}`);
        assert.equal(readFileSync(join(outside, 'canary'), 'utf8'), 'untouched');
        assert.equal(statSync(join(outside, 'canary')).mode & 0o777, 0o600);
        assert.deepEqual(readdirSync(outside), ['canary']);
        assert.ok(!existsSync('/escaped') && !existsSync(join(lab.root, 'escaped')));
        assert.deepEqual(below('incoming'), []);
        await eventually(() => JSON.stringify([below('layer'), below('blobs/sha256')]) === JSON.stringify(before));
      }
    });
  }

  it('is one of at least forty', () => assert.ok(HOSTILE_TARS.length >= 40));
});

/** As far as it can be uncompressed; the rest is refused before its digest matters. */
function plain(layer: Buffer): Buffer {
  try {
    return layer[0] === 0x1f && layer[1] === 0x8b ? gunzipSync(layer) : layer;
  } catch {
    return layer;
  }
}
