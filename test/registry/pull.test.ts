import { strict as assert } from 'node:assert';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import zlib from 'node:zlib';
import { sha256 } from '../../runtime/image/digest.ts';
import type { Unpack } from '../../runtime/image/layers.ts';
import { MEDIA } from '../../runtime/registry/manifest.ts';
import { fakeUnpack, tarOf, zstdOf } from '../image/support.ts';
import { answerFault, answerJson, basicOf, USER } from '../support/fake-registry.ts';
import { anAuth, clientOf, Desk } from './support.ts';

const layerOf = async (name: string, content: string | Buffer = name) => ({ tar: await tarOf([[name, content]]) });
const NOISE = Buffer.from(Array.from({ length: 200_000 }, (_, at) => (at * 7919 + (at >> 3)) % 251));

async function nothingIsLeft({ store }: Desk): Promise<void> {
  assert.deepEqual(store.images.list(), []);
  for (const folder of ['incoming', 'layer', 'blobs/sha256']) {
    assert.deepEqual(await readdir(join(store.root, folder)), [], folder);
  }
}

describe('pulling', () => {
  let desk: Desk;
  beforeEach(async () => {
    desk = await Desk.open();
  });
  afterEach(() => desk[Symbol.asyncDispose]());

  it('brings an image, and tells it as docker does', async () => {
    const { registry, store } = desk;
    const { digest, id, layers } = registry.addImage('team/app', '1', {
      layers: [await layerOf('a'), await layerOf('b')],
    });
    assert.equal(await desk.pull('team/app:1'), id);
    const image = store.images.get(desk.name('team/app:1'));
    assert.deepEqual([image.id, image.layers.length, image.layerBytes], [id, 2, [1, 1]]);
    assert.deepEqual(image.digests, [desk.name(`team/app@${digest}`)]);
    const { lowers } = store.images.hold(id, { containerId: 'c', isRunning: () => false });
    assert.equal(await readFile(join(lowers[0] ?? '', 'b'), 'utf8'), 'b');
    const [a, b] = layers.map((text) => text.slice(7, 19));
    assert.equal(desk.said[0], '1 Pulling from team/app');
    for (const short of [a, b]) {
      const own = desk.said.filter((line) => line.startsWith(`${short} `)).map((line) => line.slice(13));
      assert.deepEqual(own, ['Pulling fs layer', 'Verifying Checksum', 'Download complete', 'Pull complete']);
    }
    const name = desk.name('team/app:1');
    assert.deepEqual(desk.said.slice(-2), [`Digest: ${digest}`, `Status: Downloaded newer image for ${name}`]);
    assert.deepEqual(store.events, [`pull ${name}`]);
  });

  it('brings nothing twice: the same image, a shared layer, a new tag for the same content', async () => {
    const { registry } = desk;
    const [base, more] = [await layerOf('base'), await layerOf('more')];
    registry.addImage('app', '1', { layers: [base] });
    registry.addImage('app', 'same', { layers: [base] });
    registry.addImage('app', '2', { layers: [base, more] });
    await desk.pull('app:1');
    desk.lines = [];
    await desk.pull('app:1');
    assert.deepEqual(desk.said.slice(-1), [`Status: Image is up to date for ${desk.name('app:1')}`]);
    await desk.pull('app:same');
    assert.equal(desk.store.images.list().length, 1);
    desk.lines = [];
    registry.requests.length = 0;
    await desk.pull('app:2');
    assert.equal(registry.requests.filter((line) => line.includes('/blobs/')).length, 2); // config and one layer
    assert.ok(desk.said.some((line) => line.endsWith('Already exists')));
  });

  it('fetches a layer once when two images that share it are pulled at the same time', async () => {
    const { registry } = desk;
    const shared = await layerOf('shared', NOISE);
    registry.addImage('one', '1', { layers: [shared, await layerOf('x')] });
    const { layers } = registry.addImage('two', '1', { layers: [shared, await layerOf('y')] });
    await Promise.all([desk.pull('one:1'), desk.pull('two:1')]);
    assert.equal(registry.requests.filter((line) => line.endsWith(layers[0] ?? '')).length, 1);
    assert.equal(desk.store.images.list().length, 2);
  });

  it('pins a digest: by it an image is found, and no tag is given', async () => {
    const { digest, id } = desk.registry.addImage('app', '1', { layers: [await layerOf('a')] });
    await desk.pull(`app@${digest}`);
    const image = desk.store.images.get(desk.name(`app@${digest}`));
    assert.deepEqual([image.id, image.tags], [id, []]);
    assert.equal(desk.store.images.get(desk.name(`app:1@${digest}`)).id, id);
  });

  it('takes the image of its platform from an index, or the one that is asked for', async () => {
    const { registry, store } = desk;
    const variants = await Promise.all(
      (['arm64', 'amd64'] as const).map(async (architecture) => {
        const image = registry.addImage('multi', architecture, { architecture, layers: [await layerOf(architecture)] });
        return { ...image, platform: { os: 'linux', architecture } };
      }),
    );
    const digest = registry.addIndex('multi', '1', variants);
    assert.equal(await desk.pull('multi:1'), variants[1]?.id);
    assert.deepEqual(store.images.get(desk.name('multi:1')).digests, [desk.name(`multi@${digest}`)]);
    assert.equal(await desk.pull('multi:1', { platform: 'linux/arm64' }), variants[0]?.id);
    await assert.rejects(desk.pull('multi:1', { platform: 'linux/s390x' }), {
      code: 'not-found',
      message: 'no matching manifest for linux/s390x in the manifest list entries',
    });
    await assert.rejects(
      desk.pull('multi:arm64', { platform: 'linux/amd64' }),
      /does not provide the specified platform/,
    );
  });

  it('pulls every tag of a repository', async () => {
    for (const tag of ['1', '2', '3']) desk.registry.addImage('app', tag, { layers: [await layerOf(tag)] });
    await desk.pull('app', { allTags: true });
    assert.equal(desk.store.images.list().length, 3);
  });

  it('reads OCI manifests and plain layers', async () => {
    const layer = {
      ...(await layerOf('a')),
      pack: (tar: Buffer) => tar,
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
    };
    desk.registry.addImage('oci', '1', { oci: true, layers: [layer] });
    await desk.pull('oci:1');
    assert.equal(desk.store.images.list().length, 1);
  });

  it('goes on where a connection broke, as often as it brings something', async () => {
    const { registry } = desk;
    const { layers } = registry.addImage('app', '1', { layers: [await layerOf('noise', NOISE)] });
    const ranges: (string | undefined)[] = [];
    registry.misbehave = (request, response) => {
      const blob = registry.blobs.get(layers[0] ?? '');
      if (!request.url?.endsWith(layers[0] ?? '') || !blob) return false;
      ranges.push(request.headers.range);
      const start = Number(/(\d+)/.exec(request.headers.range ?? '')?.[1] ?? 0);
      const end = Math.min(blob.length, start + Math.ceil(blob.length / 8));
      const range = start === 0 ? {} : { 'Content-Range': `bytes ${start}-${blob.length - 1}/${blob.length}` };
      response.writeHead(start === 0 ? 200 : 206, { 'Content-Length': blob.length - start, ...range });
      response.write(blob.subarray(start, end), () => (end < blob.length ? response.destroy() : response.end()));
      return true;
    };
    await desk.pull('app:1');
    assert.ok(ranges.length >= 8, `${ranges.length} connections`);
    assert.equal(new Set(ranges).size, ranges.length);
  });

  it('goes on with a registry that knows no ranges', async () => {
    const { registry } = desk;
    const { layers } = registry.addImage('app', '1', { layers: [await layerOf('noise', NOISE)] });
    let times = 0;
    registry.misbehave = (request, response) => {
      const blob = registry.blobs.get(layers[0] ?? '');
      if (!request.url?.endsWith(layers[0] ?? '') || !blob) return false;
      times += 1;
      response.writeHead(200, { 'Content-Length': blob.length });
      response.write(blob.subarray(0, (blob.length * times) / 2), () =>
        times < 2 ? response.destroy() : response.end(),
      );
      return true;
    };
    await desk.pull('app:1');
    assert.equal(times, 2);
  });

  describe('from a registry that misbehaves', () => {
    const refused: readonly (readonly [
      name: string,
      misbehave: (digest: string) => Desk['registry']['misbehave'],
      reason: RegExp,
    ])[] = [
      [
        'sends other bytes under a digest',
        (digest) => (request, response) => {
          if (!request.url?.endsWith(digest)) return false;
          const blob = Buffer.from(desk.registry.blobs.get(digest) ?? '');
          blob[blob.length - 9] = (blob[blob.length - 9] ?? 0) ^ 1;
          response.writeHead(200, { 'Content-Length': blob.length }).end(blob);
          return true;
        },
        /incorrect data check|verification failed|invalid tar header/,
      ],
      [
        'sends another layer whole',
        (digest) => (request, response) => {
          if (!request.url?.endsWith(digest)) return false;
          const blob = Buffer.alloc(desk.registry.blobs.get(digest)?.length ?? 0);
          response.writeHead(200).end(blob);
          return true;
        },
        /^failed to register layer$/,
      ],
      [
        'always ends early',
        (digest) => (request, response) => {
          if (!request.url?.endsWith(digest)) return false;
          response.writeHead(200).end('x');
          return true;
        },
        /ended blob .* early: 1 of/,
      ],
      [
        'sends more than it said',
        (digest) => (request, response) => {
          if (!request.url?.endsWith(digest)) return false;
          response.writeHead(200).end(Buffer.concat([desk.registry.blobs.get(digest) ?? Buffer.alloc(0), NOISE]));
          return true;
        },
        /longer than/,
      ],
      ['says nothing', (digest) => (request) => request.url?.endsWith(digest) === true, /no answer within 0.3 s/],
      [
        'falls silent in the middle',
        (digest) => (request, response) => {
          if (!request.url?.endsWith(digest)) return false;
          response.writeHead(200, { 'Content-Length': 1_000_000 });
          response.flushHeaders();
          return true;
        },
        /the connection broke|no answer/,
      ],
      [
        'redirects for ever',
        (digest) => (request, response) => {
          if (request.url?.includes(digest) !== true) return false;
          response.writeHead(307, { Location: `${request.url}x` }).end();
          return true;
        },
        /redirects more than 5 times/,
      ],
      [
        'redirects to a file',
        (digest) => (request, response) => {
          if (!request.url?.endsWith(digest)) return false;
          response.writeHead(307, { Location: 'file:///etc/passwd' }).end();
          return true;
        },
        /which is not https/,
      ],
      [
        'limits the rate for longer than anybody waits',
        (digest) => (request, response) => {
          if (!request.url?.endsWith(digest)) return false;
          response.setHeader('Retry-After', '3600');
          answerFault(response, 429, 'TOOMANYREQUESTS', 'You have reached your pull rate limit');
          return true;
        },
        /^toomanyrequests: You have reached your pull rate limit$/,
      ],
      [
        'sends a manifest without end',
        () => (request, response) => {
          if (request.url?.includes('/manifests/') !== true) return false;
          const more = (): void => {
            if (!response.destroyed) response.write(Buffer.alloc(1_000_000, 32), more);
          };
          response.on('error', () => undefined);
          more();
          return true;
        },
        /the manifest is longer than/,
      ],
      [
        'sends a page of some proxy',
        () => (request, response) => {
          if (request.url?.includes('/manifests/') !== true) return false;
          response.writeHead(502).end('<html>');
          return true;
        },
        /unexpected status from GET request to .*: 502/,
      ],
      [
        'sends a manifest of another digest',
        () => (request, response) => {
          if (request.url?.includes('/manifests/') !== true) return false;
          response.setHeader('Docker-Content-Digest', `sha256:${'0'.repeat(64)}`);
          answerJson(response, 200, { schemaVersion: 2 });
          return true;
        },
        /manifest verification failed/,
      ],
    ];
    for (const [name, misbehave, reason] of refused) {
      it(`and ${name}: fails, and leaves nothing`, async () => {
        const { layers } = desk.registry.addImage('app', '1', {
          layers: [await layerOf('a', NOISE), await layerOf('b')],
        });
        desk.registry.misbehave = misbehave(layers[0] ?? '');
        await assert.rejects(desk.pull('app:1'), (error: Error) => reason.test(error.message) || assert.fail(error));
        await nothingIsLeft(desk);
      });
    }

    it('and answers busy at first: is asked again', async () => {
      desk.registry.addImage('app', '1', { layers: [await layerOf('a')] });
      let left = 3;
      desk.registry.misbehave = (request, response) => {
        if (request.url === '/v2/' || left === 0) return false;
        left -= 1;
        if (left === 1) response.setHeader('Retry-After', '1');
        answerFault(response, left === 2 ? 503 : 429, 'UNAVAILABLE', 'later');
        return true;
      };
      await desk.pull('app:1');
    });

    it('and redirects elsewhere: is followed, and nobody else is shown who we are', async () => {
      await using storage = await Desk.open();
      const { registry } = desk;
      registry.auth = 'basic';
      const { layers } = registry.addImage('app', '1', { layers: [await layerOf('a')] });
      for (const blob of registry.blobs.values()) storage.registry.addBlob(blob);
      registry.misbehave = (request, response) => {
        if (!request.url?.endsWith(layers[0] ?? '') || request.headers.authorization === undefined) return false;
        response.writeHead(307, { Location: `http://${storage.registry.host}${request.url}` }).end();
        return true;
      };
      await desk.pull('app:1', { auth: anAuth(USER) });
      assert.deepEqual(storage.registry.authorizations, [undefined]);
    });
  });

  it('reads zstd layers where Node does, and refuses them before it fetches one where it does not', async () => {
    const layer = { ...(await layerOf('a')), pack: zstdOf, mediaType: 'application/vnd.oci.image.layer.v1.tar+zstd' };
    desk.registry.addImage('app', '1', { oci: true, layers: [layer] });
    if ('createZstdDecompress' in zlib) {
      await desk.pull('app:1');
      const { id } = desk.store.images.get(desk.name('app:1'));
      const { lowers } = desk.store.images.hold(id, { containerId: 'c', isRunning: () => false });
      assert.equal(await readFile(join(lowers[0] ?? '', 'a'), 'utf8'), 'a');
      return;
    }
    await assert.rejects(desk.pull('app:1'), { code: 'not-implemented', message: /zstd, which needs Node 22\.15/ });
    assert.ok(!desk.registry.requests.some((line) => line.includes('/blobs/')));
  });

  it('says in docker’s words what is not there', async () => {
    await assert.rejects(desk.pull('app:9'), {
      code: 'not-found',
      message: `manifest for ${desk.name('app:9')} not found: manifest unknown: manifest unknown`,
    });
    desk.registry.misbehave = (request, response) => {
      if (request.url === '/v2/') return false;
      answerFault(response, 403, 'DENIED', 'requested access to the resource is denied');
      return true;
    };
    await assert.rejects(desk.pull('app:9'), {
      code: 'not-found',
      message: new RegExp(
        `^pull access denied for ${desk.name('app')}, repository does not exist or may require 'docker login': denied: requested`,
      ),
    });
  });

  it('says that nobody listens', async () => {
    const client = clientOf(desk.store);
    await assert.rejects(client.pull('127.0.0.1:1/app', { report: () => undefined }), {
      code: 'unavailable',
      message: /Get "http:\/\/127.0.0.1:1\/v2\/": dial tcp 127.0.0.1:1: connect: connection refused/,
    });
  });

  it('ends when the client goes away, and leaves nothing', async () => {
    const { registry } = desk;
    const { layers } = registry.addImage('app', '1', { layers: [await layerOf('a', NOISE)] });
    const gone = new AbortController();
    registry.misbehave = (request, response) => {
      if (!request.url?.endsWith(layers[0] ?? '')) return false;
      response.writeHead(200, { 'Content-Length': 1_000_000 });
      response.write(NOISE.subarray(0, 1000), () => gone.abort());
      return true;
    };
    await assert.rejects(desk.pull('app:1', { abort: gone.signal }));
    await nothingIsLeft(desk);
  });

  it('says that the disk is full, and leaves nothing', async () => {
    const fullDisk: Unpack = () => {
      const input = new Writable({
        write: (_chunk, _encoding, done) => done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })),
      });
      const done = new Promise<void>((_resolve, reject) => {
        input.on('close', () => reject(new Error('write a: No space left on device')));
      });
      return Promise.resolve({ input, done });
    };
    await using full = await Desk.open({}, fullDisk);
    full.registry.addImage('app', '1', { layers: [await layerOf('a', NOISE)] });
    await assert.rejects(full.pull('app:1'), { code: 'exhausted', message: /^no space left on device/ });
    await nothingIsLeft(full);
  });

  it('keeps what it takes for present, whatever is removed meanwhile', async () => {
    const base = await layerOf('base');
    let hold = Promise.resolve();
    const slow: Unpack = async (...args) => {
      await hold;
      return await fakeUnpack(...args);
    };
    await using lab = await Desk.open({}, slow);
    lab.registry.addImage('app', '1', { layers: [base] });
    lab.registry.addImage('app', '2', { layers: [base, await layerOf('more')] });
    await lab.pull('app:1');
    let proceed = (): void => undefined;
    hold = new Promise((resolve) => {
      proceed = resolve;
    });
    const pulled = lab.pull('app:2');
    while (!lab.said.some((line) => line.endsWith('Already exists'))) await new Promise(setImmediate);
    await lab.store.images.remove(lab.name('app:1'), { force: false });
    await lab.store.images.collectGarbage();
    proceed();
    const { lowers } = lab.store.images.hold(await pulled, { containerId: 'c', isRunning: () => false });
    assert.equal(await readFile(join(lowers[1] ?? '', 'base'), 'utf8'), 'base');
  });
});

