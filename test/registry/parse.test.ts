import { strict as assert } from 'node:assert';
import { parseChallenges } from '../../runtime/registry/challenge.ts';
import { domainOfServer, endpointsOf, isInsecure } from '../../runtime/registry/endpoints.ts';
import { MEDIA, parseManifest } from '../../runtime/registry/manifest.ts';
import { fitting, parsePlatform } from '../../base/platform.ts';
import { DEFAULT_SETTINGS } from '../../runtime/registry/settings.ts';

const own = { os: 'linux', architecture: 'amd64', variant: '' };

describe('a registry’s challenge', () => {
  for (const [header, expected] of [
    ['Basic realm="x"', [['basic', { realm: 'x' }]]],
    [
      'Bearer realm="https://a/t?x=1,2",service="s \\"q\\"",scope="repository:a:pull"',
      [['bearer', { realm: 'https://a/t?x=1,2', service: 's "q"', scope: 'repository:a:pull' }]],
    ],
    [
      'Bearer realm=plain , service=s, Basic realm="b"',
      [
        ['bearer', { realm: 'plain', service: 's' }],
        ['basic', { realm: 'b' }],
      ],
    ],
    ['NEGOTIATE', [['negotiate', {}]]],
    ['', []],
    ['===,,,""', []],
  ] as const) {
    it(`is read: ${header}`, () =>
      assert.deepEqual(
        parseChallenges(header).map(({ scheme, parameters }) => [scheme, parameters]),
        expected,
      ));
  }

  it('of a hundred thousand characters takes no time', () => {
    const startMs = performance.now();
    parseChallenges('a="'.repeat(30_000));
    parseChallenges('Bearer '.repeat(15_000));
    assert.ok(performance.now() - startMs < 1_000);
  });
});

describe('a manifest that is two things', () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const config = { mediaType: MEDIA.dockerConfig, size: 2, digest };
  const parse = (sent: string, fields: object) =>
    parseManifest(Buffer.from(JSON.stringify({ schemaVersion: 2, ...fields })), sent);
  const image = { config, layers: [] };

  for (const [what, sent, fields] of [
    ['has the fields of both', MEDIA.manifest, { ...image, manifests: [] }],
    ['has the fields of both, and no name', '', { ...image, manifests: [] }],
    ['is called an index and has layers', MEDIA.index, image],
    ['is called an image and has manifests', MEDIA.manifest, { manifests: [] }],
    ['is called one inside and another outside', MEDIA.index, { mediaType: MEDIA.manifest, ...image }],
  ] as const) {
    it(`is refused: ${what} (CVE-2021-41190)`, () =>
      assert.throws(() => parse(sent, fields), {
        code: 'invalid',
        message: /the manifest (is called|has the fields)/,
      }));
  }

  it('is told from one that is named inside, outside, or by its fields alone', () => {
    assert.equal(parse('application/json', { mediaType: MEDIA.docker, ...image }).mediaType, MEDIA.docker);
    assert.equal(parse(`${MEDIA.manifest}; charset=utf-8`, image).kind, 'image');
    assert.equal(parse('text/plain', { manifests: [] }).kind, 'index');
  });
});

describe('platforms', () => {
  for (const [text, expected] of [
    ['linux/arm64', 'linux/arm64/'],
    ['linux/aarch64/v8', 'linux/arm64/v8'],
    ['arm64', 'linux/arm64/'],
    ['linux', 'linux/amd64/'],
    ['linux/x86_64', 'linux/amd64/'],
  ] as const) {
    it(`reads ${text}`, () => {
      const { os, architecture, variant } = parsePlatform(text, own);
      assert.equal(`${os}/${architecture}/${variant}`, expected);
    });
  }
  for (const text of ['', 'a/b/c/d', 'linux/', 'linux/a b']) {
    it(`refuses '${text}'`, () => assert.throws(() => parsePlatform(text, own), { code: 'invalid' }));
  }

  const entry = (architecture: string, variant = '', os = 'linux') => ({ platform: { os, architecture, variant } });
  for (const [name, entries, wanted, expected] of [
    ['the equal one', [entry('arm64'), entry('amd64')], 'linux/amd64', ['amd64/']],
    [
      'the newest variant that runs',
      [entry('arm', 'v5'), entry('arm', 'v7'), entry('arm', 'v6')],
      'linux/arm/v6',
      ['arm/v6', 'arm/v5'],
    ],
    ['v8 where arm64 names none', [entry('arm64', 'v8')], 'linux/arm64', ['arm64/v8']],
    ['no newer variant', [entry('amd64', 'v3')], 'linux/amd64', []],
    ['no other system', [entry('amd64', '', 'windows')], 'linux/amd64', []],
    ['none without a platform', [{ platform: undefined }], 'linux/amd64', []],
  ] as const) {
    it(`chooses ${name}`, () => {
      const found = fitting<{ platform: { os: string; architecture: string; variant: string } | undefined }>(
        entries,
        parsePlatform(wanted, own),
      );
      assert.deepEqual(
        found.map(({ platform }) => `${platform?.architecture}/${platform?.variant}`),
        expected,
      );
    });
  }
});

