import { strict as assert } from 'node:assert';
import { gzipSync } from 'node:zlib';
import { sha256 } from '../../runtime/image/digest.ts';
import { dockerArchive, streamOf, tarOf } from '../image/support.ts';
import { USER } from '../support/fake-registry.ts';
import { anAuth, Desk } from './support.ts';

describe('pushing', () => {
  let desk: Desk;
  beforeEach(async () => {
    desk = await Desk.open();
  });
  afterEach(() => desk[Symbol.asyncDispose]());

  async function load(tag: string, options: { compressed?: boolean } = {}): Promise<string> {
    const layer = await tarOf([['a', 'x'.repeat(5_000)]]);
    const archive = await dockerArchive({
      tags: [desk.name(tag)],
      layers: [options.compressed ? gzipSync(layer) : layer],
      diffIds: [sha256(layer)],
    });
    const [id = ''] = await desk.store.images.load(streamOf(archive), () => undefined);
    return id;
  }

  for (const compressed of [false, true]) {
    it(`sends an image of ${compressed ? 'compressed' : 'plain'} layers, which pulls as the same`, async () => {
      const id = await load('app:1', { compressed });
      await desk.push('app:1');
      const { bytes } = desk.registry.manifests.get('app:1') ?? { bytes: Buffer.alloc(0) };
      const digest = sha256(bytes);
      const aux = desk.lines.at(-1);
      assert.deepEqual(aux, { aux: { Tag: '1', Digest: digest, Size: bytes.length } });
      assert.equal(desk.said[0], `The push refers to repository [${desk.name('app')}]`);
      assert.equal(desk.said.at(-1), `1: digest: ${digest} size: ${bytes.length}`);
      assert.ok(desk.said.some((line) => line.endsWith(' Pushed')));
      assert.deepEqual(desk.store.images.get(id).digests, [desk.name(`app@${digest}`)]);
      await desk.store.images.remove(desk.name('app:1'), { force: false });
      assert.equal(await desk.pull('app:1'), id);
    });
  }

  it('sends nothing twice, and mounts what another repository has', async () => {
    await load('app:1');
    await desk.push('app:1');
    desk.lines = [];
    desk.registry.requests.length = 0;
    await desk.push('app:1');
    assert.ok(desk.said.some((line) => line.endsWith('Layer already exists')));
    assert.ok(!desk.registry.requests.some((line) => line.startsWith('POST')));
    await desk.store.images.tag(desk.name('app:1'), desk.name('other/app:2'));
    desk.registry.misbehave = (request, response) => {
      // Blobs of one repository are not those of another until they are mounted.
      if (request.method !== 'HEAD' || desk.registry.requests.some((line) => line.includes('mount='))) return false;
      response.writeHead(404).end();
      return true;
    };
    desk.lines = [];
    await desk.push('other/app:2');
    assert.ok(
      desk.said.some((line) => line.endsWith('Mounted from app')),
      desk.said.join('\n'),
    );
  });

  it('keeps the digest of an image that was pulled', async () => {
    const layer = { tar: await tarOf([['a', 'x']]) };
    const { digest } = desk.registry.addImage('app', '1', { oci: true, layers: [layer] });
    await desk.pull('app:1');
    await desk.store.images.tag(desk.name('app:1'), desk.name('copy:1'));
    await desk.push('copy:1');
    assert.equal(sha256(desk.registry.manifests.get('copy:1')?.bytes ?? ''), digest);
  });

  it('sends all tags of a repository', async () => {
    await load('app:1');
    await desk.store.images.tag(desk.name('app:1'), desk.name('app:2'));
    await desk.push('app', { allTags: true });
    assert.deepEqual(
      [...desk.registry.manifests.keys()].filter((key) => key.includes(':') && !key.includes('@')),
      ['app:1', 'app:2'],
    );
  });

  it('sends again after a failure on the way, in an upload of its own', async () => {
    await load('app:1');
    let left = 2;
    desk.registry.misbehave = (request) => {
      if (request.method !== 'PUT' || left === 0) return false;
      left -= 1;
      request.socket.destroy();
      return true;
    };
    await desk.push('app:1');
    assert.equal(left, 0);
  });

  it('shows who it is, for pull and push', async () => {
    desk.registry.auth = 'token';
    await load('app:1');
    await desk.push('app:1', { auth: anAuth(USER) });
    assert.ok(desk.registry.requests.some((line) => line.includes('scope=repository%3Aapp%3Apull%2Cpush')));
  });

  it('says in docker’s words what it can not do', async () => {
    await assert.rejects(desk.push('app:1'), {
      code: 'not-found',
      message: `An image does not exist locally with the tag: ${desk.name('app')}`,
    });
    await assert.rejects(desk.push(`app@sha256:${'a'.repeat(64)}`), /cannot push a digest reference/);
  });
});