describe('who pulls', () => {
  for (const auth of ['basic', 'token'] as const) {
    it(`shows who they are when asked by ${auth}, and says when that does not do`, async () => {
      await using desk = await Desk.open();
      desk.registry.auth = auth;
      desk.registry.addImage('app', '1', { layers: [await layerOf('a')] });
      await desk.pull('app:1', { auth: anAuth(USER) });
      assert.equal(desk.store.images.list().length, 1);
      await assert.rejects(desk.pull('app:1', { auth: anAuth({ ...USER, password: 'wrong' }) }), {
        code: 'unauthenticated',
      });
    });
  }

  it('gets a token for everybody where nobody is named', async () => {
    await using desk = await Desk.open();
    desk.registry.auth = 'token';
    desk.registry.addImage('app', '1', { layers: [await layerOf('a')] });
    await desk.pull('app:1');
    const asked = desk.registry.requests.find((line) => line.includes('/token')) ?? '';
    assert.match(asked, /scope=repository%3Aapp%3Apull/);
    assert.match(asked, /service=fake%2C\+%22quoted%22/);
  });

  it('uses an identity token in place of a password', async () => {
    await using desk = await Desk.open();
    desk.registry.auth = 'token';
    desk.registry.addImage('app', '1', { layers: [await layerOf('a')] });
    await desk.pull('app:1', { auth: anAuth({ identityToken: 'for-later' }) });
    assert.ok(desk.registry.requests.includes('POST /token'));
  });

  it('logs in, and is given a token for later', async () => {
    await using desk = await Desk.open();
    desk.registry.auth = 'token';
    const login = (password: string) =>
      desk.client.login(anAuth({ ...USER, password, serverAddress: desk.registry.host }));
    assert.deepEqual(await login(USER.password), { identityToken: 'for-later' });
    await assert.rejects(login('wrong'), { code: 'unauthenticated' });
  });

  it('asks a mirror first, without credentials, and the registry itself when that fails', async () => {
    await using mirror = await Desk.open();
    mirror.registry.addImage('library/app', '1', { layers: [await layerOf('a')] });
    const client = clientOf(mirror.store, { mirrors: ['http://127.0.0.1:1', `http://${mirror.registry.host}`] });
    await client.pull('app:1', { auth: anAuth(USER), report: () => undefined });
    assert.equal(mirror.store.images.get('app:1').tags[0], 'app:1');
    assert.ok(!mirror.registry.authorizations.includes(basicOf(USER)));
    client[Symbol.dispose]();
  });
});

describe('what a name means', () => {
  it('is told without fetching it, for an index with all its platforms', async () => {
    await using desk = await Desk.open();
    const { registry } = desk;
    const one = registry.addImage('app', '1', { architecture: 'arm', variant: 'v7', layers: [await layerOf('a')] });
    const single = await desk.client.resolve(desk.name('app:1'), {});
    assert.equal(single.descriptor.digest, one.digest);
    assert.equal(single.descriptor.mediaType, MEDIA.docker);
    assert.deepEqual(single.platforms, [{ os: 'linux', architecture: 'arm', variant: 'v7' }]);
    const digest = registry.addIndex('app', 'all', [
      { digest: one.digest, platform: { os: 'linux', architecture: 'arm' } },
    ]);
    const index = await desk.client.resolve(desk.name('app:all'), {});
    assert.deepEqual([index.descriptor.digest, index.platforms.length], [digest, 1]);
    assert.equal(sha256(registry.manifests.get('app:all')?.bytes ?? ''), digest);
    await nothingIsLeft(desk);
  });
});
