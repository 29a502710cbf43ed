// Images for real: layers as overlayfs shows them, volumes filled from them, archives that mean harm.
import { strict as assert } from 'node:assert';
import { chmodSync, existsSync, lstatSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { ContainerMount } from '../../runtime/container/contract.ts';
import { bytesOf, dockerArchive, type Entries, streamOf, tarOf } from '../image/support.ts';
import { requireRoot } from '../support/requirements.ts';
import { eventually, RuntimeLab } from '../support/runtime-lab.ts';

const folder = (name: string, mode = 0o755) => [{ name: `${name}/`, type: 'directory', mode } as const] as const;
const dataVolume: ContainerMount = {
  type: 'volume',
  source: 'filled',
  target: '/data',
  readOnly: false,
  propagation: '',
  tmpfsOptions: '',
  noCopy: false,
  createSource: false,
};

describe('images on a real machine', () => {
  let lab: RuntimeLab;
  let opened = false;
  let busybox: Buffer;
  before(async function () {
    requireRoot(this);
    lab = await RuntimeLab.open();
    opened = true;
    busybox = readFileSync(join(lab.root, 'busybox.tar'));
  });
  after(async () => {
    if (opened) await lab[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    if (opened) await lab.removeAll();
  });

  const load = async (tag: string, ...layers: Entries[]): Promise<void> => {
    const tars = await Promise.all(layers.map(tarOf));
    const archive = await dockerArchive({ tags: [tag], layers: [busybox, ...tars], config: { Cmd: ['sh'] } });
    await lab.runtime.images.load(streamOf(archive), () => undefined);
  };

  it('stack their layers: later files win, whiteouts and opaque folders hide', async () => {
    await load(
      'stacked:1',
      [folder('a'), ['a/kept', '1'], ['a/changed', 'old'], ['a/gone', 'x'], folder('b'), ['b/old', 'x']],
      [['a/changed', 'new'], ['a/.wh.gone'], folder('b'), ['b/.wh..wh..opq'], ['b/new', 'y']],
    );
    const { output } = await lab.sh('cat /a/kept /a/changed; echo; ls /a /b', { image: 'stacked:1' });
    assert.equal(output, '1new\n/a:\nchanged\nkept\n\n/b:\nnew\n');
  });

  it('fill a volume with owners, modes and links as they are, and without what is hidden', async () => {
    await load(
      'filling:1',
      [
        folder('data'),
        [{ name: 'data/mine', uid: 1000, gid: 2000, mode: 0o640 }, 'm'],
        [{ name: 'data/link', type: 'symlink', linkName: '/etc/passwd' }],
        [{ name: 'data/same', type: 'link', linkName: 'data/mine' }],
        ['data/gone', 'x'],
        folder('data/emptied'),
        ['data/emptied/old', 'x'],
      ],
      [['data/.wh.gone'], folder('data/emptied', 0o700), ['data/emptied/.wh..wh..opq']],
    );
    await lab.sh('true', { image: 'filling:1', mounts: [dataVolume] });
    const at = (name: string): string => join(lab.runtime.volumes.get('filled').mountpoint, name);
    assert.deepEqual(readdirSync(at('')).sort(), ['emptied', 'from-image', 'link', 'mine', 'same']);
    const mine = statSync(at('mine'));
    assert.deepEqual([mine.uid, mine.gid, mine.mode & 0o7777, mine.nlink], [1000, 2000, 0o640, 2]);
    assert.equal(mine.ino, statSync(at('same')).ino);
    assert.ok(lstatSync(at('link')).isSymbolicLink());
    assert.deepEqual(readdirSync(at('emptied')), []);
    assert.equal(statSync(at('emptied')).mode & 0o777, 0o700);
    await lab.removeAll();
    await lab.runtime.volumes.remove('filled', { force: false });
  });

  it('survive save and load with the same id, plain and compressed', async () => {
    await load('travels:1', [['x', '1']]);
    const { id } = lab.runtime.images.get('travels:1');
    const saved = await bytesOf(await lab.runtime.images.save(['travels:1']));
    await lab.runtime.images.remove('travels:1', { force: false });
    assert.throws(() => lab.runtime.images.get('travels:1'), { code: 'not-found' });
    assert.deepEqual(await lab.runtime.images.load(streamOf(gzipSync(saved)), () => undefined), [id]);
    assert.equal((await lab.sh('cat /x', { image: 'travels:1' })).output, '1');
  });

  it('take their folders and blobs with them, except what another image or a container needs', async () => {
    await load('short:1', [['only-here', 'x']]);
    const { containers, images } = lab.runtime;
    const id = await lab.sleeper({ image: 'short:1' });
    const layers = (): number => readdirSync(join(lab.root, 'data/image/layer')).length;
    const before = layers();
    await assert.rejects(images.remove('short:1', { force: false }), {
      code: 'conflict',
      message: /is using its referenced image/,
    });
    await containers.stop(id, {});
    await images.remove('short:1', { force: true });
    assert.throws(() => images.get('short:1'), { code: 'not-found' });
    await containers.start(id); // its layers are still there
    assert.equal((await lab.exec(id, ['cat', '/only-here'])).output, 'x');
    await lab.removeAll();
    await eventually(() => layers() === before - 1);
  });

  describe('that mean harm', () => {
    let canary = '';
    before(() => {
      canary = join(lab.root, 'canary');
      writeFileSync(canary, 'untouched');
      chmodSync(canary, 0o600);
    });
    afterEach(() => {
      assert.equal(readFileSync(canary, 'utf8'), 'untouched');
      assert.equal(statSync(canary).mode & 0o777, 0o600);
      assert.ok(!existsSync(join(lab.root, 'escaped')));
    });

    const harm: readonly (readonly [string, () => Entries])[] = [
      ['climb out by their names', () => [['../../../../../../escaped', 'x']]],
      ['climb out from inside', () => [['a/../../../../../../../escaped', 'x']]],
      [
        'write through a link of their own',
        () => [[{ name: 'out', type: 'symlink', linkName: canary }], ['out', 'harm']],
      ],
      [
        'write through a linked folder',
        () => [[{ name: 'out', type: 'symlink', linkName: lab.root }], ['out/canary', 'harm'], ['out/escaped', 'x']],
      ],
      ['link a file of the host', () => [[{ name: 'hard', type: 'link', linkName: canary }], ['hard', 'harm']]],
      [
        'change the mode of a file of the host',
        () => [[{ name: 'm', type: 'symlink', linkName: canary }], [{ name: 'm', mode: 0o777 }, 'x']],
      ],
      ['hide a file of the host', () => [[`../${'../'.repeat(8)}${canary.slice(1)}`.replace('canary', '.wh.canary')]]],
    ];
    for (const [name, entries] of harm) {
      it(name, async () => {
        const before = readdirSync(join(lab.root, 'data/image/layer')).length;
        try {
          await load('harm:1', entries());
        } catch (error) {
          assert.match(String(error), /CodedError/);
          assert.equal(readdirSync(join(lab.root, 'data/image/layer')).length, before);
          return;
        }
        await lab.runtime.images.remove('harm:1', { force: true }); // it was applied, inside its own folder
      });
    }
  });
});
