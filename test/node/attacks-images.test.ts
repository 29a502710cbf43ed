// Past escapes by what an image or an archive says of itself. The corpus through load, import and pull: hostile-tars; every
// flipped byte: native-unpack.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { sha256 } from '../../runtime/image/digest.ts';
import { type AttackLab, archive, attackSuite, entry } from '../support/attack-lab.ts';
import type { ClientLab } from '../support/client-lab.ts';
import { HOSTILE_TARS } from '../support/hostile-tars.ts';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

describe('past escapes by images and archives', function () {
  let attacks: AttackLab;
  let client: ClientLab;
  const ok = (...args: string[]): Promise<string> => client.ok(...args);
  const load = (tar: Buffer) => client.client.run(['load'], tar);

  attackSuite(this, (lab) => {
    attacks = lab;
    client = lab.client;
  });

  it('hostile archives put into a container change nothing outside of it (CVE-2018-15664, CVE-2021-32760)', async () => {
    for (const { name, make } of HOSTILE_TARS) {
      await ok('create', '--name', 'box', 'bb', 'true');
      const put = await client.http('PUT', '/containers/box/archive?path=/tmp', make(attacks.outside));
      assert.ok([200, 400, 404, 501].includes(put.status), `${name}: ${put.status} ${put.body.toString()}`);
      attacks.assertUntouched();
      assert.ok(!existsSync('/escaped'), name);
      await ok('rm', '-f', 'box');
    }
  });

  it('docker cp runs nothing of the container’s (CVE-2019-14271, CVE-2026-41567)', async () => {
    const trap = '#!/bin/sh\ntouch /executed\n';
    const names = ['xz', 'unpigz', 'pigz', 'gzip', 'gunzip', 'zstd', 'tar'].flatMap((name) => [
      `bin/${name}`,
      `usr/bin/${name}`,
    ]);
    const libraries = ['lib/libnss_files.so.2', 'lib64/libnss_compat.so.2'];
    const traps = [...names, ...libraries].map((name) => entry({ name, mode: 0o755 }, trap));
    await ok('run', '-d', '--init', '--name', 'box', 'bb', 'sleep', '1000');
    const put = (path: string, body: Buffer) => client.http('PUT', `/containers/box/archive?path=${path}`, body);
    const planted = archive(...traps, entry({ name: 'etc/nsswitch.conf' }, 'passwd: compat\n'));
    assert.equal((await put('/', planted)).status, 200);
    const file = archive(entry({ name: 'f' }, 'x'));
    assert.equal((await put('/tmp&copyUIDGID=1', gzipSync(file))).status, 200);
    await put('/tmp', Buffer.from('fd377a585a000004', 'hex'));
    assert.equal((await client.http('GET', '/containers/box/archive?path=/etc')).status, 200);
    assert.equal((await client.http('HEAD', '/containers/box/archive?path=/executed')).status, 404);
  });

  it('layer store traversal: names and digests of a manifest are never paths (CVE-2014-9358)', async () => {
    const config = JSON.stringify({ rootfs: { type: 'layers', diff_ids: [`sha256:${'a'.repeat(64)}`] } });
    for (const layer of ['../../../../outside/canary', '/etc/passwd', '..']) {
      const manifest = JSON.stringify([{ Config: 'c.json', RepoTags: ['evil:1'], Layers: [layer] }]);
      const tar = archive(entry({ name: 'manifest.json' }, manifest), entry({ name: 'c.json' }, config));
      assert.notEqual((await load(tar)).code, 0);
    }
    for (const digest of ['sha256:../../../../outside/canary', 'sha256:', '../../x', `sha512:${'a'.repeat(128)}`]) {
      const index = JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType: MANIFEST, digest, size: 1 }] });
      const loaded = await load(archive(entry({ name: 'index.json' }, index)));
      assert.match(loaded.stderr, /digest/, digest);
    }
    assert.notEqual((await client.run('image', 'inspect', 'evil:1')).code, 0);
    attacks.assertUntouched();
  });

  it('digest: a layer or config that is not what its digest says is refused (CVE-2014-9358)', async () => {
    const lie = sha256(Buffer.from('something else'));
    const tar = archive(entry({ name: 'f' }, 'x'));
    const image = (diffId: string): Buffer => {
      const config = JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        rootfs: { type: 'layers', diff_ids: [diffId] },
      });
      const manifest = JSON.stringify([{ Config: 'c.json', RepoTags: ['evil:1'], Layers: ['l.tar'] }]);
      const files = { 'manifest.json': manifest, 'c.json': config, 'l.tar': tar.toString('latin1') };
      return archive(...Object.entries(files).map(([name, content]) => entry({ name }, content)));
    };
    const refused = await load(image(lie));
    assert.ok(refused.code !== 0 && refused.stderr.includes(lie), refused.stderr);
    assert.equal((await load(image(sha256(tar)))).code, 0, 'it is no refusal of everything');
    await ok('rmi', 'evil:1');
  });

  it('a document that is an image and an index at once is neither (CVE-2021-41190)', async () => {
    const config = JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] } });
    const image = {
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256(config), size: config.length },
      layers: [],
    };
    const tryIt = (called: string, document: object) => {
      const text = JSON.stringify({ schemaVersion: 2, ...document });
      const index = JSON.stringify({
        schemaVersion: 2,
        manifests: [{ mediaType: called, digest: sha256(text), size: text.length }],
      });
      const blob = (bytes: string): Buffer => entry({ name: `blobs/sha256/${sha256(bytes).slice(7)}` }, bytes);
      return load(archive(blob(config), blob(text), entry({ name: 'index.json' }, index)));
    };
    assert.equal((await tryIt(MANIFEST, { mediaType: MANIFEST, ...image })).code, 0, 'a plain image is taken');
    for (const [what, called, document] of [
      ['both fields', MANIFEST, { ...image, manifests: [] }],
      ['both fields, called an index', INDEX, { mediaType: INDEX, ...image, manifests: [] }],
      ['two names', INDEX, { mediaType: MANIFEST, ...image }],
      ['the wrong name', INDEX, image],
    ] as const) {
      const refused = await tryIt(called, document);
      assert.ok(refused.code !== 0, what);
      assert.match(refused.stderr, /the manifest (is called|has the fields)/, what);
    }
  });
});
