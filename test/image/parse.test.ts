import { strict as assert } from 'node:assert';
import { applyChanges } from '../../runtime/image/changes.ts';
import { familiar, parseReference, tagKey } from '../../runtime/image/reference.ts';
import { TarMeter } from '../../runtime/image/tar-meter.ts';
import { tarHeader } from '../../runtime/image/tar-writer.ts';
import { tarOf } from './support.ts';

describe('image references', () => {
  for (const [text, key, short] of [
    ['busybox', 'docker.io/library/busybox:latest', 'busybox:latest'],
    ['busybox:1.36', 'docker.io/library/busybox:1.36', 'busybox:1.36'],
    ['index.docker.io/busybox', 'docker.io/library/busybox:latest', 'busybox:latest'],
    ['team/app', 'docker.io/team/app:latest', 'team/app:latest'],
    ['localhost/app', 'localhost/app:latest', 'localhost/app:latest'],
    ['localhost:5000/a/b:c', 'localhost:5000/a/b:c', 'localhost:5000/a/b:c'],
    ['example.org/a', 'example.org/a:latest', 'example.org/a:latest'],
    ['a__b-c/e.f', 'docker.io/a__b-c/e.f:latest', 'a__b-c/e.f:latest'],
  ] as const) {
    it(`reads ${text}`, () => {
      assert.equal(tagKey(parseReference(text)), key);
      assert.equal(familiar(parseReference(text)), short);
    });
  }

  for (const text of [
    '',
    ':x',
    'a:',
    'a:-x',
    'A',
    'a//b',
    '-a',
    'a/../b',
    'a@sha256:12',
    'a b',
    'a'.repeat(300),
    'f'.repeat(64),
  ]) {
    it(`refuses '${text.slice(0, 20)}'`, () => assert.throws(() => parseReference(text), { code: 'invalid' }));
  }
});

describe('import changes', () => {
  for (const [line, expected] of [
    ['CMD echo hi', { command: ['/bin/sh', '-c', 'echo hi'] }],
    ['cmd ["a", "b"]', { command: ['a', 'b'] }],
    ['ENTRYPOINT ["/x"]', { entrypoint: ['/x'] }],
    ['ENV A 1 2', { env: ['A=1 2'] }],
    ["ENV A='x y' B=z\\ w", { env: ['A=x y', 'B=z w'] }],
    ['WORKDIR app', { workingDirectory: '/app' }],
    ['USER 1000:1000', { user: '1000:1000' }],
    ['VOLUME /data /logs', { volumes: ['/data', '/logs'] }],
    ['VOLUME ["/a b"]', { volumes: ['/a b'] }],
    ['STOPSIGNAL SIGINT', { stopSignal: 'SIGINT' }],
    ['ONBUILD RUN ls', { onBuild: ['RUN ls'] }],
    [
      'HEALTHCHECK NONE',
      {
        healthCheck: { test: ['NONE'], intervalMs: 0, timeoutMs: 0, startPeriodMs: 0, startIntervalMs: 0, retries: 0 },
      },
    ],
    [
      'HEALTHCHECK --interval=2s --timeout=500ms --retries=4 CMD curl -f localhost',
      {
        healthCheck: {
          test: ['CMD-SHELL', 'curl -f localhost'],
          intervalMs: 2000,
          timeoutMs: 500,
          startPeriodMs: 0,
          startIntervalMs: 0,
          retries: 4,
        },
      },
    ],
  ] as const) {
    it(line, () => {
      const config = applyChanges([line]) as unknown as Record<string, unknown>;
      for (const [key, value] of Object.entries(expected)) assert.deepEqual(config[key], value);
    });
  }

  for (const [line, reason] of [
    ['CMD', /CMD requires at least one argument/],
    ['FROM x', /from is not a valid change command/],
    ['ENV A', /ENV must have two arguments/],
    ['ENV A=1 B', /can't find = in "B"/],
    ['LABEL a="x', /looking for matching double-quote/],
    ['EXPOSE 99999', /invalid containerPort: 99999/],
    ['ONBUILD ONBUILD RUN x', /Chaining ONBUILD/],
    ['HEALTHCHECK --foo=1 CMD x', /unknown flag: foo/],
    ['HEALTHCHECK ls', /Unknown type in HEALTHCHECK/],
  ] as const) {
    it(`refuses ${line}`, () => assert.throws(() => applyChanges([line]), reason));
  }
});

describe('tar meter', () => {
  it('counts the bytes of regular files, however the stream is cut', async () => {
    const archive = await tarOf([
      ['a', 'x'.repeat(1000)],
      [{ name: 'd', type: 'directory' }],
      [{ name: 'l', type: 'symlink', linkName: 'a' }],
      ['é'.repeat(90), 'yy'],
    ]);
    for (const size of [1, 511, 512, 513, 100_000]) {
      const meter = new TarMeter();
      for (let at = 0; at < archive.length; at += size) meter.write(archive.subarray(at, at + size));
      meter.end();
      assert.equal(meter.contentBytes, 1002);
    }
  });

  it('notes opaque folders, whatever way their name is written', () => {
    const meter = new TarMeter();
    const long = 'x'.repeat(120);
    for (const name of ['./a/b/.wh..wh..opq', `${long}/.wh..wh..opq`, '.wh..wh..opq', 'a/.wh.gone']) {
      meter.write(tarHeader({ name, type: 'file', mode: 0o644 }));
    }
    meter.end();
    assert.deepEqual(meter.opaqueFolders, ['a/b', long, '']);
  });

  it('takes records of an extended header by their length, whatever their values look like', () => {
    const record = (key: string, value: string): string => {
      const rest = ` ${key}=${value}\n`;
      return `${rest.length + 2}${rest}`;
    };
    const records =
      record('comment', 'x\n11 size=99\n21 path=.wh..wh..opq\n') + record('size', '3') + record('path', 'told');
    const meter = new TarMeter();
    const header = tarHeader({ name: 'PaxHeader', type: 'file', mode: 0o644, sizeBytes: records.length });
    header.write('x', 156);
    header.write(' '.repeat(8), 148);
    header.write(
      `${header
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
    );
    meter.write(Buffer.concat([header, Buffer.from(records.padEnd(512, '\0'))]));
    meter.write(
      Buffer.concat([tarHeader({ name: 'f', type: 'file', mode: 0o644, sizeBytes: 700 }), Buffer.alloc(512)]),
    );
    meter.end();
    assert.equal(meter.contentBytes, 3);
    assert.deepEqual(meter.opaqueFolders, []);
  });

  it('refuses a stream that ends inside an entry', async () => {
    const meter = new TarMeter();
    meter.write((await tarOf([['a', 'x'.repeat(1000)]])).subarray(0, 700));
    assert.throws(() => meter.end(), /unexpected EOF/);
  });
});