describe('endpoints of registries', () => {
  const settings = {
    ...DEFAULT_SETTINGS,
    mirrors: ['http://m1:80', 'https://m2'],
    insecure: ['old:5000', '10.0.0.0/8', 'fd00::/8'],
  };

  it('are mirrors before docker.io, and only for docker.io', async () => {
    assert.deepEqual(await endpointsOf('docker.io', settings), [
      { host: 'm1', scheme: 'http', isMirror: true },
      { host: 'm2', scheme: 'https', isMirror: true },
      { host: 'registry-1.docker.io', scheme: 'https', isMirror: false },
    ]);
    assert.deepEqual(await endpointsOf('10.1.2.3:5000', settings), [
      { host: '10.1.2.3:5000', scheme: 'either', isMirror: false },
    ]);
  });

  for (const [host, expected] of [
    ['old:5000', true],
    ['127.0.0.1:5000', true],
    ['localhost:5000', true],
    ['[::1]:5000', true],
    ['[fd00::1]:5000', true],
    ['10.2.3.4', true],
    ['11.2.3.4', false],
  ] as const) {
    it(`${expected ? 'trusts' : 'does not trust'} ${host} without TLS`, async () =>
      assert.equal(await isInsecure(host, settings.insecure), expected));
  }

  for (const [address, domain] of [
    ['', 'docker.io'],
    ['https://index.docker.io/v1/', 'docker.io'],
    ['http://h:5000/x', 'h:5000'],
    ['h:5000', 'h:5000'],
  ] as const) {
    it(`takes a login at '${address}' for ${domain}`, () => assert.equal(domainOfServer(address), domain));
  }
});

describe('manifests', () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const config = { mediaType: MEDIA.dockerConfig, digest, size: 3 };
  const layer = { mediaType: MEDIA.dockerLayer, digest, size: 3 };
  const parse = (json: unknown, type: string = MEDIA.docker) => parseManifest(Buffer.from(JSON.stringify(json)), type);

  it('are read by what they say themselves, or by how they came', () => {
    const image = parse({ schemaVersion: 2, config, layers: [layer] });
    assert.equal(image.mediaType, MEDIA.docker);
    assert.equal(image.kind, 'image');
    const index = parse({ schemaVersion: 2, mediaType: MEDIA.index, manifests: [{ ...config, platform: own }] }, '');
    assert.equal(index.kind, 'index');
  });

  for (const [name, json, reason] of [
    ['schema 1', { schemaVersion: 1 }, /schema 1/],
    ['no schema', {}, /schemaVersion/],
    ['a list', [], /must be an object/],
    [
      'a chart',
      { schemaVersion: 2, config: { ...config, mediaType: 'application/vnd.cncf.helm.config.v1+json' }, layers: [] },
      /not a container image/,
    ],
    [
      'a layer of another kind',
      { schemaVersion: 2, config, layers: [{ ...layer, mediaType: 'text/html' }] },
      /not a layer/,
    ],
    [
      'a foreign layer',
      {
        schemaVersion: 2,
        config,
        layers: [{ ...layer, mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' }],
      },
      /outside the registry/,
    ],
    ['a negative size', { schemaVersion: 2, config, layers: [{ ...layer, size: -1 }] }, /size/],
    ['a huge config', { schemaVersion: 2, config: { ...config, size: 1e9 }, layers: [] }, /config.size/],
    [
      'a digest that climbs',
      { schemaVersion: 2, config: { ...config, digest: 'sha256:../../x' }, layers: [] },
      /not a digest/,
    ],
    ['too many layers', { schemaVersion: 2, config, layers: Array(501).fill(layer) }, /501 layers/],
    [
      'too many entries',
      { schemaVersion: 2, mediaType: MEDIA.index, manifests: Array(1_001).fill(config) },
      /more than 1000/,
    ],
  ] as const) {
    it(`refuse ${name}`, () => assert.throws(() => parse(json, 'application/json'), reason));
  }
});
