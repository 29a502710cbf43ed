import { strict as assert } from 'node:assert';
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ContainerMount } from '../../runtime/container/contract.ts';
import { mergedView, tarOfFolder } from '../../runtime/container/merged-view.ts';
import { dockerArchive, streamOf, tarOf } from '../image/support.ts';
import { aConfig, machine, until } from './support.ts';

const volume = (source: string, target: string, change: Partial<ContainerMount> = {}): ContainerMount => ({
  type: 'volume',
  source,
  target,
  readOnly: false,
  propagation: '',
  tmpfsOptions: '',
  noCopy: false,
  createSource: false,
  ...change,
});

describe('volumes of containers', () => {
  const rich = async (node: Awaited<ReturnType<typeof machine>>): Promise<void> => {
    const layers = [
      await tarOf([
        ['data/a.txt', 'a'],
        ['data/sub/b.txt', 'b'],
      ]),
      await tarOf([['data/a.txt', 'newer']]),
    ];
    await node.images.load(
      streamOf(await dockerArchive({ tags: ['rich:latest'], layers, config: { Volumes: { '/data': {} } } })),
      () => undefined,
    );
  };

  it('start with what the image has there, the upper layer winning', async () => {
    await using node = await machine();
    await rich(node);
    const { id } = await node.store.create(aConfig({ image: 'rich' }));
    const [mount] = node.store.get(id).mounts;
    assert.equal(mount?.target, '/data');
    assert.equal(await readFile(join(mount?.source ?? '', 'a.txt'), 'utf8'), 'newer');
    assert.equal(await readFile(join(mount?.source ?? '', 'sub/b.txt'), 'utf8'), 'b');
    await node.store.start(id);
    assert.ok(
      node.native.last.request?.mounts.some(({ target, source }) => target === '/data' && source === mount?.source),
    );
  });

  it('are left alone when they hold something, or with nocopy', async () => {
    await using node = await machine();
    await rich(node);
    const kept = await node.volumes.create({ name: 'kept', driver: '', labels: {}, options: {} });
    await writeFile(join(kept.mountpoint, 'mine'), '');
    await node.store.create(aConfig({ image: 'rich', mounts: [volume('kept', '/data')] }));
    assert.deepEqual(await readdir(kept.mountpoint), ['mine']);
    await node.store.create(aConfig({ image: 'rich', mounts: [volume('bare', '/data', { noCopy: true })] }));
    assert.deepEqual(await readdir(node.volumes.get('bare').mountpoint), []);
  });

  it('are protected while a container has them; anonymous ones go with it when asked', async () => {
    await using node = await machine();
    await rich(node);
    const { id } = await node.store.create(aConfig({ image: 'rich', mounts: [volume('named', '/n')] }));
    await assert.rejects(node.volumes.remove('named', { force: false }), { code: 'conflict' });
    assert.equal(node.volumes.list().length, 2);
    await node.store.remove(id, { force: false, volumes: true });
    assert.deepEqual(
      node.volumes.list().map(({ name }) => name),
      ['named'],
    );
    await node.volumes.remove('named', { force: false });
  });

  it('stay protected after a restart of the daemon', async () => {
    await using node = await machine();
    await node.store.create(aConfig({ mounts: [volume('named', '/n')] }));
    node.volumes.release('named', node.store.list()[0]?.id ?? '');
    await node.restart();
    await assert.rejects(node.volumes.remove('named', { force: false }), { code: 'conflict' });
  });

  it('makes the missing source of a bind only when asked to', async () => {
    await using node = await machine();
    const source = join(node.root, 'made', 'here');
    await node.store.create(aConfig({ mounts: [volume(source, '/x', { type: 'bind', createSource: true })] }));
    assert.deepEqual(await readdir(source), []);
    await assert.rejects(node.store.create(aConfig({ mounts: [volume(`${source}/no`, '/x', { type: 'bind' })] })), {
      message: `invalid mount config for type "bind": bind source path does not exist: ${source}/no`,
    });
    await until(() => node.failures.length === 0);
  });
});

describe('merged view of layers', () => {
  let root = '';
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'view-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  const names = async (lowers: string[], path: string, opaque: string[][] = []): Promise<string[] | undefined> => {
    const folder = await mergedView({ lowers, opaqueFolders: opaque }).folder(path);
    if (!folder) return undefined;
    const found: string[] = [];
    for await (const chunk of tarOfFolder(folder)) {
      if (chunk.toString('latin1', 257, 262) === 'ustar') found.push(chunk.toString('utf8', 0, chunk.indexOf(0)));
    }
    return found;
  };

  it('follows links inside the image only', async () => {
    const layer = join(root, 'l');
    await mkdir(join(layer, 'real'), { recursive: true });
    await writeFile(join(layer, 'real', 'f'), 'x');
    await symlink('/real', join(layer, 'link'));
    await symlink('../../../../../../../etc', join(layer, 'out'));
    await symlink('loop', join(layer, 'loop'));
    assert.deepEqual(await names([layer], '/link'), ['./', 'f']);
    assert.equal(await names([layer], '/out'), undefined);
    await assert.rejects(names([layer], '/loop'), /too many levels of symbolic links/);
    assert.equal(await names([layer], '/absent'), undefined);
    assert.equal(await names([layer], '/real/f'), undefined);
  });

  it('lets an opaque folder hide what is below it', async () => {
    const [upper, lower] = [join(root, 'u'), join(root, 'l')];
    await mkdir(join(lower, 'a', 'd', 'old'), { recursive: true });
    await mkdir(join(upper, 'a', 'd', 'new'), { recursive: true });
    assert.deepEqual(await names([upper, lower], '/a/d'), ['./', 'new/', 'old/']);
    assert.deepEqual(await names([upper, lower], '/a/d', [['a/d']]), ['./', 'new/']);
  });

  it('lets a file above hide a folder below', async () => {
    const [upper, lower] = [join(root, 'u'), join(root, 'l')];
    await mkdir(join(lower, 'd', 'x'), { recursive: true });
    await mkdir(join(upper, 'd'), { recursive: true });
    await writeFile(join(upper, 'd', 'x'), 'file');
    assert.deepEqual(await names([upper, lower], '/d'), ['./', 'x']);
    assert.equal(await names([upper, lower], '/d/x'), undefined);
  });
});
